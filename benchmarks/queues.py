"""Job queues beside each other: the same jobs that do nothing, two worker processes, default durability.

On one PostgreSQL with its defaults, fsync and synchronous_commit included; Celery on Redis with its own. What is
measured lasts from the first job performed, which its process notes, until nothing is left.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

from benchmarks.postgres import started_postgres
from benchmarks.queue_marks import FOLDER, first
from benchmarks.queue_rivals import POSTGRES, QUEUES, REDIS, Queue, redis_client
from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report, Row

ROOT = Path(__file__).parents[1]
REQUIREMENTS = "pip install --requirement benchmarks/requirements.txt"
SETTINGS = {"jobs": (20_000, 500), "rounds": (5, 1)}
LOOK_SECONDS = 0.01
PORT = 6399
WARM_UP = 200
"""Jobs of a first round that does not count."""


def run(ground: Ground, *, jobs: int, rounds: int) -> Report:
    contenders, left_out = {}, {}
    for name, queue in QUEUES.items():
        why = _not_here(queue)
        if why:
            left_out[name] = why
            print(f"  {name} is left out: {why}", flush=True)
        else:
            contenders[name] = queue
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    with started_postgres(ground) as url, _redis(ground.folder, needed="Celery" in contenders) as redis_url:
        os.environ |= {POSTGRES: url, REDIS: redis_url, "PENSTOCK_STORE": url}
        for number in range(rounds + 1):
            for name in contenders if number % 2 == 0 else reversed(list(contenders)):
                made = _once(contenders[name], name, jobs if number else min(jobs, WARM_UP))
                print(f"  round {number}, {name}: {made[0]:,.0f}/s", flush=True)
                if number:
                    runs[name].append(made)
        server = _setting(url, "server_version")
    return Report(
        {f"{jobs:,} jobs that do nothing": _rates(runs), "ratios within each round": _ratios(runs)},
        {
            "runs": runs,
            "left out": left_out,
            "settings": {name: queue.settings for name, queue in contenders.items()},
            "versions": {name: queue.versions() for name, queue in contenders.items()},
            "PostgreSQL": server,
            "load at the end": os.getloadavg()[0],
        },
    )


def _not_here(queue: Queue) -> str | None:
    missing = queue.missing()
    if missing:
        return f"{', '.join(missing)} not installed: {REQUIREMENTS}"
    if not queue.left and which("redis-server") is None:
        return "redis-server is not installed: apt-get install redis-server"
    return None


def _once(queue: Queue, name: str, count: int) -> tuple[float, float]:
    """Return jobs a second, and CPU microseconds of the worker's processes for each."""
    queue.prepare()
    # What is enqueued first is not measured, and need not be synced by each that does it one by one.
    quickly = {**os.environ, "PGOPTIONS": "-c synchronous_commit=off"}
    command = [sys.executable, "-m", "benchmarks.queue_rivals", "enqueue", name, str(count)]
    subprocess.run(command, cwd=ROOT, env=quickly, check=True, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as marks, tempfile.TemporaryFile() as told:
        environment = {**os.environ, FOLDER: marks}
        workers = [
            subprocess.Popen([sys.executable, "-m", *queue.worker], cwd=ROOT, env=environment, stdout=told, stderr=told)
            for _ in range(queue.processes)
        ]
        try:
            with _left(queue) as is_left:
                while is_left():
                    time.sleep(LOOK_SECONDS)
                    if any(worker.poll() is not None for worker in workers):
                        told.seek(0)
                        raise RuntimeError(f"{name}: a worker ended:\n{told.read().decode()[-3000:]}")
                ended = time.monotonic()
            cpu = cpu_seconds([pid for worker in workers for pid in family(worker.pid)])
            return count / (ended - first(Path(marks))), cpu / count * 1e6
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                try:
                    worker.wait(10)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()


@contextmanager
def _left(queue: Queue) -> Iterator[Any]:
    """Give what tells whether work is left."""
    if not queue.left:
        client = redis_client()
        yield lambda: client.llen("celery") + client.hlen("unacked") > 0
        return
    import psycopg

    with psycopg.connect(os.environ[POSTGRES], autocommit=True) as connection:

        def is_left() -> bool:
            row = connection.execute(queue.left).fetchone()
            return bool(row and row[0])

        yield is_left


def _rates(runs: dict[str, list[tuple[float, float]]]) -> list[Row]:
    rows = []
    for name, made in runs.items():
        rates = [rate for rate, _ in made]
        cpu = median(cost for _, cost in made)
        rows.append(
            {"": name, "jobs/s": median(rates), "least": min(rates), "most": max(rates), "CPU µs, start included": cpu}
        )
    return rows


def _ratios(runs: dict[str, list[tuple[float, float]]]) -> list[Row]:
    ours = [rate for rate, _ in runs["Penstock"]]
    rows = []
    for name, made in runs.items():
        if name != "Penstock":
            found = [one / rate for one, (rate, _) in zip(ours, made, strict=True)]
            rows.append({"": f"Penstock : {name}", "median": median(found), "least": min(found), "most": max(found)})
    return rows or [{"": "no rival is installed"}]


@contextmanager
def _redis(folder: Path, *, needed: bool) -> Iterator[str]:
    """Start a Redis with its defaults."""
    program = which("redis-server") if needed else None
    if program is None:
        yield ""
        return
    process = subprocess.Popen(
        [program, "--port", str(PORT), "--dir", str(folder), "--dbfilename", "bench-redis.rdb"],
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"redis://127.0.0.1:{PORT}/0"
    finally:
        process.terminate()
        process.wait()
        (folder / "bench-redis.rdb").unlink(missing_ok=True)


def _setting(url: str, name: str) -> str:
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute(f"SHOW {name}").fetchone()
        return str(row[0]) if row else ""
