"""What a thread is at work on, and how loud it is: set around each piece of work, read only when something is logged.

A context is of the thread, or the asyncio task, that entered it: others in the same process keep theirs.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from msgspec import Struct

from penstock.errors import JobTimeout

TRACE = 5
"""The level below DEBUG. `logging` has no method for it: `log.log(TRACE, …)`."""
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""Every name of a level, with its number."""
CONTEXT_KEYS = ("job", "kind", "slice", "record", "worker")
"""What a context tells, in the order in which it is shown."""

logging.addLevelName(TRACE, "TRACE")


class RootLevel:
    """Keeps the level of the root logger at the lowest that anybody needs: the process itself, or one of its jobs."""

    def __init__(self) -> None:
        self.own: int | None = None
        """The level of the process; None while nothing is logged here, and then nothing is changed."""
        self._asked: Counter[int] = Counter()
        self._changing = threading.Lock()

    def set_own(self, level: int | None) -> None:
        """Give the process a level, or leave the root logger as it is."""
        with self._changing:
            self.own = level
            self._apply()

    def ask(self, level: int) -> bool:
        """Let records of this level come through until they are dropped; True when they had not by themselves."""
        if self.own is None or level >= self.own:
            return False
        with self._changing:
            self._asked[level] += 1
            self._apply()
        return True

    def drop(self, level: int) -> None:
        """Take back what was asked for."""
        with self._changing:
            self._asked[level] -= 1
            self._apply()

    def renew_after_fork(self) -> None:
        """Begin anew in a child: nobody is left who would let go of the lock."""
        self._changing = threading.Lock()

    def _apply(self) -> None:
        if self.own is None:
            return
        lowest = min([self.own, *(level for level, count in self._asked.items() if count > 0)])
        if logging.root.level != lowest:
            logging.root.setLevel(lowest)


root_level = RootLevel()


class JobContext(Struct, kw_only=True, eq=False):
    """A `with` statement around a piece of work: what is logged in it by this thread is told with its job."""

    job_id: UUID | str | None = None
    kind: str | None = None
    slice_number: int | None = None
    record_number: int | Callable[[], int] | None = None
    """The number, or what gives it when something is logged; when that raises, there is none."""
    worker: str | None = None
    level: str | None = None
    """One of `LEVELS`, in place of the level of the process; None keeps it."""
    prompt: bool = False
    """Wait until each record is written: for work that may kill its process."""
    seals: bool = True
    """Whether something of the job is sealed, so that nothing it logs may be kept; so it is taken to be until known."""
    threshold: int | None = None
    """The level as a number, once it is in force."""
    _before: Any = None
    _asked: int | None = None
    _loud: bool = False
    """There is something to do at the end. Most pieces of work have nothing, and that must cost nothing."""

    def __enter__(self) -> Self:
        self._before = CURRENT.set(self)
        if self.level is not None:
            self.use_level(self.level)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loud:
            self.leave(error)
        CURRENT.reset(self._before)

    def use_level(self, level: str) -> None:
        """Log at another level from now on: what it is may be known only after the context began."""
        before, self.threshold = self._asked, LEVELS[level]
        self._asked = self.threshold if root_level.ask(self.threshold) else None
        self._loud = True
        if before is not None:
            root_level.drop(before)

    def leave(self, error: BaseException | None) -> None:
        """Do what there is to do at the end of a context that logs more, or less, than its process."""
        if self._asked is not None:
            root_level.drop(self._asked)

    def details(self) -> dict[str, Any]:
        """Return what is known, by `CONTEXT_KEYS`."""
        told = (self.job_id, self.kind, self.slice_number, self._record(), self.worker)
        return {
            key: str(value) if isinstance(value, UUID) else value
            for key, value in zip(CONTEXT_KEYS, told, strict=True)
            if value is not None
        }

    def _record(self) -> int | None:
        if not callable(self.record_number):
            return self.record_number
        try:
            return self.record_number()
        except JobTimeout:  # It may be raised at any moment, and is not ours to take.
            raise
        except Exception:
            return None


job_context = JobContext
CURRENT: ContextVar[JobContext | None] = ContextVar("penstock_job_context", default=None)
"""What this thread, or asyncio task, is at work on."""


def is_wanted(record: logging.LogRecord, context: JobContext | None) -> bool:
    """Tell whether a record is loud enough for its job, else for the process.

    A logger with a level of its own has judged by that already, and is believed; a job's level goes before it.
    """
    if context is not None and context.threshold is not None:
        return record.levelno >= context.threshold
    return root_level.own is None or record.levelno >= root_level.own or _has_own_level(record.name)


def _has_own_level(name: str) -> bool:
    logger: Any = logging.Logger.manager.loggerDict.get(name)
    while isinstance(logger, logging.Logger) and logger is not logging.root:
        if logger.level:
            return True
        logger = logger.parent
    return False
