"""A distributor and one node with two processes over loopback TCP: no-ops whose results are returned.

python -m benchmarks.swarm [--number N] [--rounds R] [--python PYTHON]: beside the rivals that are installed for PYTHON
(requirements.txt) and need a Redis server on the path. Rounds alternate; medians are told, and of our own the ratio to
the best rival within each round, and the processor time of distributor, node and workers for each job: its least, since
a busy machine can only add to it.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.swarm_rivals import figures
from penstock import Distributor, gather, job
from penstock.bench.processes import cpu_seconds, family

SECRET = "only for the benchmark"
RIVALS = ("celery", "dramatiq", "taskiq", "dask")


@job(kind="benchmarks.noop")
def noop(number: int) -> int:
    return number


@job(kind="benchmarks.anoop")
async def anoop(number: int) -> int:
    return number


def ours(number: int, tls: tuple[str, str, str] | None, *, on_loop: bool) -> dict[str, float]:
    """Measure a distributor in this process."""
    cert, key, ca = tls or (None, None, None)
    with Distributor("127.0.0.1:0", secret=SECRET, cert=cert, key=key) as d, node(d.address, ca):
        function = anoop if on_loop else noop
        found = figures(lambda index: d.enqueue(function, index), lambda handle: handle.result(120), number)
        return {
            **found,
            "cpu_us": cpu_us(lambda: gather([d.enqueue(function, index) for index in range(number)]), number),
        }


@contextlib.contextmanager
def node(address: str, ca: str | None) -> Iterator[None]:
    """Run a node as a user does, in a process of its own."""
    command = [sys.executable, "-m", "penstock", "node", "--name", "bench", "--connect", address]
    command += ["--app", "benchmarks.swarm", "--workers", "2", "--processes", "2", "--concurrency", "1000"]
    command += ["--ca", ca] if ca is not None else []
    environment = {**os.environ, "PENSTOCK_SECRET": SECRET}
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, env=environment, cwd=root, stderr=subprocess.DEVNULL) as started:
        try:
            yield
        finally:
            started.terminate()


def cpu_us(run: Callable[[], object], number: int) -> float:
    """Return the processor time for each of so many jobs, of this process and those it has started."""
    pids = family(os.getpid())
    before = cpu_seconds(pids)
    run()
    return (cpu_seconds(pids) - before) / number * 1e6


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Run a Redis of our own, without persistence; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--loglevel", "warning"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            started.terminate()


def rival(name: str, python: str, redis: str, number: int) -> dict[str, float] | None:
    """Measure a rival; None where it does not run."""
    ended = subprocess.run(
        [python, "-m", "benchmarks.swarm_rivals", name, redis, str(number)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    if ended.returncode:
        print(f"{name}: {ended.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure all in alternation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swarm", description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help="the interpreter of the rivals; without it they are left out")
    chosen = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server() if chosen.python else contextlib.nullcontext("") as url,
    ):
        tls = certificate(folder)
        for _ in range(chosen.rounds):
            runs = {
                "penstock": lambda: ours(chosen.number, None, on_loop=False),
                "penstock, TLS": lambda: ours(chosen.number, tls, on_loop=False),
                "penstock, async": lambda: ours(chosen.number, None, on_loop=True),
            }
            for name in RIVALS if chosen.python else ():
                runs[name] = lambda name=name: rival(name, chosen.python, url, chosen.number)
            for name, run in runs.items():
                measured = run()
                if measured is not None:
                    found.setdefault(name, []).append(measured)
                    print(told(name, measured), flush=True)
    print("\nmedians")
    for name, rounds in found.items():
        print(told(name, {figure: median(one[figure] for one in rounds) for figure in rounds[0]}))
    print("\nrate against the best rival of the same round")
    for name in found if chosen.python else ():
        if name not in RIVALS:
            ratios = against_best(found, name)
            print(f"{name:16} median {median(ratios):.2f} x, from {min(ratios):.2f} to {max(ratios):.2f}")
    print("\nleast processor time")
    for name, rounds in found.items():
        if "cpu_us" in rounds[0]:
            print(f"{name:16} {min(one['cpu_us'] for one in rounds):8.0f} us a job")


def against_best(found: dict[str, list[dict[str, float]]], name: str) -> list[float]:
    """Return the ratio of one's rate to that of the best rival, within each round."""
    rivals = [found[rival] for rival in RIVALS if rival in found]
    return [
        round_[0]["jobs_per_s"] / max(one["jobs_per_s"] for one in round_[1:])
        for round_ in zip(found[name], *rivals, strict=True)
    ]


def told(name: str, figures: dict[str, float]) -> str:
    """Return the figures of one as a line."""
    line = f"{name:16} {figures['jobs_per_s']:10,.0f} jobs/s {figures['median_ms']:8.2f} ms round trip"
    return f"{line} {figures['cpu_us']:6.0f} us of processor a job" if "cpu_us" in figures else line


def certificate(folder: str) -> tuple[str, str, str]:
    """Make a certificate that signs itself, by the program openssl; returns it, its key, and it as its own CA."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=penstock"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *options, *names, "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key, cert


if __name__ == "__main__":
    main()
