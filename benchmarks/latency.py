"""Pick-up: from before a job is saved until its perform runs, on an idle server with two workers."""

import random
import time
from pathlib import Path

from benchmarks.kinds import BenchmarkMoment
from benchmarks.report import Report
from benchmarks.servers import fresh_store, server_process
from benchmarks.spread import percentiles

SETTINGS = {"pickups": (200, 10)}
WARM_UP = 5
GAP_SECONDS = (0.03, 0.08)
"""Between two jobs the server is idle for so long."""


def run(data: Path, *, pickups: int) -> Report:
    store = data / "latency.db"
    whole, after_save = [], []
    with fresh_store(store), server_process(store):
        for number in range(WARM_UP + pickups):
            time.sleep(random.uniform(*GAP_SECONDS))
            before = time.time_ns()
            job = BenchmarkMoment.create()
            saved = time.time_ns()
            started = job.wait(30).result
            if number >= WARM_UP:
                whole.append((started - before) / 1e6)
                after_save.append((started - saved) / 1e6)
    rows = [
        {"milliseconds": "from before the save, its commit included", **percentiles(whole)},
        {"milliseconds": "from the save's return", **percentiles(after_save)},
    ]
    return Report({"pick-up": rows}, {"milliseconds": whole})
