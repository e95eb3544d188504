"""`async` jobs that sleep, all at once on one node with one worker process.

python -m benchmarks.swarm_async [--number N] [--seconds S] [--rounds R]: the time from the first `enqueue` to the last
answer, as a multiple of the sleep; processor time and peak memory of the application, the node and its worker.
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.processes import Used, children_of, used_by
from penstock import Distributor, gather, job

SECRET = "only for the benchmark"
PATIENCE_SECONDS = 60.0


@job(kind="benchmarks.sleep")
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


class Round(NamedTuple):
    """One round."""

    seconds: float
    cpu_us: dict[str, float]
    """Processor time for each job, by process."""
    peak_mb: dict[str, float]


def measure(number: int, seconds: float) -> Round:
    """Have one node run so many jobs that sleep so long."""
    with Distributor("127.0.0.1:0", secret=SECRET) as d, node(d, number) as pid:
        gather([d.enqueue(sleep, 0.0) for _ in range(20)], PATIENCE_SECONDS)
        before = used(pid)
        began = time.perf_counter()
        handles = [d.enqueue(sleep, seconds) for _ in range(number)]
        answers = gather(handles, PATIENCE_SECONDS + seconds)
        took = time.perf_counter() - began
        assert answers == [seconds] * number
        after = used(pid)
    cpu_us = {name: (after[name].seconds - before[name].seconds) / number * 1e6 for name in after}
    return Round(took, cpu_us, {name: one.peak_mb for name, one in after.items()})


@contextlib.contextmanager
def node(d: Distributor, concurrency: int) -> Iterator[int]:
    """Run a node of one worker process, by its command; yields its process id when it is ready."""
    words = ["--connect", d.address, "--app", "benchmarks.swarm_async", "--secret", SECRET]
    words += ["--processes", "1", "--workers", "1", "--concurrency", str(concurrency)]
    with subprocess.Popen([sys.executable, "-m", "penstock", "node", *words], cwd=Path(__file__).parents[1]) as started:
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not any(one.workers for one in d.nodes):
                assert time.monotonic() < deadline, "the node does not come"
                time.sleep(0.01)
            yield started.pid
        finally:
            started.terminate()


def used(node_pid: int) -> dict[str, Used]:
    """Return what the application, the node and its worker have used."""
    (worker,) = children_of(node_pid)
    return {"application": used_by(os.getpid()), "node": used_by(node_pid), "its worker": used_by(worker)}


def main() -> None:
    """Measure some rounds and tell each, then the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swarm_async", description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rounds = []
    for _ in range(chosen.rounds):
        rounds.append(measure(chosen.number, chosen.seconds))
        tell(rounds[-1], chosen.seconds)
    took = median(one.seconds for one in rounds)
    print(f"\nmedian {took:.2f} s: {took / chosen.seconds:.2f} x the sleep")


def tell(one: Round, sleep_seconds: float) -> None:
    """Print one round."""
    cpu = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in one.cpu_us.items())
    memory = ", ".join(f"{name} {megabytes:.0f}" for name, megabytes in one.peak_mb.items())
    print(f"{one.seconds:.2f} s, {one.seconds / sleep_seconds:.2f} x the sleep")
    print(f"    CPU a job in us: {cpu}; peak MiB: {memory}", flush=True)


if __name__ == "__main__":
    main()
