"""Worker processes replaced while the server runs: after so much work, when too large, when the code has changed."""

import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.process.lab import Lab, Started, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from penstock import Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    KEPT = []

    def note(text):
        os.write(LOG, f"{text}\\n".encode())

    class Notes(Job):
        name: str = ""
        def perform(self):
            note(f"{self.name} {os.getpid()} VERSION")

    class Gated(Job):
        destroy_on_complete = False
        def perform(self):
            note(f"gated {os.getpid()}")
            while not os.path.exists("open"):
                time.sleep(0.01)

    class Grows(Job):
        def perform(self):
            KEPT.append(bytearray(os.urandom(1) * (40 << 20)))
            note(f"grows {os.getpid()}")
"""


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


@pytest.fixture
def serve(jobs: Lab) -> Iterator[Callable[..., Started]]:
    """Return a function that starts a server of one slot; it is stopped at the end."""
    started: list[Started] = []

    def start(*words: str) -> Started:
        words = ("--app", "jobs", "--workers", "1", "--processes", "1", *words)
        started.append(jobs.start(*words, command="server"))
        return started[-1]

    yield start
    jobs.path("open").touch()
    for server in started:
        server.process.terminate()
        assert server.end().code == 0


Serve = Callable[..., Started]


def create(lab: Lab, call: str, count: int = 1) -> None:
    lab.python(f"import jobs\nfor _ in range({count}): jobs.{call}")


def noted(lab: Lab, word: str) -> list[list[str]]:
    log = lab.path("log.txt")
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split() for line in lines if line.startswith(word)]


def await_noted(lab: Lab, word: str, count: int) -> list[list[str]]:
    wait_for(lambda: len(noted(lab, word)) >= count, f"{count} notes of {word}")
    return noted(lab, word)


def test_a_process_is_replaced_after_so_many_pieces_of_work_and_nothing_is_lost(jobs: Lab, serve: Serve) -> None:
    serve("--recycle-jobs", "5")
    for count in range(1, 13):
        create(jobs, "Notes.create(name='n')")
        found = await_noted(jobs, "n", count)
    pids = [pid for _, pid, _ in found]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [5, 5, 2]
    wait_for(lambda: jobs.jobs() == [], "the end of all jobs")


def test_a_process_that_has_grown_too_large_is_replaced(jobs: Lab, serve: Serve) -> None:
    serve("--recycle-mb", "100")
    for count in range(1, 20):
        create(jobs, "Grows.create()")
        pids = {pid for _, pid in await_noted(jobs, "grows", count)}
        if len(pids) > 1:
            return
    raise AssertionError("it was never replaced")


def test_with_reload_new_work_runs_new_code_and_what_runs_is_finished_by_the_old(jobs: Lab, serve: Serve) -> None:
    server = serve("--reload")
    create(jobs, "Gated.create()")
    ((_, old),) = await_noted(jobs, "gated", 1)
    # Not lab.module: that takes the file away first, and a server may look at that moment.
    jobs.path("jobs.py").write_text(jobs.path("jobs.py").read_text().replace("VERSION", "NEWER"))
    create(jobs, "Notes.create(name='n')")
    ((_, new, version),) = await_noted(jobs, "n", 1)
    assert version == "NEWER"
    assert new != old
    assert Path(f"/proc/{old}").exists()
    jobs.path("open").touch()
    wait_for(lambda: not Path(f"/proc/{old}").exists(), "the end of the old worker")
    (job,) = jobs.jobs()
    assert job["state"] == "completed"
    assert " died" not in server.err


def test_figures_are_served_on_a_port(jobs: Lab, serve: Serve) -> None:
    server = serve("--metrics", "0")
    create(jobs, "Notes.create(name='n')", 3)
    port = wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/metrics", server.err), "the port")[1]

    def counted() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return b'penstock_jobs_total{kind="Notes",outcome="completed"} 3.0' in answer.read()

    wait_for(counted, "three completed jobs")


def test_a_server_works_only_on_what_it_is_told_to(jobs: Lab, serve: Serve) -> None:
    serve("--include", "^Notes$", "--where", "name=mine")
    create(jobs, "Grows.create()")
    create(jobs, "Notes.create(name='other')")
    create(jobs, "Notes.create(name='mine')")
    await_noted(jobs, "mine", 1)
    assert noted(jobs, "other") + noted(jobs, "grows") == []
    assert sorted(job["kind"] for job in jobs.jobs()) == ["Grows", "Notes"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--include", "("), "--include '('"),
        (("--where", "name"), "FIELD=VALUE"),
        (("--where", "name__like=x"), "no operator 'like'"),
        (("--subscriber", "nothing:here"), "nothing"),
    ],
)
def test_an_option_that_means_nothing_is_one_line_and_no_server(jobs: Lab, words: tuple[str, ...], told: str) -> None:
    ended = jobs.run("--app", "jobs", *words, command="server")
    assert ended.code == 2
    assert len(ended.told) == 1
    assert told in ended.told[0]
    assert not os.path.exists(jobs.path("log.txt"))
