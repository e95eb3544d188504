"""Job queues beside each other: the same jobs that do nothing, two worker processes, default durability.

On one PostgreSQL with its defaults, fsync and synchronous_commit included; SQLite files that are synced at each commit;
Redis with an append-only file that is synced every second. What is measured lasts from the first job performed, which
its process notes, until nothing is left.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from shutil import which
from statistics import median

from benchmarks.postgres import server_version, started_postgres
from benchmarks.queue_marks import FOLDER, first
from benchmarks.queue_of_tasks import FILES, POSTGRES, REDIS, Queue
from benchmarks.queue_rivals import QUEUES
from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report, Row

ROOT = Path(__file__).parents[1]
REQUIREMENTS = "pip install --requirement benchmarks/requirements.txt"
SETTINGS = {"jobs": (20_000, 500), "rounds": (5, 1)}
OURS = [name for name in QUEUES if name.startswith("Penstock")]
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
    with started_postgres(ground) as url, _redis(ground.folder, list(contenders.values())) as redis_url:
        os.environ |= {POSTGRES: url, REDIS: redis_url, FILES: str(ground.folder)}
        for number in range(rounds + 1):
            for name in contenders if number % 2 == 0 else reversed(list(contenders)):
                most = min(jobs if number else WARM_UP, contenders[name].most)
                made = _once(contenders[name], name, most)
                print(f"  round {number}, {name}: {made[0]:,.0f}/s", flush=True)
                if number:
                    runs[name].append(made)
        server = server_version(url)
    return Report(
        {"jobs that do nothing": _rates(runs, jobs), "ratios within each round": _ratios(runs)},
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
    if queue.needs_redis and which("redis-server") is None:
        return "redis-server is not installed: apt-get install redis-server"
    return None


def _once(queue: Queue, name: str, count: int) -> tuple[float, float]:
    """Return jobs a second, and CPU microseconds of the worker's processes for each."""
    os.environ["PENSTOCK_STORE"] = queue.store()
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
            with queue.left() as is_left:
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


def _rates(runs: dict[str, list[tuple[float, float]]], jobs: int) -> list[Row]:
    rows: list[Row] = []
    for name, made in runs.items():
        rates = [rate for rate, _ in made]
        cpu = median(cost for _, cost in made)
        row = {"": name, "jobs": min(jobs, QUEUES[name].most), "jobs/s": median(rates)}
        rows.append({**row, "least": min(rates), "most": max(rates), "CPU µs, start included": cpu})
    return rows


def _ratios(runs: dict[str, list[tuple[float, float]]]) -> list[Row]:
    rows = []
    for ours, name in product(OURS, runs):
        if name not in OURS:
            found = [one / rate for (one, _), (rate, _) in zip(runs[ours], runs[name], strict=True)]
            rows.append({"": f"{ours} : {name}", "median": median(found), "least": min(found), "most": max(found)})
    return rows or [{"": "no rival is installed"}]


@contextmanager
def _redis(folder: Path, queues: list[Queue]) -> Iterator[str]:
    """Start a Redis that keeps what it was told, where one is needed."""
    program = which("redis-server") if any(queue.needs_redis for queue in queues) else None
    if program is None:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="redis-", dir=folder) as kept:
        words = ["--port", str(PORT), "--dir", kept, "--appendonly", "yes", "--appendfsync", "everysec"]
        process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{PORT}/0"
        finally:
            process.terminate()
            process.wait()
