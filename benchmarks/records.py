"""Processing alone: slices of 1000 that are stored already, through two worker processes, results stored."""

import time
from pathlib import Path

from benchmarks.inputs import lines_file
from benchmarks.kinds import BenchmarkReverse
from benchmarks.report import Report
from benchmarks.servers import fresh_store, ready_server
from benchmarks.spread import spread

SETTINGS = {"lines": (2_000_000, 200_000), "rounds": (7, 2)}


def run(data: Path, *, lines: int, rounds: int) -> Report:
    source = lines_file(data, lines)
    rates = [_rate(data, source) for _ in range(rounds)]
    return Report({"from queued to completed": [{"": "records/s", **spread(rates)}]}, {"runs": rates})


def _rate(data: Path, source: Path) -> float:
    with fresh_store(data / "records.db") as store, ready_server(store) as server:
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
