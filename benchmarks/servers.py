"""Servers to measure: in this process, or as the command runs them; and what /proc says of processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.batch import remove_store
from benchmarks.paired import ROOT
from penstock import configure, events
from penstock.server.server import Server, ServerOptions
from penstock.store import Store, close_stores, current_store

APP = "benchmarks.kinds"
WORKERS = 2
TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def fresh_store(path: Path) -> Iterator[Store]:
    """Make a new SQLite file the store of this process."""
    remove_store(path)
    configure(store=f"sqlite:///{path}", durability="full")
    try:
        yield current_store()
    finally:
        close_stores()
        remove_store(path)


@contextmanager
def ready_server(store: Store) -> Iterator[Server]:
    """Give a server in this process whose workers have imported the app; it takes work once it is started."""
    count = 0
    ready = threading.Event()

    def note(_: events.WorkerReady) -> None:
        nonlocal count
        count += 1
        if count == WORKERS:
            ready.set()

    server = Server(store, ServerOptions(app=[APP], workers=WORKERS, processes=WORKERS))
    with events.subscribed(events.WorkerReady, note):
        server.start_workers()
        if not ready.wait(60):
            raise RuntimeError("the workers did not become ready")
    try:
        yield server
    finally:
        server.stop(0)


@contextmanager
def server_process(store: Path) -> Iterator[int]:
    """Run `penstock server` with two workers; gives its process id once its workers are ready."""
    command = [sys.executable, "-m", "penstock", "server", "--app", APP, "--workers", str(WORKERS)]
    process = subprocess.Popen(
        [*command, "--processes", str(WORKERS), "--store", f"sqlite:///{store}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    told = []
    while sum("ready" in line for line in told) < WORKERS:
        told.append(process.stderr.readline())
        if not told[-1]:
            raise RuntimeError("penstock server ended:\n" + "".join(told))
    # Read on, so that it never waits for a full pipe.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def family(pid: int) -> list[int]:
    """Return a process and all its living descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time of processes, by their threads in nanoseconds where the kernel counts them."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICK
