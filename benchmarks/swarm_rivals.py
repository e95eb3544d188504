"""Rivals of the distributor: a no-op whose result is returned. Needs requirements.txt and a Redis server.

python -m benchmarks.swarm_rivals celery|dramatiq|taskiq|dask REDIS_URL NUMBER: prints a JSON object.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

REDIS = os.environ.get("SWARM_REDIS", "redis://127.0.0.1:6379/0")
RIVAL = os.environ.get("SWARM_RIVAL")
PER_SECOND = 100
ROUNDS = 300

if RIVAL == "celery":
    from celery import Celery

    app = Celery("swarm", broker=REDIS, backend=REDIS)

    @app.task(name="noop")
    def noop(number: int) -> int:
        return number

elif RIVAL == "dramatiq":
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker = RedisBroker(url=REDIS)
    broker.add_middleware(Results(backend=RedisBackend(url=REDIS)))
    dramatiq.set_broker(broker)

    @dramatiq.actor(store_results=True)
    def noop(number: int) -> int:
        return number

elif RIVAL == "taskiq":
    from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

    broker = ListQueueBroker(REDIS).with_result_backend(RedisAsyncResultBackend(REDIS))

    @broker.task(task_name="noop")
    async def noop(number: int) -> int:
        return number


def figures(send: Callable[[int], Any], wait: Callable[[Any], Any], number: int) -> dict[str, float]:
    """Measure jobs a second with their results, and the median round trip at a hundred jobs a second."""
    for warm in range(20):
        assert wait(send(warm)) == warm
    began = time.perf_counter()
    assert [wait(sent) for sent in [send(index) for index in range(number)]] == list(range(number))
    rate = number / (time.perf_counter() - began)
    trips = []
    for index in range(ROUNDS):
        began = time.perf_counter()
        wait(send(index))
        trips.append(time.perf_counter() - began)
        time.sleep(max(0.0, 1 / PER_SECOND - trips[-1]))
    return {"jobs_per_s": rate, "median_ms": median(trips) * 1000}


@contextlib.contextmanager
def workers(*command: str) -> Iterator[None]:
    """Run the rival's own workers."""
    here = str(Path(sys.executable).with_name(command[0]))
    with subprocess.Popen(
        [here, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as started:
        try:
            yield
        finally:
            os.killpg(started.pid, 15)
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, 9)


def celery(number: int) -> dict[str, float]:
    """Celery with two processes; broker and results in Redis."""
    with workers("celery", "-A", "benchmarks.swarm_rivals", "worker", "-c", "2", "-l", "error"):
        return figures(noop.delay, lambda sent: sent.get(timeout=120, interval=0.001), number)


def dramatiq_(number: int) -> dict[str, float]:
    """Dramatiq with two processes of four threads; broker and results in Redis."""
    with workers("dramatiq", "benchmarks.swarm_rivals", "-p", "2", "-t", "4"):
        return figures(noop.send, lambda sent: sent.get_result(block=True, timeout=120_000), number)


def taskiq(number: int) -> dict[str, float]:
    """Taskiq with two processes; queue and results in Redis."""

    async def main() -> dict[str, float]:
        await broker.startup()
        first = await noop.kiq(0)
        await first.wait_result(timeout=60, check_interval=0.01)
        began = time.perf_counter()
        sent = [await noop.kiq(index) for index in range(number)]
        got = [(await one.wait_result(check_interval=0.001, timeout=120)).return_value for one in sent]
        rate = number / (time.perf_counter() - began)
        assert got == list(range(number))
        trips = []
        for index in range(ROUNDS):
            began = time.perf_counter()
            await (await noop.kiq(index)).wait_result(check_interval=0.001, timeout=60)
            trips.append(time.perf_counter() - began)
            await asyncio.sleep(max(0.0, 1 / PER_SECOND - trips[-1]))
        await broker.shutdown()
        return {"jobs_per_s": rate, "median_ms": median(trips) * 1000}

    with workers("taskiq", "worker", "benchmarks.swarm_rivals:broker", "-w", "2", "--log-level", "ERROR"):
        return asyncio.run(main())


def identity(number: int) -> int:
    return number


def dask(number: int) -> dict[str, float]:
    """dask.distributed: a scheduler and two worker processes over TCP."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://") as cluster,
        Client(cluster) as client,
    ):
        for warm in range(20):
            client.submit(identity, warm, pure=False).result()
        began = time.perf_counter()
        assert client.gather(client.map(identity, range(number), pure=False)) == list(range(number))
        rate = number / (time.perf_counter() - began)
        few = figures(lambda index: client.submit(identity, index, pure=False), lambda sent: sent.result(), 20)
        return {"jobs_per_s": rate, "median_ms": few["median_ms"]}


def main(rival: str, redis: str, number: str) -> None:
    """Measure one rival, in a process that knows from its start which it is."""
    if rival != RIVAL or redis != REDIS:
        os.environ |= {"SWARM_RIVAL": rival, "SWARM_REDIS": redis}
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.swarm_rivals", rival, redis, number])
    run = {"celery": celery, "dramatiq": dramatiq_, "taskiq": taskiq, "dask": dask}[rival]
    print(json.dumps(run(int(number))))


if __name__ == "__main__":
    main(*sys.argv[1:])
