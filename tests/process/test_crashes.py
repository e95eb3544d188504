"""Workers and dispatchers that are killed: the work goes on, and what kills its worker is found out."""

import os
import signal
from collections import Counter

import pytest
from tests.process.lab import Lab, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, signal, time
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Slow(BatchJob):
        collect_output = True
        seconds: float = 0.002
        def perform(self, line):
            os.write(LOG, b"%d\\n" % os.getpid())
            time.sleep(self.seconds)
            return line[::-1]

    class Poison(BatchJob):
        collect_output = True
        bad: list[int] = []
        by: int = signal.SIGKILL
        def perform(self, line):
            os.write(LOG, b"%d\\n" % self.record_number)
            if self.record_number in self.bad:
                print("about to die", flush=True)
                os.kill(os.getpid(), self.by)
                time.sleep(10)
            return line[::-1]

    class Regular(Job):
        def perform(self):
            os.write(LOG, b"x\\n")
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(10)

    class Leaving(BatchJob):
        collect_output = True
        how: str = "exit"
        def perform(self, line):
            if self.record_number == 5:
                raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "base": BaseException("odd")}[self.how]
            return line
"""


def reversed_lines(lines: list[str]) -> bytes:
    return "".join(f"{line[::-1]}\n" for line in lines).encode()


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


def test_a_killed_worker_is_replaced_and_its_slices_are_done_by_others(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 2_000)
    run = jobs.start(
        *("jobs:Slow", "--input", "in.txt", "--output", "out.txt", "--set", "slice_size=5", "--workers", "2"),
        *("--processes", "2"),
    )
    for killed in range(3):
        # One that has done some slices, so that its pace is known and it holds slices ahead.
        worker = wait_for(lambda: _busy(jobs, run.workers()), "a worker at work")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda killed=killed: run.err.count("killed by SIGKILL") > killed, "news of its death")
    ended = run.end()
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)


def _busy(lab: Lab, workers: list[int]) -> int | None:
    """Return a worker that has performed many records, and still does."""
    log = lab.path("log.txt")
    performed = Counter(map(int, log.read_text().split())) if log.exists() else Counter()
    return next((pid for pid in workers if performed[pid] > 100), None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_record_that_kills_its_worker_three_times_is_named_with_the_signal(jobs: Lab, number: signal.Signals) -> None:
    lines = jobs.lines("in.txt", 400)
    ended = jobs.run(
        *("jobs:Poison", "--input", "in.txt", "--output", "out.txt", "--set", "bad=[57]"),
        *("--set", "slice_size=10", "--set", f"by={int(number)}"),
    )
    assert ended.code == 1, ended.err
    named = [line for line in ended.err.splitlines() if "in.txt:57" in line]
    assert len(named) == 1, ended.err
    assert "WorkerCrashed" in named[0]
    assert number.name in named[0]
    assert not jobs.path("out.txt").exists()
    performed = jobs.path("log.txt").read_text().split()
    assert performed.count("57") == 3
    assert sorted({int(number) for number in performed} | set(range(58, 61))) == list(range(1, 401))
    (job,) = jobs.jobs()
    checked = jobs.check(job["id"])
    assert (checked["processed"], checked["failed"], checked["outputs"]) == (390, 10, {"main": 390})
    (failed,) = jobs.show(job["id"])["failed_records"]
    assert (failed["record"], failed["line"], failed["slice"]) == (57, 57, 6)

    jobs.module("jobs", JOBS.replace("if self.record_number in self.bad:", "if False:"))
    resumed = jobs.run("--resume", job["id"], "--app", "jobs", "--output", "out.txt")
    assert resumed.code == 0, resumed.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)


def test_several_poisonous_slices_are_all_found_and_the_others_complete(jobs: Lab) -> None:
    jobs.lines("in.txt", 300)
    ended = jobs.run(
        *("jobs:Poison", "--input", "in.txt", "--output", "out.txt", "--set", "bad=[3, 155, 300]"),
        *("--set", "slice_size=10"),
    )
    assert ended.code == 1, ended.err
    for number in (3, 155, 300):
        assert f"in.txt:{number}: " in ended.err
    (job,) = jobs.jobs()
    assert jobs.check(job["id"])["failed"] == 30


def test_a_regular_job_that_kills_its_worker_is_failed_after_three_times(jobs: Lab) -> None:
    ended = jobs.run("jobs:Regular")
    assert ended.code == 1, ended.err
    assert "WorkerCrashed" in ended.err
    assert "SIGKILL" in ended.err
    assert jobs.path("log.txt").read_text() == "x\n" * 3


@pytest.mark.parametrize("how", ["exit", "interrupt", "base"])
def test_what_ends_a_process_raised_in_perform_is_a_failure_of_that_record(jobs: Lab, how: str) -> None:
    jobs.lines("in.txt", 20)
    ended = jobs.run("jobs:Leaving", "--input", "in.txt", "--output", "out.txt", "--set", f"how={how}")
    assert ended.code == 1, ended.err
    assert "in.txt:5: " in ended.err
    assert "WorkerCrashed" not in ended.err
