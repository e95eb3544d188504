"""Servers to measure: in this process, or as the command runs them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from penstock import events
from penstock.server.options import ServerOptions
from penstock.server.server import Server
from penstock.store import Store

APP = "penstock.bench.kinds"
WORKERS = 2


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
def server_process(url: str, *, workers: int = WORKERS) -> Iterator[int]:
    """Run `penstock server` with so many workers, each a process; gives its process id once its workers are ready."""
    command = [sys.executable, "-m", "penstock", "server", "--app", APP, "--workers", str(workers)]
    process = subprocess.Popen(
        [*command, "--processes", str(workers), "--store", url],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    told: list[str] = []
    while sum("ready" in line for line in told) < workers:
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
