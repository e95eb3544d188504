"""`penstock server`: stopped, killed, joined by another, and told of moves made elsewhere."""

import json
import signal
import time
from collections import Counter
from typing import Any

import pytest
from tests.process.lab import Lab, Started, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from datetime import datetime, timedelta, timezone
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(text):
        os.write(LOG, f"{text}\\n".encode())

    class Sleeper(Job):
        name: str = "job"
        seconds: float = 60
        destroy_on_complete = False
        def perform(self):
            note(self.name)
            time.sleep(self.seconds)

    class Moment(Job):
        destroy_on_complete = False
        def perform(self):
            note(datetime.now(timezone.utc).isoformat())

    class Turned(BatchJob):
        slice_size = 10
        collect_output = True
        destroy_on_complete = False
        seconds: float = 0.002
        mark: str = ""
        def perform(self, line):
            note(f"{self.record_number} {os.getppid()}")
            time.sleep(self.seconds)
            return self.mark + line[::-1]
"""
OTHERS = """
    from penstock import Job

    class Stranger(Job):
        def perform(self):
            pass
"""
COUNT = 1_000


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


def serve(lab: Lab, *words: str, workers: int = 2) -> Started:
    return lab.start("--app", "jobs", "--workers", str(workers), *words, command="server")


def logged(lab: Lab) -> list[str]:
    log = lab.path("log.txt")
    return log.read_text().split("\n")[:-1] if log.exists() else []


def await_logged(lab: Lab, count: int) -> None:
    wait_for(lambda: len(logged(lab)) >= count, f"{count} notes")


def create(lab: Lab, call: str) -> str:
    """Make a job in another process; returns its id."""
    return lab.python(f"import jobs\nprint(jobs.{call}.id)").decode().strip()


def upload(lab: Lab, count: int = COUNT, **values: Any) -> str:
    """Make a batch job in another process; returns its id."""
    program = """
        import json, sys, jobs
        job = jobs.Turned(**json.loads(sys.argv[2]))
        job.upload(f"record {n}" for n in range(1, int(sys.argv[1]) + 1))
        print(job.save().id)
    """
    return lab.python(program, str(count), json.dumps(values)).decode().strip()


def download(lab: Lab, job_id: str) -> list[str]:
    lab.python(f"import jobs\n{loaded(job_id)}.download('out.txt')")
    return lab.path("out.txt").read_text("utf-8").splitlines()


def loaded(job_id: str) -> str:
    return f"next(job for job in jobs.Turned.query if str(job.id) == '{job_id}')"


def act(lab: Lab, job_id: str, method: str) -> None:
    """Call a method of a stored job in another process."""
    lab.python(f"import jobs\n{loaded(job_id)}.{method}")


def state_of(lab: Lab, job_id: str) -> str:
    return str(lab.show(job_id)["state"])


def turned(count: int = COUNT) -> list[str]:
    return [f"record {n}"[::-1] for n in range(1, count + 1)]


def check_stops(server: Started) -> None:
    server.signal(signal.SIGTERM)
    ended = server.end()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err


# Stopped and killed ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_job_longer_than_the_grace_is_queued_again_without_blame(jobs: Lab, number: signal.Signals) -> None:
    job_id = create(jobs, "Sleeper.create()")
    server = serve(jobs, "--grace", "0.3")
    await_logged(jobs, 1)
    server.signal(number)
    ended = server.end(20)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    shown = jobs.show(job_id)
    assert (shown["state"], shown["failure_count"], shown["server"]) == ("queued", 0, None)
    assert crashes(jobs, job_id) == 0


def crashes(lab: Lab, job_id: str) -> int:
    program = "from uuid import UUID; from penstock.store import current_store; import sys;"
    return int(lab.python(program + "print(current_store().job(UUID(sys.argv[1])).crash_count)", job_id))


def test_a_job_shorter_than_the_grace_is_finished_and_no_other_is_begun(jobs: Lab) -> None:
    ids = [create(jobs, f"Sleeper.create(name='{n}', seconds=1)") for n in range(3)]
    server = serve(jobs, "--grace", "30", workers=1)
    await_logged(jobs, 1)
    check_stops(server)
    assert [state_of(jobs, job_id) for job_id in ids] == ["completed", "queued", "queued"]
    assert logged(jobs) == ["0"]


def test_what_a_killed_server_held_is_run_once_more_by_the_next_at_once(jobs: Lab) -> None:
    ids = [create(jobs, f"Sleeper.create(name='{n}')") for n in range(2)]
    batch = upload(jobs, 200, seconds=0.01, priority=60)
    server = serve(jobs)
    await_logged(jobs, 2)
    server.signal(signal.SIGKILL)
    server.end()
    jobs.module("jobs", JOBS.replace("time.sleep(self.seconds)", "time.sleep(0)"))
    began = time.monotonic()
    server = serve(jobs)
    wait_for(lambda: [state_of(jobs, job_id) for job_id in ids] == ["completed"] * 2, "the jobs", seconds=20)
    assert time.monotonic() - began < 20, "it waited for a time-out"
    wait_for(lambda: state_of(jobs, batch) == "completed", "the batch job")
    check_stops(server)
    names = Counter(note for note in logged(jobs) if " " not in note)
    assert names == {"0": 2, "1": 2}
    assert [crashes(jobs, job_id) for job_id in ids] == [0, 0]
    assert download(jobs, batch) == turned(200)


def test_a_server_that_lives_takes_over_from_one_that_was_killed_beside_it(jobs: Lab) -> None:
    batch = upload(jobs, 2 * COUNT)
    servers = [serve(jobs) for _ in range(2)]
    wait_for(lambda: len(parents(jobs)) == 2, "both at work")
    servers[0].kill_group()
    servers[0].end()
    wait_for(lambda: state_of(jobs, batch) == "completed", "the job")
    check_stops(servers[1])
    assert download(jobs, batch) == turned(2 * COUNT)


def parents(lab: Lab) -> set[str]:
    """Return the servers that have performed records."""
    return {note.split()[1] for note in logged(lab) if " " in note}


def test_two_servers_share_a_batch_job_and_perform_each_record_once(jobs: Lab) -> None:
    batch = upload(jobs, 2 * COUNT)
    servers = [serve(jobs) for _ in range(2)]
    wait_for(lambda: state_of(jobs, batch) == "completed", "the job")
    for server in servers:
        check_stops(server)
    assert sorted(int(note.split()[0]) for note in logged(jobs)) == list(range(1, 2 * COUNT + 1))
    assert len(parents(jobs)) == 2
    assert download(jobs, batch) == turned(2 * COUNT)
    jobs.check(batch)


# What is run and what is not ---------------------------------------------------------------------


def test_a_job_of_a_kind_that_was_not_imported_stays_queued(jobs: Lab) -> None:
    jobs.module("others", OTHERS)
    stranger = jobs.python("import others; print(others.Stranger.create(priority=1).id)").decode().strip()
    known = create(jobs, "Sleeper.create(seconds=0)")
    server = serve(jobs)
    wait_for(lambda: state_of(jobs, known) == "completed", "the job of a known kind")
    shown = jobs.show(stranger)
    assert (shown["state"], shown["kind"]) == ("queued", "Stranger")
    check_stops(server)
    server = jobs.start("--app", "jobs", "--app", "others", command="server")
    wait_for(lambda: [job["id"] for job in jobs.jobs()] == [known], "the job, now that its class is there")
    check_stops(server)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--app", "nowhere"], "nowhere"),
        (["--app", "broken"], "broken.py:2"),
        (["--app", "wrong"], "wrong.py"),
        (["--app", "jobs:Nobody"], "Nobody"),
        ([], "--app"),
        (["--app", "jobs", "--workers", "0"], "--workers"),
    ],
    ids=["no module", "raises", "syntax", "no class", "no app", "no workers"],
)
def test_a_server_that_cannot_work_says_so_in_one_line_and_exits_2(jobs: Lab, words: list[str], says: str) -> None:
    jobs.module("broken", "x = 1\nraise OSError('no good')\n")
    jobs.module("wrong", "def f(:\n")
    ended = jobs.run(*words, command="server", seconds=30)
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err
    if words[-1:] != ["0"]:
        assert len(ended.told) == 1, ended.err


def test_a_scheduled_job_starts_when_it_is_due(jobs: Lab) -> None:
    server = serve(jobs)
    due = float(
        jobs.python("""
        import jobs
        from datetime import datetime, timedelta, timezone
        at = datetime.now(timezone.utc) + timedelta(seconds=2)
        jobs.Moment.create(run_at=at)
        print(at.timestamp())
    """)
    )
    await_logged(jobs, 1)
    from datetime import datetime

    late = datetime.fromisoformat(logged(jobs)[0]).timestamp() - due
    assert 0 <= late < 1
    check_stops(server)


# Moves made by others while slices run -----------------------------------------------------------


def test_a_paused_batch_job_stops_after_what_runs_and_goes_on_when_it_is_resumed(jobs: Lab) -> None:
    batch = upload(jobs, seconds=0.1)
    server = serve(jobs)
    await_logged(jobs, 30)
    act(jobs, batch, "pause()")
    wait_for(lambda: jobs.check(batch)["running"] == 0, "the end of what runs")
    count = len(logged(jobs))
    assert count < COUNT
    assert state_of(jobs, batch) == "paused"
    # Another job is run meanwhile, so the server is well and looks at the store.
    other = create(jobs, "Sleeper.create(seconds=0)")
    wait_for(lambda: state_of(jobs, other) == "completed", "another job")
    assert len(logged(jobs)) == count + 1
    assert jobs.check(batch)["processed"] == count
    act(jobs, batch, "update(seconds=0.0)")
    act(jobs, batch, "resume()")
    wait_for(lambda: state_of(jobs, batch) == "completed", "the job")
    check_stops(server)
    performed = Counter(int(note.split()[0]) for note in logged(jobs) if " " in note)
    assert performed == dict.fromkeys(range(1, COUNT + 1), 1)
    assert download(jobs, batch) == turned()


def test_an_aborted_batch_job_leaves_no_slices_and_the_server_goes_on(jobs: Lab) -> None:
    batch = upload(jobs, seconds=0.1)
    server = serve(jobs)
    await_logged(jobs, 30)
    act(jobs, batch, "abort()")
    other = upload(jobs, 50)
    wait_for(lambda: state_of(jobs, other) == "completed", "another job")
    assert state_of(jobs, batch) == "aborted"
    checked = jobs.check(batch)
    assert (checked["queued"], checked["running"], checked["outputs"]) == (0, 0, {})
    assert download(jobs, other) == turned(50)
    check_stops(server)
    assert len(logged(jobs)) < COUNT


def test_a_destroyed_batch_job_is_gone_and_the_server_goes_on(jobs: Lab) -> None:
    batch = upload(jobs, seconds=0.1)
    server = serve(jobs)
    await_logged(jobs, 30)
    act(jobs, batch, "destroy()")
    other = upload(jobs, 50)
    wait_for(lambda: state_of(jobs, other) == "completed", "another job")
    assert [job["id"] for job in jobs.jobs()] == [other]
    check_stops(server)


def test_a_field_edited_while_slices_run_holds_for_the_slices_after_it_and_stays(jobs: Lab) -> None:
    batch = upload(jobs, seconds=0.1)
    server = serve(jobs)
    await_logged(jobs, 30)
    act(jobs, batch, "update(mark='edited ', description='by hand', priority=7, seconds=0.0)")
    wait_for(lambda: state_of(jobs, batch) == "completed", "the job")
    check_stops(server)
    shown = jobs.show(batch)
    assert (shown["description"], shown["priority"], shown["fields"]["mark"]) == ("by hand", 7, "edited ")
    written = download(jobs, batch)
    assert [line.removeprefix("edited ") for line in written] == turned()
    marked = [line.startswith("edited ") for line in written]
    assert not marked[0]
    assert marked[-1]
    jobs.check(batch)
