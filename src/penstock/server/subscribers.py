"""Subscribers of the user's own to what happens in a server, each called in a thread that holds nobody up."""

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from penstock import events
from penstock.errors import AppImportError

log = logging.getLogger("penstock")

MOST_WAITING = 100_000
"""Events that wait for a slow subscriber. Those beyond are dropped, and their number is logged."""
CLOSE_SECONDS = 5.0


@contextmanager
def subscribers_called(specs: Sequence[str]) -> Iterator[None]:
    """Call functions with every event, for the length of a `with` block.

    Args:
        specs: The functions, as `module:function`. All are called in one thread, in the order of the events; what
            they raise is logged.

    Raises:
        AppImportError: one does not import, or is no function.
    """
    functions = [_find(spec) for spec in specs]
    if not functions:
        yield
        return
    caller = _Caller(functions)
    with events.subscribed(events.Event, caller.put):
        yield
    caller.close()


class _Caller:
    def __init__(self, functions: list[events.Subscriber]) -> None:
        self._functions = functions
        self._waiting: queue.Queue[events.Event | None] = queue.Queue(MOST_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="penstock-subscribers", daemon=True)
        self._thread.start()

    def put(self, event: events.Event) -> None:
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Let what waits be told, for a few seconds at most."""
        try:
            self._waiting.put(None, timeout=CLOSE_SECONDS)
            self._thread.join(CLOSE_SECONDS)
        except queue.Full:
            self._dropped += self._waiting.qsize()
        if self._dropped:
            log.warning("%d events were dropped: the subscribers are too slow", self._dropped)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            for function in self._functions:
                try:
                    function(event)
                except Exception:
                    log.exception("a subscriber failed on %r", event)


def _find(spec: str) -> events.Subscriber:
    from penstock.server.app import import_module

    module_name, _, name = spec.partition(":")
    function: Any = getattr(import_module(module_name), name, None) if name else None
    if not callable(function):
        raise AppImportError(f"subscriber {spec!r}: write module:function, naming a function that takes an event")
    return cast("events.Subscriber", function)
