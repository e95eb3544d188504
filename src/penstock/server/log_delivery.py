"""The queue between who logs and what writes: records go in from any thread, one thread hands them to every handler.

A handler that is slow holds up nobody. Only when `MOST_WAITING` records wait, who logs waits for room: as long as the
handlers take `SLOWEST` records a second, so that a job which says more than can be written is slowed and not
forgotten. Behind a handler that is slower than that, records are dropped, and counted, until half of them are written.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

from penstock import clock
from penstock.errors import JobTimeout
from penstock.server.log_context import CURRENT, is_wanted
from penstock.server.log_formats import exception_of, message_of

MOST_WAITING = 10_000
"""Records that may wait to be written; twice as many when they are warnings or worse."""
SLOWEST = 1_000
"""Records a second that handlers must take to be waited for."""
PATIENCE = 0.25
"""Seconds over which that is judged."""
FLUSH_SECONDS = 1.0
"""How long anybody waits for the handlers."""
TROUBLE_SECONDS = 60.0
"""How often a handler that fails is told of."""

Entry = logging.LogRecord | Callable[[], None]
"""What waits in the queue: a record, or something to do when all before it is written."""


class Delivery(QueueListener):
    """The queue and its thread."""

    def __init__(self, console: logging.Handler, handlers: Iterable[logging.Handler]) -> None:
        """Take the handlers, of which `console` is told what goes wrong with the others."""
        self._waiting: SimpleQueue[Entry | None] = SimpleQueue()
        super().__init__(self._waiting)
        self._console = console
        self._direct = False
        self._handled = 0
        self._stuck = False
        self._dropped: list[None] = []
        self._told: dict[logging.Handler, float] = {}
        self._busy: logging.Handler | None = None
        self.add(handlers)

    def add(self, handlers: Iterable[logging.Handler]) -> None:
        """Hand what comes to these as well."""
        new = tuple(handlers)
        for handler in new:
            if type(handler).handleError is logging.Handler.handleError:
                # The default one prints a page for each record.
                handler.handleError = partial(self._note_trouble, handler)  # type: ignore[method-assign]
        self.handlers = (*self.handlers, *new)

    def start(self) -> None:
        """Start the thread."""
        super().start()
        assert self._thread is not None
        self._thread.name = "penstock-log"

    def put(self, entry: Entry) -> None:
        """Queue an entry, if there is room for it. Any thread may, and a signal handler."""
        if self._direct:
            self.handle(entry)
        elif self._is_own_thread():
            # What a handler logs while it works goes to the console alone: else it would never end.
            self._give(entry, (self._console,))
        elif self._has_room(entry):
            self._waiting.put(entry)
        else:
            self._dropped.append(None)

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was put before is handled, and the handlers are flushed.

        Returns:
            False when that is not so after `seconds`.
        """
        if self._direct or self._is_own_thread():
            self._each("flush")
            return True
        done = threading.Event()
        self._waiting.put(partial(self._each, "flush"))
        self._waiting.put(done.set)
        return done.wait(seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Flush, close the handlers, and end the thread; False when that takes longer than `seconds`."""
        self._waiting.put(self._close_handlers)
        self.enqueue_sentinel()
        if self._direct:
            self._close_handlers()
            return True
        assert self._thread is not None
        self._thread.join(seconds)
        if not self._thread.is_alive():
            return True
        if self._busy is not self._console:
            waiting = max(1, self._waiting.qsize() - 1)
            note = f"up to {waiting} log records are lost: {self._busy!r} has not taken them within {seconds:g} s"
            self._give(_note(note), (self._console,))
        return False

    def write_directly(self) -> None:
        """Handle entries in the thread that puts them. What is in the queue is left: it is another process's."""
        self._direct = True
        self.queue = self._waiting = SimpleQueue()

    def handle(self, entry: Entry) -> None:
        """Hand an entry to every handler. Nothing that they raise comes out."""
        self._handled += 1
        if self._dropped:
            count = len(self._dropped)
            del self._dropped[:count]
            note = f"{count} log records were dropped: more was logged than the handlers could take"
            self._give(_note(note), self.handlers)
        self._give(entry, self.handlers)

    def _give(self, entry: Entry, handlers: Iterable[logging.Handler]) -> None:
        if not isinstance(entry, logging.LogRecord):
            self._guarded(self._console, entry)
            return
        for handler in handlers:
            if entry.levelno >= handler.level:
                self._guarded(handler, partial(handler.handle, entry))

    def _guarded(self, handler: logging.Handler, action: Callable[[], object]) -> None:
        before, self._busy = self._busy, handler
        try:
            action()
        except Exception:
            self._note_trouble(handler)
        finally:
            self._busy = before

    def _note_trouble(self, handler: logging.Handler, _: logging.LogRecord | None = None) -> None:
        """Tell the other handlers of the exception in one, once in a while."""
        now = clock.monotonic()
        if now - self._told.get(handler, float("-inf")) >= TROUBLE_SECONDS:
            self._told[handler] = now
            note = _note(f"the log handler {handler!r} failed", sys.exc_info())
            self._give(note, [other for other in self.handlers if other is not handler])

    def _has_room(self, entry: Entry) -> bool:
        waiting = self._waiting.qsize()
        if waiting < MOST_WAITING // 2:
            self._stuck = False
            return True
        if isinstance(entry, logging.LogRecord) and entry.levelno >= logging.WARNING and waiting < 2 * MOST_WAITING:
            return True
        if not self._stuck:
            self._stuck = not self._await_room()
        return not self._stuck

    def _await_room(self) -> bool:
        # By looking: there is no lock here that a fork or a signal could leave taken.
        since, handled = time.monotonic(), self._handled
        while self._waiting.qsize() >= MOST_WAITING:
            seconds = time.monotonic() - since
            if seconds >= PATIENCE:
                if self._handled - handled < SLOWEST * seconds:
                    return False
                since, handled = time.monotonic(), self._handled
            time.sleep(0.0005)
        return True

    def _close_handlers(self) -> None:
        self._each("flush")
        self._each("close")

    def _each(self, method: str) -> None:
        for handler in self.handlers:
            self._guarded(handler, getattr(handler, method))

    def _is_own_thread(self) -> bool:
        return self._thread is not None and self._thread.ident == threading.get_ident()


class Intake(QueueHandler):
    """The handler of the root logger. It has no lock, and needs none."""

    def __init__(self, delivery: Delivery, worker: str | None) -> None:
        super().__init__(delivery.queue)
        self._delivery = delivery
        self._worker = worker

    def createLock(self) -> None:  # noqa: N802 - the base class names it
        """Do without."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record. A time-out that is raised meanwhile is the job's."""
        try:
            self.enqueue(self.prepare(record))
        except JobTimeout:
            raise
        except Exception:
            self.handleError(record)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is loud enough where it comes from."""
        return is_wanted(record, CURRENT.get())

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a copy that says the same whatever becomes of its arguments, with the job that logged it.

        The attribute `job_context` is a dict, `is_kept` tells whether it may be kept with the job; `exc_info` stays,
        for handlers that want it.
        """
        taken = type(record).__new__(type(record))
        vars(taken).update(vars(record))
        taken.message = taken.msg = message_of(record)
        taken.args = None
        taken.exc_text = exception_of(record) or None
        context = CURRENT.get()
        details = context.details() if context is not None else {}
        if self._worker is not None:
            details.setdefault("worker", self._worker)
        vars(taken)["job_context"] = details
        vars(taken)["is_kept"] = context is not None and not context.seals
        return taken

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record; where the context asks for it, wait until it is written."""
        self._delivery.put(record)
        context = CURRENT.get()
        if context is not None and context.prompt:
            self._delivery.flush()


def _note(text: str, error: object = None) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "penstock.log", "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "exc_info": error}
    )
