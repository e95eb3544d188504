"""Memory of processes over a long time, and whether it grows."""

import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field

from penstock.bench.processes import resident_megabytes

MOST_GROWTH = 0.10
"""The part by which the last quarter may be above the second."""
LEAST_GROWTH = 5.0
"""MB below which a difference is that of an allocator, and no growth."""


@dataclass
class Series:
    """What one sort of process had, by the moment."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of a monotonic clock, and MB."""

    def sample(self, *pids: int) -> None:
        """Look at these processes; one that has just ended is left out."""
        for pid in pids:
            with suppress(OSError, IndexError):
                self.samples.append((time.monotonic(), resident_megabytes(pid)))

    def quarter(self, number: int) -> float:
        """Return the median of a quarter of the time, from 0; that of all where there is nothing in it."""
        began, ended = self.samples[0][0], self.samples[-1][0]
        length = (ended - began) / 4
        within = [mb for at, mb in self.samples if began + number * length <= at <= began + (number + 1) * length]
        return statistics.median(within or [mb for _, mb in self.samples])

    @property
    def per_hour(self) -> float:
        """The slope from the second quarter to the last, in MB an hour. The first is that of warming up."""
        seconds = (self.samples[-1][0] - self.samples[0][0]) / 2
        return (self.quarter(3) - self.quarter(1)) / seconds * 3600 if seconds else 0.0

    @property
    def grows(self) -> bool:
        """Whether the last quarter is above the second by more than chance."""
        before, after = self.quarter(1), self.quarter(3)
        return after - before > max(LEAST_GROWTH, before * MOST_GROWTH)
