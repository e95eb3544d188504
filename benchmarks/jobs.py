"""Small jobs that do nothing: enqueued first, then run by two worker processes; and enqueueing itself.

SQLite with synchronous=FULL. Jobs are gone when they are done, as is the default.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.batch import remove_store
from benchmarks.kinds import BenchmarkNothing
from benchmarks.report import Report
from benchmarks.servers import fresh_store, ready_server
from benchmarks.spread import spread

SETTINGS = {"jobs": (20_000, 1000), "more_jobs": (50_000, 2000), "commits": (1000, 100), "rounds": (7, 2)}
LOOK_SECONDS = 0.005
ROW_BYTES = 400
"""About what a row of the jobs table has."""
PAGE_SIZE = 16_384


def run(data: Path, *, jobs: int, more_jobs: int, commits: int, rounds: int) -> Report:
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for count in (jobs, more_jobs):
            in_bulk, done = _enqueue_and_run(data, count)
            figures.setdefault(f"enqueued in bulk, {count:,} at once", []).append(in_bulk)
            figures.setdefault(f"started to done, {count:,}", []).append(done)
        single, bare = _one_at_a_time(data, commits), _bare_commits(data, commits)
        figures.setdefault("enqueued one at a time", []).append(single)
        figures.setdefault("bare commits of sqlite3", []).append(bare)
        figures.setdefault("one at a time : bare commits", []).append(single / bare)
    rows = [{"per second": name, **spread(found)} for name, found in figures.items()]
    return Report({"jobs": rows}, {"runs": figures})


def _enqueue_and_run(data: Path, count: int) -> tuple[float, float]:
    with fresh_store(data / "jobs.db") as store, ready_server(store) as server:
        in_bulk = _timed(lambda: BenchmarkNothing.create_many({} for _ in range(count)))
        done = _timed(lambda: (server.start(), _wait_until_none(), None))
        return count / in_bulk, count / done


def _wait_until_none() -> None:
    while BenchmarkNothing.query.exists():
        time.sleep(LOOK_SECONDS)


def _one_at_a_time(data: Path, commits: int) -> float:
    with fresh_store(data / "jobs.db"):
        return commits / _timed(lambda: [BenchmarkNothing.create() for _ in range(commits)])


def _bare_commits(data: Path, commits: int) -> float:
    """Return how often a second this disk takes a row of that size for good, with nothing around it."""
    path = data / "bare.db"
    remove_store(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE jobs (id BLOB PRIMARY KEY, fields TEXT) WITHOUT ROWID")
    insert = partial(database.execute, "INSERT INTO jobs VALUES (?, ?)")
    seconds = _timed(lambda: [insert((number.to_bytes(16), "x" * ROW_BYTES)) for number in range(commits)])
    database.close()
    remove_store(path)
    return commits / seconds


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
