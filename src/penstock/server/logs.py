"""The log of one process: all records of all loggers, written by one thread to wherever the options say.

log = ProcessLog(options_of(settings()), worker="server:1").start()
with job_context(job_id=…, kind=…, level=job.log_level):
    …                       # what any logger says here is told with the job
log.close()                 # all is written, or it is said how much is not
"""

import logging
import os
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from types import TracebackType
from typing import Any, Self

from penstock.server.log_context import LEVELS, root_level
from penstock.server.log_delivery import FLUSH_SECONDS, Delivery, Intake
from penstock.server.log_formats import formatter
from penstock.server.log_handlers import HandlerSource, handlers_from, importable_name
from penstock.server.log_outputs import SYSLOG_LINE, Console, SharedFile, Syslog

SETTINGS = {
    "level": "log_level",
    "format": "log_format",
    "file": "log_file",
    "syslog": "syslog",
    "handlers": "log_handlers",
    "timezone": "timezone",
}
"""The setting for each option."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, and where to. The console is always among it."""

    level: str = "info"
    """One of `LEVELS`."""
    format: str = "text"
    """`text` or `json`."""
    file: str | None = None
    """A file to append to."""
    syslog: str | None = None
    """`/dev/log` or `host:port`."""
    handlers: tuple[HandlerSource, ...] = ()
    """`module:function`, or functions, that return a handler or a list of them."""
    timezone: str = "UTC"
    """The zone of times in text."""


def options_of(settings: object, *, level: str = "warning") -> LogOptions:
    """Return the options that settings make.

    Args:
        level: The level where `log_level` is None.
    """
    given = {option: getattr(settings, setting) for option, setting in SETTINGS.items()}
    return LogOptions(**{**given, "level": given["level"] or level, "handlers": tuple(given["handlers"])})


def travelling(options: LogOptions) -> dict[str, Any]:
    """Return options as settings for another process: plain data, functions by name.

    Raises:
        ConfigurationError: a function cannot be imported by its name.
    """
    values = {SETTINGS[option.name]: getattr(options, option.name) for option in fields(options)}
    return {**values, "log_handlers": [*map(importable_name, options.handlers)]}


class ProcessLog:
    """See the module. One at a time is in use in a process."""

    def __init__(self, options: LogOptions, *, worker: str | None = None, console: int = 2) -> None:
        """Say what to log.

        Args:
            worker: The name of this process, told with what is logged outside of any job.
            console: The descriptor that lines are written to.
        """
        self.options = options
        self._worker = worker
        self._descriptor = console

    def start(self) -> Self:
        """Open the outputs, and take over the root logger.

        Raises:
            ConfigurationError: an output cannot be opened, or a function of `handlers` is no good.
        """
        users = self._users(self.options.handlers)
        self._console = Console(self._formatter(), as_json=self.options.format == "json", descriptor=self._descriptor)
        self._delivery = Delivery(self._console, [self._console, *self._outputs(), *users])
        self._intake = Intake(self._delivery, self._worker)
        self._before = (logging.root.level, threading.excepthook)
        self._delivery.start()
        _open.add(self)
        self.attach()
        logging.captureWarnings(True)
        threading.excepthook = _log_end_of_thread
        return self

    def attach(self) -> None:
        """See to it that all is logged here, whatever an imported module did to the root logger."""
        if self._intake not in logging.root.handlers:
            logging.root.addHandler(self._intake)
        root_level.set_own(LEVELS[self.options.level])
        for name, logger in list(logging.Logger.manager.loggerDict.items()):
            if isinstance(logger, logging.Logger) and name.partition(".")[0] == "penstock":
                logger.disabled = False

    def add_handlers(self, sources: Iterable[HandlerSource]) -> None:
        """Log to more handlers of the user's own.

        Raises:
            ConfigurationError: a function is no good; it is named.
        """
        self._delivery.add(self._users(sources))

    def relay(self, worker: str, line: str) -> None:
        """Write a line of a worker's output to the console, after what was logged before."""
        self._delivery.put(partial(self._console.relay, worker, line))

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was logged before is written; False when it is not after so many seconds."""
        return self._delivery.flush(seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Give the root logger back and write what is left; False when it is not written after so many seconds."""
        if self not in _open:
            return True
        _open.discard(self)
        logging.captureWarnings(False)
        logging.root.removeHandler(self._intake)
        root_level.set_own(None)
        level, threading.excepthook = self._before
        logging.root.setLevel(level)
        return self._delivery.close(seconds)

    def write_directly(self) -> None:
        """Write in the thread that logs, from now on: after a fork there is no other."""
        self._delivery.write_directly()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _formatter(self, **options: Any) -> logging.Formatter:
        return formatter(self.options.format, self.options.timezone, **options)

    def _outputs(self) -> list[logging.Handler]:
        found: list[logging.Handler] = []
        if self.options.file is not None:
            found.append(SharedFile(self.options.file, self._formatter()))
        if self.options.syslog is not None:
            found.append(Syslog(self.options.syslog, self._formatter(longest=SYSLOG_LINE, with_time=False)))
        return found

    def _users(self, sources: Iterable[HandlerSource]) -> list[logging.Handler]:
        found = handlers_from(sources)
        for handler in found:
            if handler.formatter is None:
                handler.setFormatter(self._formatter())
        return found


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return
    name = ended.thread.name if ended.thread is not None else "?"
    error = ended.exc_value or ended.exc_type()
    logging.getLogger("penstock").error("the thread %s ended by an exception", name, exc_info=error)


_open: "weakref.WeakSet[ProcessLog]" = weakref.WeakSet()


def _after_fork() -> None:
    root_level.renew_after_fork()
    for log in list(_open):
        log.write_directly()


os.register_at_fork(after_in_child=_after_fork)
