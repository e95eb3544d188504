"""`Handle`: what `enqueue` returns. The answer can be waited for, awaited, and asked for how far it is."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast
from uuid import UUID

from penstock.errors import JobAborted, JobFailed, JobNotFound, PenstockError, StoreClosed, WaitTimeout
from penstock.model.failure import Failure
from penstock.records import decode_value
from penstock.states import State
from penstock.store.rows import JobRow

R = TypeVar("R")

log = logging.getLogger("penstock")


class Answer:
    """How a job, or one period of it, ended."""

    def __init__(
        self,
        state: State,
        result: bytes | None = None,
        failure: Failure | None = None,
        added: dict[str, Any] | None = None,
        *,
        progress: Any = None,
        aborted_from_outside: bool = False,
        is_gone: bool = False,
        cut_off: StoreClosed | None = None,
    ) -> None:
        self.state = state
        self.failure = failure
        self.progress = progress
        """What the job last said of how far it was."""
        self._result = result
        self._added = added
        self._aborted = aborted_from_outside
        self._is_gone = is_gone
        self._cut_off = cut_off

    @cached_property
    def value(self) -> Any:
        """What the function returned."""
        return None if self._result is None else decode_value(self._result)

    @property
    def added(self) -> dict[str, Any]:
        """What the steps added to the arguments."""
        return self._added or {}

    def error(self, job_id: UUID, kind: str) -> PenstockError | None:
        """Return the exception that stands for the answer; None where the job succeeded."""
        if self._cut_off is not None:
            return StoreClosed(f"{kind} {job_id} goes on, but nobody here will hear of it: {self._cut_off}")
        if self._is_gone:
            return JobNotFound(f"{kind} {job_id} is gone, and what it returned with it: it was destroyed")
        if self.failure is not None:
            return JobFailed(f"{kind} {job_id}: {self.failure.summary}", self.failure)
        return JobAborted(f"{kind} {job_id} was aborted") if self._aborted else None


class Answers(Protocol):
    """Where answers come from: a store, or a distributor."""

    def watch(self, handle: "Handle[Any]") -> None:
        """See to it that the handle gets its answer. Asked again it does nothing."""

    def row(self, job_id: UUID) -> JobRow | None:
        """Return the job as it is stored now, or None."""

    def progress(self, job_id: UUID) -> Any:
        """Return what the job last said of how far it is; None before it said anything."""

    def abort(self, job_id: UUID) -> None:
        """End a job that waits or runs."""


class Handle(Generic[R]):
    """A job that was enqueued. Any thread, and any event loop, may ask it."""

    __slots__ = ("__weakref__", "_answer", "_answers", "_callbacks", "id", "is_due", "kind", "periodic")

    def __init__(self, job_id: UUID, kind: str, answers: Answers, *, periodic: bool = False) -> None:
        self.id = job_id
        self.kind = kind
        self.periodic = periodic
        self._answers = answers
        self.is_due = False
        """Whether somebody has noted that it is to be told its answer, which may be under way to it now."""
        self._answer: Answer | None = None
        self._callbacks: list[Callable[[Handle[R]], None]] | None = None

    def __repr__(self) -> str:
        """Return what it is of, and its state where that is known."""
        return f"<Handle of {self.kind} {self.id}{f', {self._answer.state}' if self._answer else ''}>"

    def result(self, timeout: float | None = None) -> R:
        """Wait for the answer, and return what the function returned. Of a periodic job: the newest answer there is.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            JobFailed: it failed for good; `failure` has the error with its traceback.
            JobAborted: somebody aborted it. One that aborted itself gives its result.
            WaitTimeout: there is no answer in time.
            JobNotFound: somebody destroyed it.
            StoreClosed: this process closed the store before there was an answer.
        """
        self.wait(timeout)
        error = self.error()
        if error is not None:
            raise error
        assert self._answer is not None
        return cast("R", self._answer.value)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the answer, whatever it is.

        Raises:
            WaitTimeout: there is none after `timeout` seconds.
        """
        if self._answer is None:
            ended = threading.Event()
            self.add_done_callback(lambda _: ended.set())
            if not ended.wait(timeout):
                raise WaitTimeout(f"{self.kind} {self.id} has no answer after {timeout:g} s")

    def error(self) -> Exception | None:
        """Return the exception that `result` would raise; None where it succeeded or has no answer yet."""
        return self._answer.error(self.id, self.kind) if self._answer is not None else None

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the answer on an event loop, and return what the function returned; as `result` does."""
        if self._answer is None:
            import asyncio

            loop = asyncio.get_running_loop()
            future = loop.create_future()

            def end() -> None:
                if not future.done():
                    future.set_result(None)

            def tell(_: "Handle[R]") -> None:
                with suppress(RuntimeError):  # The loop is closed: nobody waits there any more.
                    loop.call_soon_threadsafe(end)

            self.add_done_callback(tell)
            yield from future
        return self.result()

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self._answer is not None

    @property
    def state(self) -> State:
        """Where the job is in its life.

        Raises:
            JobNotFound: somebody destroyed it.
        """
        if self._answer is not None and self._answer.state is not State.QUEUED:
            return self._answer.state
        row = self._answers.row(self.id)
        if row is None and self._answer is None:
            raise JobNotFound(f"there is no job {self.id}")
        return row.state if row is not None else cast("Answer", self._answer).state

    @property
    def waits_for(self) -> str | None:
        """Why the job does not start although it is due; None unless something holds it back."""
        row = None if self._answer is not None else self._answers.row(self.id)
        return row.throttled_by if row is not None and row.state is State.QUEUED else None

    @property
    def progress(self) -> Any:
        """What the run last said of how far it is; None before it said anything."""
        if self._answer is not None and not self.periodic:
            return self._answer.progress
        return self._answers.progress(self.id)

    @property
    def added(self) -> dict[str, Any]:
        """What the function and its steps added to the arguments; empty before the answer."""
        return self._answer.added if self._answer is not None else {}

    def abort(self) -> None:
        """End the job for good, if it has not ended yet.

        Raises:
            InvalidMove: it has ended.
            JobNotFound: it is gone.
        """
        self._answers.abort(self.id)

    def add_done_callback(self, callback: "Callable[[Handle[R]], None]") -> None:
        """Call `callback` with this handle once there is an answer; at once where there is one."""
        with _changing:
            waits = self._answer is None
            if waits:
                self._callbacks = [*(self._callbacks or ()), callback]
        if waits:
            self._answers.watch(self)
        else:
            callback(self)

    def resolve(self, answer: Answer) -> None:
        """Take the answer: for who gives it."""
        with _changing:
            self._answer = answer
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback(self)
            except Exception:  # Others wait for their answers.
                log.exception("a callback of %r failed", self)

    def follow(self, other: "Handle[R]") -> None:
        """Take the answer that another handle of the same job has."""
        if other._answer is not None:
            self.resolve(other._answer)


_changing = threading.Lock()
"""One for all handles: each holds it for a moment, and there may be millions of handles."""
