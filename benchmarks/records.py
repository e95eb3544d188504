"""Processing alone: slices of 1000 that are stored already, through two worker processes, results stored."""

import time
from pathlib import Path

from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.kinds import BenchmarkReverse
from penstock.bench.report import Report
from penstock.bench.servers import ready_server
from penstock.bench.spread import spread

SETTINGS = {"lines": (2_000_000, 200_000), "rounds": (7, 2)}


def run(ground: Ground, *, lines: int, rounds: int) -> Report:
    source = lines_file(ground.folder, lines)
    rates = [_rate(ground, source) for _ in range(rounds)]
    return Report({"from queued to completed": [{"": "records/s", **spread(rates)}]}, {"runs": rates})


def _rate(ground: Ground, source: Path) -> float:
    with ground.fresh_store("records") as store, ready_server(store) as server:
        job = BenchmarkReverse()
        count = job.upload(source)
        server.start()
        # Its first look finds nothing, and it is idle.
        time.sleep(0.2)
        began = time.perf_counter()
        job.save()
        job.wait(600)
        seconds = time.perf_counter() - began
        if job.state != "completed":
            raise RuntimeError(f"the job is {job.state}: {job.exception}")
        return count / seconds
