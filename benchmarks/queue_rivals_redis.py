"""Job queues on Redis, which appends each command to its file and syncs that every second, as its manual advises."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.queue_marks import nothing
from benchmarks.queue_of_tasks import REDIS, IsLeft, Left, Queue

STREAM = "taskiq"


def redis_client() -> Any:
    import redis

    return redis.Redis.from_url(os.environ[REDIS])


def _left_of(count: Callable[[Any], int]) -> Left:
    @contextmanager
    def left() -> Iterator[IsLeft]:
        with redis_client() as client:
            yield lambda: count(client) > 0

    return left


def _prepare() -> None:
    redis_client().flushall()


# Celery -----------------------------------------------------------------------------------------------


def celery_app() -> Any:
    from celery import Celery

    app = Celery("benchmarks.celery_app", broker=os.environ[REDIS])
    app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=64)
    app.task(nothing, name="nothing")
    return app


def _celery_enqueue(count: int) -> None:
    app = celery_app()
    task = app.tasks["nothing"]
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            task.apply_async(producer=producer)


# Dramatiq ---------------------------------------------------------------------------------------------


def dramatiq_actor() -> Any:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    dramatiq.set_broker(RedisBroker(url=os.environ[REDIS]))
    return dramatiq.actor(nothing, actor_name="nothing")


def _dramatiq_enqueue(count: int) -> None:
    actor = dramatiq_actor()
    for _ in range(count):
        actor.send()


# RQ ---------------------------------------------------------------------------------------------------


def _rq_enqueue(count: int) -> None:
    from rq import Queue as RqQueue

    queue = RqQueue(connection=redis_client())
    for _ in range(count):
        queue.enqueue(nothing, result_ttl=0)


# Taskiq -----------------------------------------------------------------------------------------------


def taskiq_broker() -> tuple[Any, Any]:
    """Return the broker, and the task."""
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(os.environ[REDIS])

    async def _nothing() -> None:
        nothing()

    return broker, broker.register_task(_nothing, task_name="nothing")


def _taskiq_enqueue(count: int) -> None:
    async def put() -> None:
        broker, task = taskiq_broker()
        await broker.startup()
        for _ in range(count):
            await task.kiq()
        await broker.shutdown()

    asyncio.run(put())


def _taskiq_left(client: Any) -> int:
    return sum(group["pending"] + (group["lag"] or 0) for group in client.xinfo_groups(STREAM))


ON_REDIS = {
    "Celery": Queue(
        ("celery", "redis"),
        "Redis; acknowledged late, so that no task is lost with its worker; results ignored, prefetch multiplier 64 "
        "instead of 4, as it advises for short tasks",
        ["celery", "-A", "benchmarks.celery_worker", "worker", "-c", "2", "--without-gossip", "--without-mingle"],
        1,
        _prepare,
        _celery_enqueue,
        _left_of(lambda client: client.llen("celery") + client.hlen("unacked")),
        most=5000,
        needs_redis=True,
    ),
    "Dramatiq": Queue(
        ("dramatiq", "redis"),
        "Redis; 2 processes of 8 threads each, its default",
        ["dramatiq", "benchmarks.dramatiq_worker", "--processes", "2"],
        1,
        _prepare,
        _dramatiq_enqueue,
        _left_of(lambda client: client.hlen("dramatiq:default.msgs")),
        most=5000,
        needs_redis=True,
    ),
    "Taskiq": Queue(
        ("taskiq", "taskiq-redis"),
        "Redis streams, where a task is acknowledged when it is done; no results",
        ["taskiq", "worker", "benchmarks.taskiq_worker:broker", "--workers", "2", "--log-level", "ERROR"],
        1,
        _prepare,
        _taskiq_enqueue,
        _left_of(_taskiq_left),
        most=5000,
        needs_redis=True,
    ),
    "RQ": Queue(
        ("rq", "redis"),
        "Redis; a new process for each job, its default, forked where the task is imported; no results kept",
        ["benchmarks.rq_worker"],
        2,
        _prepare,
        _rq_enqueue,
        _left_of(lambda client: client.llen("rq:queue:default") + client.zcard("rq:wip:default")),
        most=300,
        needs_redis=True,
    ),
}
