"""Job queues that run the same tasks, each as its documentation starts it.

python -m benchmarks.queue_rivals enqueue NAME COUNT
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from benchmarks.queue_marks import nothing

POSTGRES, REDIS = "BENCHMARK_POSTGRES", "BENCHMARK_REDIS"
"""Environment variables with the URLs."""


class Queue(NamedTuple):
    """A job queue."""

    packages: tuple[str, ...]
    settings: str
    """Those that differ from its defaults, and why."""
    worker: list[str]
    """The command, after `python -m`."""
    processes: int
    """How many of that command make two worker processes."""
    prepare: Callable[[], None]
    enqueue: Callable[[int], None]
    left: str
    """The query that tells whether work is left; none for Redis."""

    def missing(self) -> list[str]:
        """Return the packages that are not installed."""
        return [name for name in self.packages if _version(name) is None]

    def versions(self) -> dict[str, str | None]:
        return {name: _version(name) for name in self.packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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

    configure(store=_url())
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


# Celery -----------------------------------------------------------------------------------------------


def celery_app() -> Any:
    from celery import Celery

    app = Celery("benchmarks.celery_app", broker=os.environ[REDIS])
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)
    app.task(nothing, name="nothing")
    return app


def _celery_prepare() -> None:
    redis_client().flushall()


def _celery_enqueue(count: int) -> None:
    app = celery_app()
    task = app.tasks["nothing"]
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            task.apply_async(producer=producer)


def redis_client() -> Any:
    import redis

    return redis.Redis.from_url(os.environ[REDIS])


QUEUES = {
    "Penstock": Queue(
        ("penstock",),
        "2 processes of one worker each",
        ["penstock", "server", "--app", "benchmarks.queue_marks", "--workers", "2", "--processes", "2"],
        1,
        _penstock_prepare,
        _penstock_enqueue,
        "SELECT EXISTS (SELECT 1 FROM penstock.jobs)",
    ),
    "PgQueuer": Queue(
        ("pgqueuer", "asyncpg", "uvloop"),
        "batch size 1000 instead of 10: the best of 10, 100 and 1000 here",
        ["benchmarks.pgqueuer_worker", "1000"],
        2,
        _pgqueuer_prepare,
        _pgqueuer_enqueue,
        "SELECT EXISTS (SELECT 1 FROM pgqueuer)",
    ),
    "Procrastinate": Queue(
        ("procrastinate",),
        "concurrency 10 instead of 1: async tasks that take no time",
        ["benchmarks.procrastinate_worker"],
        2,
        _procrastinate_prepare,
        _procrastinate_enqueue,
        "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
    ),
    "SAQ": Queue(
        ("saq",),
        "concurrency 100 instead of 10: async tasks that take no time",
        ["benchmarks.saq_worker"],
        2,
        _saq_prepare,
        _saq_enqueue,
        "SELECT EXISTS (SELECT 1 FROM saq_jobs WHERE status IN ('new', 'queued', 'active'))",
    ),
    "Celery": Queue(
        ("celery", "redis"),
        "Redis as it is installed; results ignored, prefetch multiplier 64 instead of 4, as it advises for short tasks",
        ["celery", "-A", "benchmarks.celery_worker", "worker", "-c", "2", "--without-gossip", "--without-mingle"],
        1,
        _celery_prepare,
        _celery_enqueue,
        "",
    ),
}

if __name__ == "__main__":
    _, name, number = sys.argv[1:]
    QUEUES[name].enqueue(int(number))
