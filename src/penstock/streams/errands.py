"""A function that asks for its bytes, or hands its bytes on, turned into one that is called.

It runs in a thread of its own, but only while somebody waits for it: the two take turns, and never run at the same
time. So nothing that either of them touches needs a lock, and there is nothing to be lost in between.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from threading import Semaphore, Thread
from typing import Any

Turn = Callable[[Any], Any]
"""What the work calls to hand something over and wait; returns what it is given next."""


class _Abandoned(BaseException):
    """Nobody waits any more."""


class _State:
    """What both sides know. The thread must not know the errand: that is how a forgotten one ends."""

    def __init__(self, work: Callable[[Turn], None]) -> None:
        self.work = work
        self.go = Semaphore(0)
        self.back = Semaphore(0)
        self.given: Any = None
        self.handed: Any = None
        self.abandoned = False
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._await_turn()
            self.work(self.turn)
        except BaseException as error:
            self.error = error
        finally:
            self.handed = None
            self.done = True
            self.back.release()

    def turn(self, handed: Any) -> Any:
        self.handed = handed
        self.back.release()
        return self._await_turn()

    def _await_turn(self) -> Any:
        self.go.acquire()
        if self.abandoned:
            raise _Abandoned
        return self.given


class Errand:
    """Work that is done step by step, whenever it is sent something."""

    def __init__(self, work: Callable[[Turn], None], name: str) -> None:
        """`work` must not hold the errand, or what holds it. `name`: of the thread."""
        self._state = _State(work)
        # A daemon: at the end of the program nobody may be left to end it.
        self._thread = Thread(target=self._state.run, name=name, daemon=True)
        self._owner = os.getpid()
        self._started = False

    @property
    def done(self) -> bool:
        """Whether the work has ended."""
        return self._state.done

    def send(self, given: Any) -> Any:
        """Give the work something, and return what it hands over next; `None` when it has ended.

        Raises what the work raised, once.
        """
        state = self._state
        if state.done or state.abandoned:
            return None
        if os.getpid() != self._owner:
            raise RuntimeError("this stream was opened before a fork, and belongs to the parent")
        if not self._started:
            self._started = True
            self._thread.start()
        state.given = given
        state.go.release()
        try:
            state.back.acquire()
        except BaseException:  # Ctrl-C: the work may still be at it
            state.abandoned = True
            raise
        if state.done:
            self._thread.join()
            error, state.error = state.error, None
            if error is not None:
                raise error
        return state.handed

    def abandon(self) -> None:
        """End the work where it stands."""
        self._state.abandoned = True
        # A child after a fork has no such thread; at the end of the program it does not run any more.
        if self._started and os.getpid() == self._owner and not sys.is_finalizing():
            with contextlib.suppress(RuntimeError):
                self._state.go.release()
                self._thread.join()
        self._state.work = _nothing
        self._state.error = None


def _nothing(_: Turn) -> None:
    """What is left of work that was abandoned: it lets go of what it held."""
