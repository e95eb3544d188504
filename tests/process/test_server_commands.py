"""`penstock servers`: pause, resume, dump, stop and kill of a running server from another shell."""

import json
import os
from typing import Any

import pytest
from tests.process.lab import ENOUGH, Ended, Lab, Started, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from penstock import Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Noted(Job):
        name: str = "job"
        until: str | None = None
        pipe: str | None = None
        destroy_on_complete = False
        def perform(self):
            os.write(LOG, f"{self.name}\\n".encode())
            wait_at_the_well(self.until)
            if self.pipe is not None:
                sleep_at_the_pipe(self.pipe)

    def wait_at_the_well(path):
        while path is not None and not os.path.exists(path):
            time.sleep(0.005)

    def sleep_at_the_pipe(path):
        open(path).close()  # one line in which it is, whenever it is looked at, until somebody opens it to write
"""


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


def serve(lab: Lab, *words: str) -> Started:
    """Start a server, and wait until it is ready for work."""
    before = {server["name"] for server in servers(lab)}
    server = lab.start("--app", "jobs", "--workers", "2", "--processes", "2", *words, command="server")
    wait_for(lambda: [each for each in servers(lab) if each["name"] not in before and each["kinds"]], "a ready server")
    return server


def servers(lab: Lab) -> list[dict[str, Any]]:
    listed = lab.run("list", "--json", command="servers")
    assert listed.code == 0, listed.err
    found: list[dict[str, Any]] = json.loads(listed.out)
    return found


def ask(lab: Lab, *words: str) -> str:
    """Ask something of a server from another shell; returns what was printed."""
    asked = lab.run(*words, command="servers")
    assert asked.code == 0, asked.err
    return asked.out.decode()


def name_of(lab: Lab, server: Started) -> str:
    return str(next(each["name"] for each in servers(lab) if each["pid"] == server.process.pid))


def create(lab: Lab, name: str, **values: str) -> str:
    sets = [word for field, value in {"name": name, **values}.items() for word in ("--set", f"{field}={value}")]
    made = lab.run("create", "jobs:Noted", *sets, command="jobs")
    assert made.code == 0, made.err
    return made.out.decode().strip()


def notes(lab: Lab) -> list[str]:
    log = lab.path("log.txt")
    return log.read_text().split("\n")[:-1] if log.exists() else []


def await_note(lab: Lab, name: str) -> None:
    wait_for(lambda: name in notes(lab), f"the start of {name}")


def await_state(lab: Lab, job_id: str, state: str) -> dict[str, Any]:
    """Wait for a job to be in a state; returns all about it."""
    return wait_for(lambda: (shown := lab.show(job_id))["state"] == state and shown, f"{state} of {job_id}")  # type: ignore[no-any-return]


def ended_well(server: Started) -> Ended:
    ended = server.end(ENOUGH)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended


def test_a_paused_server_finishes_what_runs_and_starts_nothing_until_it_is_resumed(jobs: Lab) -> None:
    server = serve(jobs)
    name = name_of(jobs, server)
    runs = create(jobs, "runs", until="well")
    await_note(jobs, "runs")
    assert ask(jobs, "pause", name) == f"server {name} is paused\n"
    assert [(each["state"], each["alive"]) for each in servers(jobs)] == [("paused", True)]
    saved = create(jobs, "saved")
    jobs.path("well").touch()
    await_state(jobs, runs, "completed")
    shown = jobs.show(saved)
    assert (shown["state"], shown["why_waiting"]) == ("queued", "all servers that know it are paused")
    refused = jobs.run("pause", name, command="servers")
    assert (refused.code, refused.out) == (3, b"")
    assert refused.told == [
        f"penstock: cannot pause server {name}, which is paused; what applies: resume, stop, kill, dump"
    ]
    # A server that claimed on would have taken it long before it could answer this.
    ask(jobs, "dump", name)
    assert notes(jobs) == ["runs"]
    assert ask(jobs, "resume", "--all") == f"server {name} claims again\n"
    await_state(jobs, saved, "completed")
    ask(jobs, "stop", name)
    ended_well(server)


def test_a_dump_names_the_function_in_which_a_job_sleeps(jobs: Lab) -> None:
    os.mkfifo(jobs.path("pipe"))
    server = serve(jobs)
    create(jobs, "sleeps", pipe="pipe")
    told = wait_for(lambda: "sleep_at_the_pipe" in (said := ask(jobs, "dump", "--all")) and said, "a job at its pipe")
    lines = jobs.path("jobs.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "open(path).close()" in text)
    assert f'jobs.py", line {line}, in sleep_at_the_pipe' in told
    assert f"server {name_of(jobs, server)}" in told
    assert all(f"process {pid}" in told for pid in server.workers())
    jobs.path("pipe").open("w").close()
    ask(jobs, "stop", "--all")
    ended_well(server)


def test_a_stopped_server_finishes_what_runs_and_exits_0(jobs: Lab) -> None:
    server = serve(jobs)
    name = name_of(jobs, server)
    job_id = create(jobs, "runs", until="well")
    await_note(jobs, "runs")
    assert ask(jobs, "stop", name) == f"server {name} finishes what runs, and ends\n"
    wait_for(lambda: servers(jobs)[0]["state"] == "stopping", "the server to be stopping")
    assert jobs.show(job_id)["state"] == "running"
    jobs.path("well").touch()
    ended_well(server)
    assert jobs.show(job_id)["state"] == "completed"
    assert servers(jobs) == []
    gone = jobs.run("stop", name, command="servers")
    assert (gone.code, gone.out) == (4, b"")
    assert len(gone.told) == 1


def test_what_a_killed_server_held_runs_again_elsewhere_without_blame(jobs: Lab) -> None:
    killed = serve(jobs)
    name = name_of(jobs, killed)
    job_id = create(jobs, "held", until="well")
    await_note(jobs, "held")
    other = serve(jobs)
    workers = killed.workers()
    assert workers
    ask(jobs, "kill", name)
    ended_well(killed)
    wait_for(lambda: notes(jobs) == ["held", "held"], "the job to run elsewhere")
    assert jobs.show(job_id)["server"] == name_of(jobs, other) != name
    jobs.path("well").touch()
    shown = await_state(jobs, job_id, "completed")
    assert (shown["failure_count"], shown["crash_count"], shown["attempt"]) == (0, 0, 2)
    ask(jobs, "stop", "--all")
    ended_well(other)


def test_a_server_that_was_killed_from_outside_is_said_to_be_dead(jobs: Lab) -> None:
    server = serve(jobs)
    name = name_of(jobs, server)
    server.kill_group()
    server.process.wait()
    assert [(each["name"], each["alive"]) for each in servers(jobs)] == [(name, False)]
    refused = jobs.run("pause", name, command="servers")
    assert (refused.code, refused.out) == (4, b"")
    assert f"server {name} is dead" in refused.err
    assert ask(jobs, "pause", "--all") == "no server to pause\n"
