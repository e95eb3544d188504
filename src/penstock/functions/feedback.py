"""Feedback: functions of the application that are called with the answer of a job, in a thread of their own."""

import inspect
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.functions.handle import Handle

log = logging.getLogger("penstock")

Callback = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is to be called when a job has ended; of a periodic one, after each period."""

    on_success: Callback | None = None
    """Gets what the function returned, and the handle where it takes a second argument."""
    on_error: Callback | None = None
    """Gets the exception, a `JobFailed`, and the handle where it takes a second argument."""


class CallbackThread:
    """Calls feedback in the order of the answers, one after another. What it raises is logged."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def do(self, act: Callable[[], None]) -> None:
        """Have something called soon."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._calls.put(act)

    def stop(self, seconds: float | None = None) -> None:
        """Return when all that waits has been called, or after so many seconds. A callback that asks does not wait."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            if thread is not threading.current_thread():
                thread.join(seconds)

    def _run(self) -> None:
        while (act := self._calls.get()) is not None:
            try:
                act()
            except Exception:
                log.exception("a callback failed")


def call_back(feedback: Feedback, handle: "Handle[Any]", value: Any, error: BaseException | None) -> None:
    """Call what is to be called for an answer."""
    callback = feedback.on_success if error is None else feedback.on_error
    if callback is None:
        return
    given = value if error is None else error
    outcome = callback(given, handle) if _takes_two(callback) else callback(given)
    if inspect.iscoroutine(outcome):
        from penstock.model.event_loop import finish

        finish(outcome)


def _takes_two(callback: Callback) -> bool:
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        return False  # A function in C that does not say.
    wanted = [
        one
        for one in parameters
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        and (one.default is one.empty or one.name == "handle")
    ]
    return len(wanted) >= 2
