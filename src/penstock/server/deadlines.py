"""Time-outs: a call that takes too long has `JobTimeout` raised in its thread, by a thread that watches.

That reaches Python code between two of its steps. What does not come back from a call into C, or catches the
exception and goes on, is told to the server through the markers, and the server kills the process.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from queue import Empty, SimpleQueue
from typing import cast

from penstock.errors import JobTimeout

PATIENCE_SECONDS = 5.0
"""How long a piece may take to end after `JobTimeout` was raised in it."""

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _TakenBack(BaseException):
    """Takes the place of what was raised and has not arrived: a thread has room for one."""


TOO_LONG = "it took longer than its timeout of {:g} s"


@cache
def timeout_error(seconds: float, text: str = TOO_LONG) -> type[JobTimeout]:
    """Return `JobTimeout` as a class that words itself: an exception for another thread is made without arguments."""

    def words(_: JobTimeout) -> str:
        return text.format(seconds)

    body = {"__module__": JobTimeout.__module__, "__doc__": JobTimeout.__doc__, "__str__": words}
    return cast("type[JobTimeout]", type(JobTimeout.__name__, (JobTimeout,), body))


@dataclass(eq=False, slots=True)
class _Watched:
    """A block under a deadline. Its lock is held while it is raised in, and while it is left."""

    thread: int
    due: float
    error: type[JobTimeout]
    # Not a Condition or an Event: these are written in Python, and an exception that strikes inside leaves them locked.
    lock: threading.Lock = field(default_factory=threading.Lock)
    fired: bool = False
    left: bool = False


class Deadlines:
    """The time-outs of one process. Its thread starts with the first that is asked for."""

    def __init__(self) -> None:
        self._new: SimpleQueue[_Watched] = SimpleQueue()
        self._watched: set[_Watched] = set()
        """Of the thread alone. Those that were left go when it next wakes."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(
        self, seconds: float | None, note: Callable[[float], None] = lambda _: None, text: str = TOO_LONG
    ) -> Iterator[None]:
        """Raise `JobTimeout` in the block when it takes longer; None is no limit.

        Args:
            seconds: How long it may take.
            note: Told the moment, in seconds of `time.monotonic`, at which the process is to be killed if the block
                still runs, and 0 at its end.
            text: What the error says; `{:g}` is for the seconds.

        Raises:
            JobTimeout: it took too long.
        """
        if seconds is None:
            yield
            return
        self._start()
        note(time.monotonic() + seconds + PATIENCE_SECONDS)
        entry = _Watched(threading.get_ident(), time.monotonic() + seconds, timeout_error(seconds, text))
        try:
            self._new.put(entry)
            yield
        finally:
            try:
                _leave(entry)
            finally:
                note(0.0)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="penstock-deadlines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        watched = self._watched
        while True:
            pause = min((entry.due for entry in watched), default=None)
            with suppress(Empty):
                watched.add(self._new.get(timeout=None if pause is None else max(0.0, pause - time.monotonic())))
            now = time.monotonic()
            for entry in [entry for entry in watched if entry.left or entry.due <= now]:
                watched.discard(entry)
                _strike(entry)


def _strike(entry: _Watched) -> None:
    """Raise in the block, unless it has been left."""
    with entry.lock:
        if not entry.left:
            entry.fired = True
            _raise_in_thread(entry.thread, entry.error)


def _leave(entry: _Watched) -> None:
    """After this nothing is raised any more; what was raised and has not arrived is taken back."""
    with entry.lock:
        entry.left = True
        if entry.fired:
            # Not by a null pointer: that leaves a mark in the interpreter which only an exception clears. Each call
            # heeds it ever after, and under a debugger or a measurement of coverage CPython 3.11 does not come past it.
            with suppress(_TakenBack):
                while True:  # Once, but for one that strikes in a finalizer and is lost there.
                    _raise_in_thread(entry.thread, _TakenBack)
