"""What Penstock's notifications cost an application that commits single rows in the same PostgreSQL.

NOTIFY makes the commits that send one wait for each other, those of the whole database. So two connections commit
rows as fast as they can while jobs are enqueued one at a time at a steady pace, each announced by NOTIFY because a
server listens, and again with the same jobs where nobody listens, so that none is sent; in alternation.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psycopg

from benchmarks.postgres import started_postgres
from penstock.bench.ground import Ground
from penstock.bench.kinds import BenchmarkNothing
from penstock.bench.report import Report, Row
from penstock.store.protocol import Topic

SETTINGS = {"seconds": (10, 1), "pairs": (7, 1), "jobs_per_second": (200, 50)}
CONNECTIONS = 2
CREATE = "CREATE TABLE IF NOT EXISTS penstock_bench_orders (id bigserial PRIMARY KEY, item text, amount int)"
INSERT = "INSERT INTO penstock_bench_orders (item, amount) VALUES ('a thing that was ordered', 3)"


def run(ground: Ground, *, seconds: int, pairs: int, jobs_per_second: int) -> Report:
    made: dict[str, list[tuple[float, float, int]]] = {"with NOTIFY": [], "without": []}
    with started_postgres(ground) as url, Ground(ground.folder, url).fresh_store("oltp") as store:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CREATE)
        for number in range(pairs):
            for way in made if number % 2 == 0 else reversed(list(made)):
                heard = threading.Event()
                with _listened(store, heard) if way == "with NOTIFY" else _nobody():
                    made[way].append(_rates(url, seconds, jobs_per_second))
                if (way == "with NOTIFY") is not heard.is_set():
                    raise RuntimeError(f"{way}: notifications came {'not ' if not heard.is_set() else ''}at all")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE penstock_bench_orders")
    rows: list[Row] = [
        {
            "": way,
            "commits/s": median(rate for rate, _, _ in found),
            "least": min(rate for rate, _, _ in found),
            "most": max(rate for rate, _, _ in found),
            "jobs/s": median(rate for _, rate, _ in found),
        }
        for way, found in made.items()
    ]
    kept = [one[0] / other[0] for one, other in zip(made["with NOTIFY"], made["without"], strict=True)]
    ratio: Row = {"": "with NOTIFY : without", "median": median(kept), "least": min(kept), "most": max(kept)}
    return Report({f"single-row commits of {CONNECTIONS} connections": rows, "what is left": [ratio]}, {"runs": made})


def _rates(url: str, seconds: int, jobs_per_second: int) -> tuple[float, float, int]:
    """Return commits a second of the application, jobs a second beside it, and how many jobs that were."""
    end = time.perf_counter() + seconds
    counts = [0] * CONNECTIONS

    def commit(place: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while time.perf_counter() < end:
                connection.execute(INSERT)
                counts[place] += 1

    threads = [threading.Thread(target=commit, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    jobs = _enqueue_until(end, jobs_per_second)
    for thread in threads:
        thread.join()
    return sum(counts) / seconds, jobs / seconds, jobs


def _enqueue_until(end: float, jobs_per_second: int) -> int:
    began, jobs = time.perf_counter(), 0
    while (now := time.perf_counter()) < end:
        due = began + jobs / jobs_per_second
        if due > now:
            time.sleep(min(due, end) - now)
            continue
        BenchmarkNothing.create()
        jobs += 1
    return jobs


@contextmanager
def _listened(store: object, heard: threading.Event) -> Iterator[None]:
    """Have somebody wait for work, as an idle server does."""
    listening = store.listen(Topic.WORK, heard.set)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        listening.close()


@contextmanager
def _nobody() -> Iterator[None]:
    yield
