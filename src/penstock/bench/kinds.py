"""The job classes that the measurements run."""

import time

from penstock.batch.job import BatchJob
from penstock.bench.functions import work
from penstock.model.job import Job


class BenchmarkReverse(BatchJob):
    """Reverses lines."""

    slice_size = 1000
    collect_output = True
    destroy_on_complete = False

    def perform(self, line: str) -> str:  # type: ignore[override]
        """Return the line reversed."""
        return line[::-1]


class BenchmarkWork(BatchJob):
    """Works about 10 µs on each line, where `BENCHMARK_ROUNDS` says how long that is."""

    slice_size = 1000
    collect_output = True
    destroy_on_complete = False

    def perform(self, line: str) -> str:  # type: ignore[override]
        """Return the line reversed, after a while."""
        return work(line)


class BenchmarkNothing(Job):
    """Does nothing, and is gone when it is done."""

    def perform(self) -> None:
        """Do nothing."""


class BenchmarkMoment(Job):
    """Returns when it was performed."""

    collect_output = True
    destroy_on_complete = False

    def perform(self) -> int:
        """Return the nanoseconds since 1970."""
        return time.time_ns()
