"""`python -m tests.faults.snapshot --seconds 600`: the rate while a transaction is held open, and what it costs.

PostgreSQL can clean up nothing that is younger than the oldest transaction. Two servers perform small jobs that others
enqueue all the time: first for a while as they are, then under one or more snapshots, then again without.
"""

import argparse
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
from tests.faults.load import load, median_rate
from tests.postgres import own_postgres

SCHEMA = "held"
SIZES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relnamespace = %s::regnamespace AND relkind = 'r'
"""


@dataclass
class Part:
    """A part of the measurement."""

    name: str
    rate: float
    """Jobs per second, the median."""
    done: int
    """Jobs performed in it."""
    megabytes: float
    """What the tables and their indexes take at its end."""


def measure(seconds: float, around: float, readers: int, rate: float) -> list[Part]:
    """Measure without a snapshot for `around` seconds, under it for `seconds`, and without it again."""
    parts, ends = [], []
    with own_postgres() as postgres, load(f"{postgres.url}&schema={SCHEMA}", rate) as loaded:
        for name, length, held in (("before", around, 0), ("held", seconds, readers), ("after", around, 0)):
            with ExitStack() as stack:
                for _ in range(held):
                    reader = stack.enter_context(psycopg.connect(postgres.url))
                    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    reader.execute("SELECT count(*) FROM pg_class")
                began = time.monotonic()
                time.sleep(length)
                ends.append((name, began, time.monotonic(), _megabytes(postgres.url)))
        loaded.end()
        tenths = loaded.tenths()
    for name, began, ended, megabytes in ends:
        done = sum(count for tenth, count in tenths.items() if began * 10 <= tenth < ended * 10)
        parts.append(Part(name, median_rate(tenths, began, ended), done, megabytes))
    return parts


def _megabytes(url: str) -> float:
    with psycopg.connect(url) as connection:
        return sum(size for _, size in connection.execute(SIZES, (SCHEMA,))) / 1e6


def main() -> int:
    """Measure, and tell; returns 1 where the rate under the snapshot was below 90 % of that around it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.snapshot", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the snapshot is held")
    parser.add_argument("--around", type=float, default=90.0, help="how long it is measured before, and after")
    parser.add_argument("--readers", type=int, default=1, help="how many hold one")
    parser.add_argument(
        "--rate", type=float, default=math.inf, help="jobs enqueued each second; else as many as are done"
    )
    asked = parser.parse_args()
    parts = measure(asked.seconds, asked.around, asked.readers, asked.rate)
    for part in parts:
        print(f"{part.name:7} {part.rate:8,.0f} jobs/s {part.done:10,} jobs {part.megabytes:8,.1f} MB of tables")
    before, held, after = parts
    share = held.rate / ((before.rate + after.rate) / 2)
    growth = (held.megabytes - before.megabytes) * 1e6 / max(1, held.done)
    print(f"under the snapshot {share:.0%} of the rate, and {growth:,.0f} bytes of growth for each job")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
