"""Many handles at once."""

import queue
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from penstock import clock
from penstock.errors import WaitTimeout
from penstock.functions.handle import Handle

R = TypeVar("R")


def as_completed(handles: Iterable[Handle[R]], timeout: float | None = None) -> Iterator[Handle[R]]:
    """Yield each handle when its job has its answer, in the order of the answers.

    Args:
        handles: Handles, from any store or distributor.
        timeout: Seconds for all of them together; None waits for ever.

    Raises:
        WaitTimeout: some have no answer in time.
    """
    waiting = list(handles)
    done: queue.SimpleQueue[Handle[Any]] = queue.SimpleQueue()
    for handle in waiting:
        handle.add_done_callback(done.put)
    deadline = None if timeout is None else clock.monotonic() + timeout
    for left in range(len(waiting), 0, -1):
        try:
            yield done.get(timeout=None if deadline is None else max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            raise WaitTimeout(f"{left} of {len(waiting)} jobs have no answer after {timeout:g} s") from None


def gather(handles: Iterable[Handle[R]], timeout: float | None = None, *, return_errors: bool = False) -> list[R | Any]:
    """Return the results of many jobs, in the order of the handles.

    Args:
        handles: Handles, from any store or distributor.
        timeout: Seconds for all of them together; None waits for ever.
        return_errors: Whether the exception of a job that failed stands in the place of its result.

    Raises:
        JobFailed: one failed, unless errors are returned; the first to fail.
        WaitTimeout: some have no answer in time.
    """
    wanted = list(handles)
    for handle in as_completed(wanted, timeout):
        error = handle.error()
        if error is not None and not return_errors:
            raise error
    return [handle.error() or handle.result() for handle in wanted]
