"""Small jobs that do nothing, stored first, then run by two worker processes: from the start to the last one done.

Full durability. Jobs are gone when they are done, as is the default. `CPU µs` is that of all processes of the server,
and of those of PostgreSQL that worked for it, for each job.
"""

import os
import time

from penstock.bench.ground import Ground
from penstock.bench.kinds import BenchmarkNothing
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report
from penstock.bench.servers import ready_server
from penstock.bench.spread import spread
from penstock.bench.store_cost import StoreCost

SETTINGS = {"jobs": (20_000, 2000), "more_jobs": (50_000, 4000), "rounds": (7, 2)}
LOOK_SECONDS = 0.005


def run(ground: Ground, *, jobs: int, more_jobs: int, rounds: int) -> Report:
    """Measure both numbers of jobs in turns."""
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for count in (jobs, more_jobs):
            rate, cpu, store_cpu = run_once(ground, count)
            figures.setdefault(f"{count:,} jobs, per second", []).append(rate)
            figures.setdefault(f"{count:,} jobs, CPU µs each", []).append(cpu)
            if ground.postgres is not None:
                figures.setdefault(f"{count:,} jobs, CPU µs of PostgreSQL each", []).append(store_cpu)
    rows = [{"": name, **spread(found)} for name, found in figures.items()]
    return Report({f"started to done on {ground.engine}": rows}, {"runs": figures})


def run_once(ground: Ground, count: int) -> tuple[float, float, float]:
    """Return jobs a second, and the CPU microseconds for each: of the server, and of PostgreSQL."""
    with ground.fresh_store("jobs") as store, ready_server(store) as server:
        BenchmarkNothing.create_many({} for _ in range(count))
        pids = family(os.getpid())
        cost = StoreCost(ground)
        before, began = cpu_seconds(pids), time.perf_counter()
        server.start()
        while BenchmarkNothing.query.exists():
            time.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - began
        return count / seconds, (cpu_seconds(pids) - before) / count * 1e6, cost.spent().cpu / count * 1e6
