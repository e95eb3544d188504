"""Job queues that run the same tasks, each as its documentation starts it: on PostgreSQL and SQLite, and the table.

python -m benchmarks.queue_rivals enqueue NAME COUNT
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.queue_marks import nothing
from benchmarks.queue_of_tasks import FILES, POSTGRES, IsLeft, Left, Queue
from benchmarks.queue_rivals_redis import ON_REDIS


def _rows_left(query: str) -> Left:
    @contextmanager
    def left() -> Iterator[IsLeft]:
        import psycopg

        with psycopg.connect(_url(), autocommit=True) as connection:
            yield lambda: any(connection.execute(query).fetchone() or ())

    return left


def _rows_left_in(file: str, query: str) -> Left:
    @contextmanager
    def left() -> Iterator[IsLeft]:
        with closing(sqlite3.connect(_file(file), isolation_level=None)) as connection:
            yield lambda: any(connection.execute(query).fetchone())

    return left


def _file(name: str) -> Path:
    return Path(os.environ[FILES], name)


def _remove(name: str) -> None:
    for found in Path(os.environ[FILES]).glob(f"{name}*"):
        found.unlink()


def _url() -> str:
    return os.environ[POSTGRES]


def _sql(*statements: str) -> None:
    import psycopg

    with psycopg.connect(_url(), autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        for statement in statements:
            connection.execute(statement)


# Penstock ---------------------------------------------------------------------------------------------


def _penstock_prepare() -> None:
    _sql("DROP SCHEMA IF EXISTS penstock CASCADE")


def _penstock_enqueue(count: int) -> None:
    from benchmarks.queue_marks import QueueNothing
    from penstock import configure

    configure(store=os.environ["PENSTOCK_STORE"])
    QueueNothing.create_many({} for _ in range(count))


# PgQueuer ---------------------------------------------------------------------------------------------


def _pgqueuer_prepare() -> None:
    command = [sys.executable, "-m", "pgqueuer", "--pg-dsn", _url()]
    subprocess.run([*command, "uninstall"], check=False, capture_output=True)
    subprocess.run([*command, "install"], check=True, capture_output=True)


def _pgqueuer_enqueue(count: int) -> None:
    import asyncpg
    from pgqueuer.queries import Queries

    async def put() -> None:
        connection = await asyncpg.connect(_url())
        await Queries.from_asyncpg_connection(connection).enqueue(["nothing"] * count, [None] * count, [0] * count)
        await connection.close()

    asyncio.run(put())


async def pgqueuer_main() -> Any:
    """Return what has the task."""
    import asyncpg
    from pgqueuer import PgQueuer

    pgq = PgQueuer.from_asyncpg_connection(await asyncpg.connect(_url()))

    @pgq.entrypoint("nothing")
    async def _nothing(job: Any) -> None:
        del job
        nothing()

    return pgq


# Procrastinate ----------------------------------------------------------------------------------------


def procrastinate_app() -> Any:
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=_url()))

    @app.task(name="nothing")
    async def _nothing() -> None:
        nothing()

    return app


def _procrastinate_prepare() -> None:
    _sql("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")

    async def apply() -> None:
        async with procrastinate_app().open_async() as app:
            await app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def _procrastinate_enqueue(count: int) -> None:
    async def put() -> None:
        async with procrastinate_app().open_async() as app:
            await app.tasks["nothing"].batch_defer_async(*[{} for _ in range(count)])

    asyncio.run(put())


# SAQ --------------------------------------------------------------------------------------------------


def _saq_queue() -> Any:
    from saq import Queue as SaqQueue

    return SaqQueue.from_url(_url())


async def _saq_nothing(_: Any) -> None:
    nothing()


def saq_settings() -> dict[str, Any]:
    return {"queue": _saq_queue(), "functions": [("nothing", _saq_nothing)], "concurrency": 100}


def _saq_prepare() -> None:
    _sql("DROP TABLE IF EXISTS saq_jobs, saq_stats, saq_versions")


def _saq_enqueue(count: int) -> None:
    async def put() -> None:
        queue = _saq_queue()
        await queue.connect()
        for first in range(0, count, 20):
            await asyncio.gather(*(queue.enqueue("nothing") for _ in range(first, min(count, first + 20))))
        await queue.disconnect()

    asyncio.run(put())


# Huey -------------------------------------------------------------------------------------------------


def huey_app() -> tuple[Any, Any]:
    """Return what its worker runs, and the task."""
    from huey import SqliteHuey

    app = SqliteHuey(filename=str(_file("huey.db")), fsync=True, results=False)
    return app, app.task(name="nothing")(nothing)


def _huey_enqueue(count: int) -> None:
    _, task = huey_app()
    for _ in range(count):
        task()


_SERVER = ["penstock", "server", "--app", "benchmarks.queue_marks", "--workers", "2", "--processes", "2"]

QUEUES = {
    "Penstock on SQLite": Queue(
        ("penstock",),
        "2 processes of one worker each; every commit synced",
        _SERVER,
        1,
        lambda: _remove("penstock.db"),
        _penstock_enqueue,
        _rows_left_in("penstock.db", "SELECT EXISTS (SELECT 1 FROM jobs)"),
        store=lambda: f"sqlite:///{_file('penstock.db')}",
    ),
    "Penstock on PostgreSQL": Queue(
        ("penstock",),
        "2 processes of one worker each; every commit synced",
        _SERVER,
        1,
        _penstock_prepare,
        _penstock_enqueue,
        _rows_left("SELECT EXISTS (SELECT 1 FROM penstock.jobs)"),
        store=_url,
    ),
    "Penstock on PostgreSQL, two servers": Queue(
        ("penstock",),
        "2 servers of one worker process each; every commit synced",
        ["penstock", "server", "--app", "benchmarks.queue_marks", "--workers", "1", "--processes", "1"],
        2,
        _penstock_prepare,
        _penstock_enqueue,
        _rows_left("SELECT EXISTS (SELECT 1 FROM penstock.jobs)"),
        store=_url,
    ),
    "PgQueuer": Queue(
        ("pgqueuer", "asyncpg", "uvloop"),
        "PostgreSQL; batch size 1000 instead of 10: the best of 10, 100 and 1000 here",
        ["benchmarks.pgqueuer_worker", "1000"],
        2,
        _pgqueuer_prepare,
        _pgqueuer_enqueue,
        _rows_left("SELECT EXISTS (SELECT 1 FROM pgqueuer)"),
    ),
    "Procrastinate": Queue(
        ("procrastinate",),
        "PostgreSQL; concurrency 10 instead of 1: async tasks that take no time",
        ["benchmarks.procrastinate_worker"],
        2,
        _procrastinate_prepare,
        _procrastinate_enqueue,
        _rows_left("SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"),
        most=2000,
    ),
    "SAQ": Queue(
        ("saq",),
        "PostgreSQL; concurrency 100 instead of 10: async tasks that take no time",
        ["benchmarks.saq_worker"],
        2,
        _saq_prepare,
        _saq_enqueue,
        _rows_left("SELECT EXISTS (SELECT 1 FROM saq_jobs WHERE status IN ('new', 'queued', 'active'))"),
        most=2000,
    ),
    "Huey": Queue(
        ("huey",),
        "SQLite with fsync, which is off by default; processes instead of threads; no results",
        ["huey.bin.huey_consumer", "benchmarks.huey_worker.huey", "-k", "process", "-w", "2", "-q"],
        1,
        lambda: _remove("huey.db"),
        _huey_enqueue,
        _rows_left_in("huey.db", "SELECT EXISTS (SELECT 1 FROM task)"),
        most=5000,
    ),
    **ON_REDIS,
}

if __name__ == "__main__":
    _, name, number = sys.argv[1:]
    QUEUES[name].enqueue(int(number))
