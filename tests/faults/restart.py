"""`python -m tests.faults.restart`: how soon after a restart of PostgreSQL under load the full rate is there again.

Two servers perform small jobs that others enqueue all the time. The rate is what was completed in each second; the
time told is from the moment at which PostgreSQL takes connections again to the first second with at least 90 % of the
median rate before.
"""

import argparse
import sys
import time
from dataclasses import dataclass

from tests.faults.load import load, median_rate, per_second
from tests.postgres import own_postgres


@dataclass
class Measured:
    """What was measured."""

    before: float
    """Jobs per second, the median of the seconds before."""
    recovered: float | None
    """Seconds until the rate was there again; None where it never was."""
    stored: int
    """Jobs that were acknowledged."""
    unknown: int
    """Those of which it was not known whether they were stored."""
    performed: int

    @property
    def lost(self) -> int:
        """Jobs that were acknowledged and not performed."""
        return max(0, self.stored - self.performed)


def measure(before: float = 10.0, after: float = 20.0, mode: str = "fast") -> Measured:
    """Restart PostgreSQL after so many seconds of load, and look for so many more."""
    with own_postgres() as postgres, load(f"{postgres.url}&schema=restarted") as loaded:
        began = time.monotonic()
        time.sleep(before)
        stopped = time.monotonic()
        postgres.restart(mode)
        returned = time.monotonic()
        time.sleep(after)
        ended = time.monotonic()
        loaded.end()
        tenths = loaded.tenths()
        rate = median_rate(tenths, began, stopped)
        seconds = range(int(returned * 10), int((ended - 1) * 10))
        again = next((at / 10 - returned for at in seconds if per_second(tenths, at) >= 0.9 * rate), None)
        return Measured(rate, again, loaded.counted("stored"), loaded.counted("unknown"), sum(tenths.values()))


def main() -> int:
    """Measure, and tell; returns 1 where a job was lost or the rate did not come back within 10 s."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.restart", description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=["fast", "immediate"], default="fast", help="immediate is a crash")
    parser.add_argument("--before", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--after", type=float, default=20.0, metavar="SECONDS")
    asked = parser.parse_args()
    told = measure(asked.before, asked.after, asked.mode)
    when = "never again" if told.recovered is None else f"again {told.recovered:.1f} s after its return"
    print(f"{told.before:,.0f} jobs/s before; 90 % of that {when}")
    print(f"{told.stored:,} acknowledged, {told.unknown:,} not known, {told.performed:,} performed: {told.lost} lost")
    return 1 if told.lost or told.recovered is None or told.recovered > 10 else 0


if __name__ == "__main__":
    sys.exit(main())
