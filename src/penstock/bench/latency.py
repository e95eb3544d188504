"""Pick-up: from before a job is saved until its perform runs, on an idle server with two workers."""

import random
import time

from penstock.bench.ground import Ground
from penstock.bench.kinds import BenchmarkMoment
from penstock.bench.report import Report
from penstock.bench.servers import server_process
from penstock.bench.spread import percentiles

SETTINGS = {"pickups": (200, 10)}
WARM_UP = 5
GAP_SECONDS = (0.03, 0.08)
"""Between two jobs the server is idle for so long."""


def run(ground: Ground, *, pickups: int) -> Report:
    """Measure the pick-up of single jobs, each when the server has been idle for a moment."""
    whole, after_save = [], []
    with ground.fresh_store("latency") as store, server_process(store.url):
        for number in range(WARM_UP + pickups):
            time.sleep(random.uniform(*GAP_SECONDS))  # noqa: S311
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
    return Report({f"pick-up on {ground.engine}": rows}, {"milliseconds": whole})
