"""The job classes that the measurements run."""

import time

from penstock import BatchJob, Job


class BenchmarkReverse(BatchJob):
    slice_size = 1000
    collect_output = True
    destroy_on_complete = False

    def perform(self, line: str) -> str:
        return line[::-1]


class BenchmarkNothing(Job):
    """Does nothing, and is gone when it is done."""

    def perform(self) -> None:
        pass


class BenchmarkMoment(Job):
    """Returns when it was performed."""

    collect_output = True
    destroy_on_complete = False

    def perform(self) -> int:
        return time.time_ns()
