"""While a batch job fills all workers, a more urgent job starts within one slice. By counts, not by time."""

import statistics

import pytest
from tests.process.lab import Lab, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what):
        os.write(LOG, b"%s %d\\n" % (what.encode(), time.monotonic_ns()))

    class Long(BatchJob):
        slice_size = 5
        seconds: float = 0.001
        def perform(self, line):
            if self.record_number % self.slice_size == 1:
                note("slice")
            time.sleep(self.seconds)

    class Urgent(Job):
        priority = 1
        def perform(self):
            note("urgent")
"""
SLOTS = 2
URGENT = 5


def logged(lab: Lab, what: str) -> list[int]:
    """Return the moments at which something started."""
    log = lab.path("log.txt")
    pairs = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return sorted(int(moment) for name, moment in pairs if name == what)


# Not shorter: a slice must last longer than it takes to hear of a job and claim it.
@pytest.mark.parametrize("slice_seconds", [0.02, 0.2])
def test_an_urgent_job_starts_within_one_slice_of_each_slot(lab: Lab, slice_seconds: float) -> None:
    lab.module("jobs", JOBS)
    count = int(60 / slice_seconds) * SLOTS * 5
    lab.python(
        """
        import sys, jobs
        job = jobs.Long(seconds=float(sys.argv[1]))
        job.upload(map(str, range(int(sys.argv[2]))))
        job.save()
        """,
        str(slice_seconds / 5),
        str(count),
    )
    server = lab.start("--app", "jobs", "--workers", str(SLOTS), "--grace", "0", command="server")
    wait_for(lambda: len(logged(lab, "slice")) > 10, "slices at work")
    between = []
    for number in range(URGENT):
        before = len(logged(lab, "slice"))
        saved = int(lab.python("import time, jobs; jobs.Urgent.create(); print(time.monotonic_ns())"))
        wait_for(lambda number=number: len(logged(lab, "urgent")) > number, "the urgent job")
        started = logged(lab, "urgent")[number]
        between.append(sum(saved < moment < started for moment in logged(lab, "slice")))
        wait_for(lambda before=before: len(logged(lab, "slice")) > before + 2 * SLOTS, "slices at work again")
    server.signal(15)
    assert server.end().code == 0, server.err
    # One that starts while the job is being saved is none of ours; the processes of this test take turns with the
    # server's, so one single job may be held up by them.
    assert statistics.median(between) <= SLOTS + 1, between
    assert max(between) <= SLOTS + 1 or slice_seconds < 0.1, between
