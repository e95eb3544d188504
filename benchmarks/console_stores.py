"""Stores of the console's measurements: empty ones, and ones with very many jobs of all states."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from penstock.bench.ground import remove_store  # noqa: E402
from penstock.ids import new_id  # noqa: E402
from penstock.states import SubState  # noqa: E402
from penstock.store import close_store, open_store  # noqa: E402
from penstock.store.protocol import Store  # noqa: E402
from penstock.store.rows import JobRow, NewSlice  # noqa: E402

KINDS = 20
AT_ONCE = 20_000
"""Jobs stored in one statement."""


@contextmanager
def _sqlite(data: Path, name: str) -> Iterator[Store]:
    url = f"sqlite:///{data / f'console_{name}.db'}"
    remove_store(url)
    try:
        yield open_store(url)
    finally:
        close_store(url)
        remove_store(url)


@contextmanager
def _postgres(_: Path, name: str) -> Iterator[Store]:
    from tests.postgres import drop_schema, running_postgres

    for server in running_postgres():
        schema = f"console_{name}_{new_id().hex[-8:]}"
        url = f"{server}{'&' if '?' in server else '?'}schema={schema}"
        try:
            yield open_store(url)
        finally:
            close_store(url)
            drop_schema(server, schema)


OPENED: Mapping[str, Callable[[Path, str], AbstractContextManager[Store]]] = {
    "SQLite": _sqlite,
    "PostgreSQL": _postgres,
}
"""By the engine: what opens an empty store of a name, and removes it in the end."""


def fill(store: Any, jobs: int, slices: int) -> tuple[UUID, UUID]:
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
