"""The last lines that jobs log, gathered in a worker and sent to its dispatcher now and then, to be kept in the store.

However much is logged, what is kept and sent is bounded; and nothing that a job logs of which anything is sealed.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from penstock.store.rows import LogLine
from penstock.store.trail import LINES_OF_JOB

SEND_SECONDS = 0.5
"""How long lines gather."""
MOST_LINES = 1_000
"""Lines that are sent at once; of more, the last."""
MOST_TEXT = 2_000
"""Characters of a line; the rest is cut."""


class KeptLines(logging.Handler):
    """The handler of a worker. Nothing happens in it unless a job logs something."""

    def __init__(self, send: Callable[[list[LogLine]], object]) -> None:
        super().__init__()
        self._send = send
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._there = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of a job that may be kept."""
        details = getattr(record, "job_context", {})
        if not getattr(record, "is_kept", False) or "job" not in details:
            return
        text = record.getMessage() if not record.exc_text else f"{record.getMessage()}\n{record.exc_text}"
        at = datetime.fromtimestamp(record.created, UTC)
        line = LogLine(0, UUID(details["job"]), at, record.levelname.lower(), _cut(text), details.get("record"))
        self._lines.append(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="penstock-kept-lines", daemon=True)
            self._thread.start()
        self._there.set()

    def flush(self) -> None:
        """Send what there is."""
        lines = _taken(self._lines)
        if lines:
            self._send(last_of_each(lines))

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._there.wait()
            self._there.clear()
            pause.wait(SEND_SECONDS)
            self.flush()


class LinesOfServer:
    """What the workers of a server sent, stored now and then by whoever calls `store`."""

    def __init__(self, store: Callable[[list[LogLine]], object]) -> None:
        self._store = store
        self._lines: deque[LogLine] = deque(maxlen=5 * MOST_LINES)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def take(self, lines: list[LogLine]) -> None:
        """Take lines of a worker."""
        self._lines.extend(lines)

    def store(self) -> None:
        """Store what there is. Where the store refuses, these lines are not kept."""
        lines = _taken(self._lines)
        if lines:
            self._store(last_of_each(lines))


def _taken(lines: deque[LogLine]) -> list[LogLine]:
    taken = []
    with suppress(IndexError):  # Another thread may be at it too.
        while True:
            taken.append(lines.popleft())
    return taken


def last_of_each(lines: list[LogLine]) -> list[LogLine]:
    """Return the last lines of each job, as many as are kept of one, in their order."""
    counts: dict[UUID, int] = {}
    kept = []
    for line in reversed(lines):
        counts[line.job_id] = counts.get(line.job_id, 0) + 1
        if counts[line.job_id] <= LINES_OF_JOB:
            kept.append(line)
    return kept[::-1]


def _cut(text: str) -> str:
    # Lone surrogates can be logged, and not be stored.
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= MOST_TEXT else f"{clean[:MOST_TEXT]}…"
