"""Ctrl-C and SIGTERM to a run: once it stops in order and says how to go on, twice it ends at once."""

import os
import signal
import subprocess
import time

import pytest
from tests.process.lab import Lab, Started, children, wait_for
from tests.tables import size

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from penstock import BatchJob

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Slow(BatchJob):
        collect_output = True
        slice_size = 10
        def perform(self, line):
            os.write(LOG, b"%d\\n" % self.record_number)
            time.sleep(0.004)
            return line[::-1]

    class Stuck(BatchJob):
        collect_output = True
        slice_size = 10
        def perform(self, line):
            os.write(LOG, b"%d\\n" % self.record_number)
            time.sleep(60)
            return line
"""
ONCE = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
OVERLAP = pytest.mark.parametrize("overlap", [[], ["--overlap"]], ids=["", "overlap"])
COUNT = 3_000


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


def reversed_lines(lines: list[str]) -> bytes:
    return "".join(f"{line[::-1]}\n" for line in lines).encode()


def performed(lab: Lab) -> list[int]:
    log = lab.path("log.txt")
    return [*map(int, log.read_text().split())] if log.exists() else []


def await_performed(lab: Lab, count: int) -> None:
    wait_for(lambda: len(performed(lab)) >= count, f"{count} records performed")


@ONCE
@OVERLAP
def test_once_during_processing_it_stops_and_the_printed_command_goes_on(
    jobs: Lab, number: signal.Signals, overlap: list[str]
) -> None:
    lines = jobs.lines("in.txt", COUNT)
    run = jobs.start("jobs:Slow", "--input", "in.txt", "--output", "out.txt", *overlap)
    await_performed(jobs, 300)
    run.signal(number)
    ended = run.end()
    assert ended.code == 130, ended.err
    assert len(ended.told) == 1, ended.err
    assert not ended.untold
    assert not jobs.path("out.txt").exists()
    assert not jobs.litter()
    (job,) = jobs.jobs()
    checked = jobs.check(job["id"])
    assert checked["running"] == 0
    # What was begun was finished, and nothing of it was performed in vain.
    assert checked["processed"] == len(performed(jobs))
    resumed = jobs.printed_command(ended.err)
    assert resumed.code == 0, resumed.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)
    assert sorted(performed(jobs)) == list(range(1, COUNT + 1))
    assert jobs.jobs() == []


def test_ctrl_c_at_a_terminal_reaches_the_whole_group_and_no_work_is_lost(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", COUNT)
    run = jobs.start("jobs:Slow", "--input", "in.txt", "--output", "out.txt")
    await_performed(jobs, 300)
    os.killpg(run.process.pid, signal.SIGINT)
    ended = run.end()
    assert ended.code == 130, ended.err
    assert jobs.printed_command(ended.err).code == 0
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)
    assert sorted(performed(jobs)) == list(range(1, COUNT + 1))


def test_the_printed_command_works_from_another_folder_and_with_odd_names(jobs: Lab) -> None:
    lines = jobs.lines("in put's.txt", COUNT)
    run = jobs.start("jobs:Slow", "--input", "in put's.txt", "--output", "out $HOME 'put.txt", "--set", "slice_size=7")
    await_performed(jobs, 300)
    run.signal(signal.SIGINT)
    ended = run.end()
    assert ended.code == 130, ended.err
    resumed = jobs.printed_command(ended.err)
    assert resumed.code == 0, resumed.err
    assert jobs.path("out $HOME 'put.txt").read_bytes() == reversed_lines(lines)


@ONCE
@OVERLAP
def test_once_during_the_upload_from_a_pipe_nothing_stays(
    jobs: Lab, number: signal.Signals, overlap: list[str]
) -> None:
    run = jobs.start(
        "jobs:Slow", "--input", "-", "--output", "out.txt", *overlap, "--set", "slice_size=5", stdin=subprocess.PIPE
    )
    assert run.process.stdin
    with run.process.stdin as pipe:
        # Enough for slices to be stored: some megabytes.
        pipe.write(b"some line of no interest, but of a fair length\n" * 150_000)
        pipe.flush()
        wait_for(lambda: size(jobs.url) > 2e6, "slices in the store")
        if overlap:
            await_performed(jobs, 20)
        run.signal(number)
        ended = run.end(20)
    check_nothing_stays(jobs, ended.code, ended.err)


def check_nothing_stays(lab: Lab, code: int, err: str) -> None:
    assert code == 130, err
    told = [line for line in err.splitlines() if line.startswith("penstock: ")]
    assert len(told) == 1, err
    assert "same command again" in told[0]
    assert "Traceback" not in err
    assert not lab.path("out.txt").exists()
    assert not lab.litter()
    assert lab.jobs() == []
    assert lab.run("--resume", "--app", "jobs").code == 4


def test_once_during_the_upload_from_a_pipe_that_says_nothing_it_ends_too(jobs: Lab) -> None:
    run = jobs.start("jobs:Slow", "--input", "-", "--output", "out.txt", stdin=subprocess.PIPE)
    assert run.process.stdin
    with run.process.stdin:
        wait_for(lambda: run.workers() and size(jobs.url), "the upload")
        time.sleep(0.3)  # Nothing tells from outside that it waits for the first byte.
        run.signal(signal.SIGINT)
        ended = run.end(20)
    check_nothing_stays(jobs, ended.code, ended.err)


@OVERLAP
def test_a_stop_just_before_the_upload_is_not_lost_though_the_pipe_never_ends(jobs: Lab, overlap: list[str]) -> None:
    run = jobs.start("jobs:Slow", "--input", "-", "--output", "out.txt", *overlap, stdin=subprocess.PIPE)
    assert run.process.stdin
    with run.process.stdin:
        # Workers are started before the upload, and it takes some milliseconds.
        wait_for(lambda: children(run.process.pid), "the first worker")
        run.signal(signal.SIGINT)
        ended = run.end(20)
    check_nothing_stays(jobs, ended.code, ended.err)


@OVERLAP
def test_once_during_the_upload_of_a_big_file_nothing_stays(jobs: Lab, overlap: list[str]) -> None:
    with jobs.path("in.txt").open("wb") as file:
        for _ in range(100):
            file.write(b"some line of no interest, but of a fair length\n" * 20_000)
    run = jobs.start("jobs:Slow", "--input", "in.txt", "--output", "out.txt", *overlap)
    wait_for(lambda: size(jobs.url) > 10e6, "slices in the store")
    run.signal(signal.SIGINT)
    ended = run.end()
    assert "processing: " not in ended.err or overlap
    check_nothing_stays(jobs, ended.code, ended.err)


@ONCE
@OVERLAP
def test_twice_it_ends_at_once_though_perform_blocks(jobs: Lab, number: signal.Signals, overlap: list[str]) -> None:
    jobs.lines("in.txt", COUNT)
    run = jobs.start("jobs:Stuck", "--input", "in.txt", "--output", "out.txt", *overlap)
    await_performed(jobs, 2)
    run.signal(number)
    await_stopping(run)
    run.signal(number)
    # A perform takes a minute, the grace half of one.
    ended = run.end(10)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    jobs.await_none_living()
    assert not jobs.path("out.txt").exists()
    assert not jobs.litter()
    (job,) = jobs.jobs()
    assert jobs.check(job["id"])["uploaded"] == COUNT
    jobs.module("jobs", JOBS.replace("time.sleep(60)", "pass"))
    resumed = jobs.run("--resume", "--app", "jobs", "--output", "out.txt")
    assert resumed.code == 0, resumed.err
    assert jobs.path("out.txt").read_bytes() == jobs.path("in.txt").read_bytes()


def await_stopping(run: Started) -> None:
    """Wait until the handler of the first signal has run, so that the second is not one with it."""

    def pending() -> int:
        with open(f"/proc/{run.process.pid}/status") as status:
            return next(int(line.split()[1], 16) for line in status if line.startswith("ShdPnd"))

    wait_for(lambda: not pending(), "the first signal to be taken")
    time.sleep(0.3)  # Python calls its handler some instructions later.


def test_a_stop_waits_no_longer_than_the_grace_for_what_runs(jobs: Lab) -> None:
    jobs.lines("in.txt", COUNT)
    run = jobs.start("jobs:Stuck", "--input", "in.txt", "--output", "out.txt", "--grace", "0.2")
    await_performed(jobs, 2)
    run.signal(signal.SIGTERM)
    ended = run.end(20)
    assert ended.code == 130, ended.err
    (job,) = jobs.jobs()
    checked = jobs.check(job["id"])
    assert (checked["queued"], checked["running"], checked["failed"]) == (COUNT, 0, 0)
    assert job["failure_count"] == 0
