"""A look into the workers of a server: what their threads do, and how large they are."""

import threading
from pathlib import Path

from penstock import clock
from penstock.server.messages import Dump
from penstock.server.pool import Pool, WorkerProcess
from penstock.server.stacks import stacks

ANSWER_SECONDS = 3.0
"""How long a worker may take to say what it does. One that never lets go of the interpreter says nothing."""


class Dumps:
    """Asks all workers what their threads do, and waits for what they say."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._texts: dict[str, str] = {}
        self._changed = threading.Condition()

    def take(self, worker: WorkerProcess, text: str) -> None:
        """Take what a worker says, in the pool's thread."""
        with self._changed:
            self._texts[worker.name] = text
            self._changed.notify_all()

    def gather(self) -> str:
        """Return what every thread of every worker and of the server itself does."""
        asked = list(self._pool.workers)
        with self._changed:
            self._texts.clear()
        for worker in asked:
            self._pool.send(worker, [Dump()])
        deadline = clock.monotonic() + ANSWER_SECONDS
        with self._changed:
            while len(self._texts) < len(asked) and (left := deadline - clock.monotonic()) > 0:
                self._changed.wait(left)
            told = {worker: self._texts.get(worker.name, "it does not answer") for worker in asked}
        parts = [_part(f"worker {worker.name}, process {worker.process.pid}", text) for worker, text in told.items()]
        return "\n\n".join([*parts, _part("server", stacks())])


def _part(title: str, text: str) -> str:
    return f"== {title}\n{text}"


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB, where the system tells (Linux does); else 0."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    except OSError:
        return 0.0
    return int(fields[1]) * 4096 / (1 << 20)
