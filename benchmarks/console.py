"""What the console's pages read and how long they take with very many jobs and slices, beside an empty store.

The functions of the service behind each page, in one process. Rows are those that the engine touched: in SQLite the
steps of its virtual machine, in PostgreSQL the rows that its statistics count for the transaction.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from penstock.bench.ground import Ground, remove_store  # noqa: E402
from penstock.bench.report import Report  # noqa: E402
from penstock.ids import new_id  # noqa: E402
from penstock.service.auditing import list_audit  # noqa: E402
from penstock.service.forms import list_kinds  # noqa: E402
from penstock.service.health import figures_text, progress_made  # noqa: E402
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job  # noqa: E402
from penstock.service.listing import ListAsked, counts_of_jobs, page_of_jobs  # noqa: E402
from penstock.service.overview import show_overview  # noqa: E402
from penstock.service.people import Person  # noqa: E402
from penstock.service.schedules import list_schedules  # noqa: E402
from penstock.service.servers import list_servers  # noqa: E402
from penstock.service.working import work_under_way  # noqa: E402
from penstock.states import SubState  # noqa: E402
from penstock.store import close_store, open_store  # noqa: E402
from penstock.store.protocol import Store  # noqa: E402
from penstock.store.rows import JobRow, NewSlice  # noqa: E402

SETTINGS = {"page_jobs": (1_000_000, 5_000), "page_slices": (100_000, 1_000), "page_rounds": (15, 3)}
ADA = Person("ada", ["admin"])
KINDS = 20
AT_ONCE = 20_000
"""Jobs stored in one statement."""
STATES = ("completed", "failed", "queued", "scheduled", "aborted", "paused", "held")


def run(ground: Ground, *, page_jobs: int, page_slices: int, page_rounds: int) -> Report:
    tables = {}
    for engine, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgres)):
        figures: dict[str, dict[str, tuple[float, float]]] = {}
        for filled in (False, True):
            with opened(ground.folder) as store:
                single, batch = _fill(store, page_jobs if filled else 0, page_slices if filled else 3)
                for name, page in pages(single, batch).items():
                    figures.setdefault(name, {})["filled" if filled else "empty"] = _measured(store, page, page_rounds)
        tables[f"{engine}: {page_jobs:,} jobs, {page_slices:,} slices"] = [
            {
                "page": name,
                "rows empty": f"{found['empty'][0]:,.0f}",
                "rows filled": f"{found['filled'][0]:,.0f}",
                "ms empty": f"{found['empty'][1]:.2f}",
                "ms filled": f"{found['filled'][1]:.2f}",
                "ratio": f"{found['filled'][1] / found['empty'][1]:.2f}",
            }
            for name, found in figures.items()
        ]
    return Report(tables)


def pages(single: UUID, batch: UUID) -> dict[str, Callable[[Store], object]]:
    """What each page asks of the service."""
    lists = ("all", "running", "queued", "scheduled", "paused", "completed", "failed", "aborted")
    found: dict[str, Callable[[Store], object]] = {
        "counts": counts_of_jobs,
        "overview": show_overview,
        **{f"list {name}": _listing(ListAsked(name)) for name in lists},
        "searched": _listing(ListAsked("all", search="no such text")),
        "filtered": _listing(ListAsked("all", where=["color=none"])),
        "filtered, indexed": _listing(ListAsked("all", where=["customer=c7"])),
        "job": lambda store: view_job(store, single, by=ADA),
        "batch job": lambda store: view_job(store, batch, by=ADA),
        "slices": lambda store: strip_of_slices(store, batch),
        "failures": lambda store: failures_of_job(store, batch),
        "log": lambda store: log_of_job(store, batch),
        "audit": list_audit,
        "schedules": list_schedules,
        "servers": list_servers,
        "workers": work_under_way,
        "kinds": list_kinds,
        "health": progress_made,
        "figures": figures_text,
    }
    return found


def _listing(asked: ListAsked) -> Callable[[Store], object]:
    return lambda store: page_of_jobs(store, asked)


def _measured(store: Store, page: Callable[[Store], object], rounds: int) -> tuple[float, float]:
    """Return how many rows a page reads, and the median of its milliseconds."""
    page(store)
    rows = _rows(store, page)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        page(store)
        seconds.append(time.perf_counter() - began)
    return rows, 1000 * median(seconds)


def _rows(store: Any, page: Callable[[Store], object]) -> int:
    if store.url.startswith("sqlite"):
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        with store.connections.reading() as connection:
            connection.set_progress_handler(step, 1)
            page(store)
            connection.set_progress_handler(None, 1)
        return count
    asked = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables"
    with store.transaction():
        ((before,),) = store.connections.fetch(asked)
        page(store)
        ((after,),) = store.connections.fetch(asked)
    return int(after - before)


# Stores -------------------------------------------------------------------------------------------


@contextmanager
def _sqlite(data: Path) -> Iterator[Store]:
    path = data / "console.db"
    remove_store(f"sqlite:///{path}")
    url = f"sqlite:///{path}"
    yield open_store(url)
    close_store(url)
    remove_store(f"sqlite:///{path}")


@contextmanager
def _postgres(_: Path) -> Iterator[Store]:
    from tests.postgres import drop_schema, running_postgres

    for server in running_postgres():
        url = f"{server}{'&' if '?' in server else '?'}schema=console_{new_id().hex[:8]}"
        yield open_store(url)
        close_store(url)
        drop_schema(server, url.rpartition("schema=")[2])


def _fill(store: Any, jobs: int, slices: int) -> tuple[UUID, UUID]:
    """Store jobs of all states and a batch job with slices; returns one of the jobs, and the batch job."""
    from penstock import clock

    store.index_fields(["customer", "cron_schedule"])
    now = clock.now()
    single = JobRow(new_id(), "Kind0", False, now, fields='{"description": "one"}')
    batch = JobRow(new_id(), "Lines", True, now, record_count=slices)
    store.insert_jobs([single, batch])
    for start in range(0, slices, 10_000):
        numbers = range(start + 1, min(start + 10_000, slices) + 1)
        store.append_slices(batch.id, "main", [NewSlice(number, 1, b"T\n") for number in numbers])
    store.start_batch(batch.id, sub_state=SubState.PROCESSING, server="bench", now=now)
    if jobs:
        add_jobs(store, jobs)
    return single.id, batch.id


def add_jobs(store: Any, count: int, *, first: int = 1) -> None:
    """Store jobs of all states, numbered from `first`."""
    from penstock import clock

    insert = _insert_sqlite if store.url.startswith("sqlite") else _insert_postgres
    for start in range(first, first + count, AT_ONCE):  # A statement of a store may not take for ever.
        insert(store, start, min(start + AT_ONCE, first + count) - 1, clock.now())


_FIELDS = """'{"description": "job ' || i || '", "customer": "c' || i || '", "color": "red"}'"""


def _insert_sqlite(store: Any, first: int, last: int, now: Any) -> None:
    from penstock.clock import to_micros

    moment = to_micros(now)
    with store.transaction(), store.connections.reading() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO jobs (id, kind, batch, state, priority, runnable, created_at, run_at, held_until,"
            " completed_at, destroy_on_complete, fields)"
            " SELECT CAST(printf('%016d', i) AS BLOB), 'Kind' || (i % ?), 0,"
            " CASE i % 7 WHEN 0 THEN 'completed' WHEN 1 THEN 'failed' WHEN 4 THEN 'aborted' WHEN 5 THEN 'paused'"
            " ELSE 'queued' END, 50, i % 7 = 2, ?, CASE i % 7 WHEN 3 THEN ? + i END, CASE i % 7 WHEN 6 THEN ? + i END,"
            f" CASE WHEN i % 7 IN (0, 1, 4, 5) THEN ? + i END, 0, {_FIELDS} FROM n",
            (first, last, KINDS, moment, moment + 10**12, moment + 10**12, moment),
        )
    with store.connections.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert_postgres(store: Any, first: int, last: int, now: Any) -> None:
    schema = store.place.schema
    with store.transaction():
        store.connections.joined.execute(
            f"INSERT INTO {schema}.jobs (id, kind, batch, state, priority, runnable, created_at, run_at, held_until,"
            " completed_at, destroy_on_complete, fields)"
            " SELECT lpad(to_hex(i), 32, '0')::uuid, 'Kind' || (i %% %s), false,"
            " CASE i %% 7 WHEN 0 THEN 'completed' WHEN 1 THEN 'failed' WHEN 4 THEN 'aborted' WHEN 5 THEN 'paused'"
            " ELSE 'queued' END, 50, i %% 7 = 2, %s, "
            " CASE i %% 7 WHEN 3 THEN %s + i * interval '1 s' + interval '1 d' END,"
            " CASE i %% 7 WHEN 6 THEN %s + interval '1 d' END,"
            f" CASE WHEN i %% 7 IN (0, 1, 4, 5) THEN %s + i * interval '1 us' END, false, ({_FIELDS})::json"
            " FROM generate_series(%s::int, %s::int) AS i",
            (KINDS, now, now, now, now, first, last),
        )
    with store.connections._outermost() as session:
        session.execute(f"ANALYZE {schema}.jobs")
        session.execute(f"ANALYZE {schema}.slices")
