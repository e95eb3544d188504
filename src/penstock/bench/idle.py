"""What a server with two workers costs while there is nothing to do, all its processes together."""

import time

from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report
from penstock.bench.servers import server_process

SETTINGS = {"idle_seconds": (30, 3)}
SETTLE_SECONDS = 2


def run(ground: Ground, *, idle_seconds: int) -> Report:
    """Measure the processor time of all its processes."""
    with ground.fresh_store("idle") as store, server_process(store.url) as pid:
        time.sleep(SETTLE_SECONDS)
        pids = family(pid)
        before, began = cpu_seconds(pids), time.perf_counter()
        time.sleep(idle_seconds)
        used, seconds = cpu_seconds(pids) - before, time.perf_counter() - began
    row = {
        "": f"penstock server on {ground.engine}",
        "processes": len(pids),
        "CPU seconds a minute": used / seconds * 60,
    }
    return Report({"idle": [row]}, {"cpu seconds": used, "seconds": seconds})
