"""The event loop on which this process runs what is `async`, in a thread of its own, started on first use.

One for all: a client with connections, made in one job, is good for the next.
"""

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import CancelledError, wait
from typing import Any, TypeVar

from penstock.errors import JobTimeout

Value = TypeVar("Value")

ARRIVAL_SECONDS = 1.0
"""How long a thread waits at a time: what is raised in it for a time-out does not arrive while it waits."""

_starting = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []


def finish(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine to its end and return its value; whatever it raises comes out.

    Where the waiting itself is broken off, as by a time-out, the coroutine is cancelled.

    Raises:
        RuntimeError: this is the thread of the loop: what is `async` must be awaited there.
    """
    loop = running_loop()
    if threading.current_thread().name == _NAME:
        coroutine.close()
        raise RuntimeError("this runs on the event loop of async jobs already: await the coroutine instead")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        while not wait([future], ARRIVAL_SECONDS).done:
            pass
        return future.result()
    except CancelledError:
        raise asyncio.CancelledError from None
    finally:
        future.cancel()  # Of one that has ended this does nothing.


def finish_within(coroutine: Coroutine[Any, Any, Value], seconds: float | None) -> Value:
    """Run a coroutine to its end, and cancel it where that takes longer; None is no limit.

    Raises:
        JobTimeout: it took too long.
    """
    return finish(within(coroutine, seconds))


async def within(coroutine: Awaitable[Value], seconds: float | None) -> Value:
    """Await something, and cancel it where that takes longer; None is no limit.

    Raises:
        JobTimeout: it took too long.
    """
    if seconds is None:
        return await coroutine
    try:
        async with asyncio.timeout(seconds) as limit:
            return await coroutine
    except TimeoutError as error:
        if limit.expired():
            raise JobTimeout(f"it took longer than its timeout of {seconds:g} s") from error
        raise


_NAME = "penstock-event-loop"


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started where it was not."""
    with _starting:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=_NAME, daemon=True).start()
            _loops.append(loop)
        return _loops[0]
