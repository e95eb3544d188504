"""What a server with two workers costs while there is nothing to do, all its processes together."""

import time
from pathlib import Path

from benchmarks.report import Report
from benchmarks.servers import cpu_seconds, family, fresh_store, server_process

SETTINGS = {"idle_seconds": (30, 3)}
SETTLE_SECONDS = 2


def run(data: Path, *, idle_seconds: int) -> Report:
    store = data / "idle.db"
    with fresh_store(store), server_process(store) as pid:
        time.sleep(SETTLE_SECONDS)
        pids = family(pid)
        before, began = cpu_seconds(pids), time.perf_counter()
        time.sleep(idle_seconds)
        used, seconds = cpu_seconds(pids) - before, time.perf_counter() - began
    row = {"": "penstock server", "processes": len(pids), "CPU seconds a minute": used / seconds * 60}
    return Report({"idle": [row]}, {"cpu seconds": used, "seconds": seconds})
