"""Jobs put into the store, many at once and one at a time; beside these, bare commits of a row of their size.

Bare commits go through the same driver, on the same disk or server, with nothing around them.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from penstock.bench.ground import Ground, remove_store
from penstock.bench.kinds import BenchmarkNothing
from penstock.bench.report import Report
from penstock.bench.spread import spread

SETTINGS = {"jobs": (20_000, 2000), "commits": (1000, 100), "rounds": (7, 2)}
ROW = "x" * 400
"""About what a row of the jobs table has."""
PAGE_SIZE = 16_384
Commit = Callable[[int], object]


def run(ground: Ground, *, jobs: int, commits: int, rounds: int) -> Report:
    """Measure in turns."""
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        with ground.fresh_store("enqueue"):
            seconds, cpu = _timed(lambda: BenchmarkNothing.create_many({} for _ in range(jobs)))
            figures.setdefault(f"in bulk, {jobs:,} at once, per second", []).append(jobs / seconds)
            figures.setdefault("in bulk, CPU µs of the client each", []).append(cpu / jobs * 1e6)
            seconds, cpu = _timed(lambda: [BenchmarkNothing.create() for _ in range(commits)])
            single = commits / seconds
            figures.setdefault("one at a time, per second", []).append(single)
            figures.setdefault("one at a time, CPU µs of the client each", []).append(cpu / commits * 1e6)
        with bare_commits(ground) as commit:
            seconds, _ = _timed(lambda commit=commit: [commit(number) for number in range(commits)])  # type: ignore[misc]
            figures.setdefault("bare commits, per second", []).append(commits / seconds)
            figures.setdefault("one at a time : bare commits", []).append(single / (commits / seconds))
    rows = [{"": name, **spread(found)} for name, found in figures.items()]
    return Report({f"enqueued on {ground.engine}": rows}, {"runs": figures})


@contextmanager
def bare_commits(ground: Ground) -> Iterator[Commit]:
    """Give what stores a row for good: the driver, and nothing around it."""
    with _bare_sqlite(ground) if ground.postgres is None else _bare_postgres(ground.postgres) as commit:
        yield commit


@contextmanager
def _bare_sqlite(ground: Ground) -> Iterator[Commit]:
    url = ground.url("bare")
    remove_store(url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE jobs (id BLOB PRIMARY KEY, fields TEXT) WITHOUT ROWID")
        yield lambda number: database.execute("INSERT INTO jobs VALUES (?, ?)", (number.to_bytes(16), ROW))
    remove_store(url)


@contextmanager
def _bare_postgres(url: str) -> Iterator[Commit]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS penstock_bench_bare")
        connection.execute("CREATE TABLE penstock_bench_bare (id bigint PRIMARY KEY, fields text)")
        yield lambda number: connection.execute("INSERT INTO penstock_bench_bare VALUES (%s, %s)", (number, ROW))
        connection.execute("DROP TABLE penstock_bench_bare")


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that an action takes, and those of the processor in this thread."""
    began, used = time.perf_counter(), time.thread_time()
    action()
    return time.perf_counter() - began, time.thread_time() - used
