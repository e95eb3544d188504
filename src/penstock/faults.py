"""Fault points: named moments at which a test makes a process die, stop or fail. They do nothing unless asked to.

`PENSTOCK_FAULT=after_claim:kill:3` kills the process at its third passage of that point; several are separated by
commas. Where `PENSTOCK_FAULT_MARKS` names a folder, a fault happens once for all processes that share it: the first
leaves a file there with the name of the point. Without it a worker that takes the place of the one that was killed
meets the same fault again.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ConfigurationError

POINTS: Mapping[str, str] = {
    "in_claim": "server: work is claimed, the transaction is not committed",
    "after_claim": "server: the claim is committed, nothing is handed out",
    "before_perform": "worker: it has its piece, no code of the user's has run",
    "in_perform": "worker: within the attempt, before the first statement of `perform`; of a regular job",
    "in_slice": "worker: before a record of a slice",
    "after_perform": "worker: the user's code has ended, nothing is sent",
    "after_send": "worker: the result is sent, perhaps not stored",
    "before_settle": "server: results have come, nothing is stored",
    "in_settle": "server: results and outputs are written, the transaction is not committed",
    "after_settle": "server: results are stored, nothing that follows from it is done",
    "before_complete": "server: no slice is left, the batch job is not moved on",
    "before_destroy": "server: a job has ended and is out of sight, its rows are still there",
    "in_before_batch": "worker: within the attempt, before `before_batch`",
    "after_before_batch": "worker: `before_batch` has ended, nothing is sent",
    "in_after_batch": "worker: within the attempt, before `after_batch`",
    "after_after_batch": "worker: `after_batch` has ended, nothing is sent",
    "in_hooks": "worker: before hooks that follow a move, such as `after_complete`",
    "after_hooks": "worker: hooks that follow a move have run, nothing is sent",
    "in_upload": "who uploads: slices are stored, more are to come",
    "after_upload": "who uploads: all slices are stored, the upload does not count yet",
    "in_download": "who downloads: before a slice is written",
    "before_rename": "who writes a file: it is whole, under its temporary name",
    "after_rename": "who writes a file: it is in place",
    "before_succession": "worker: a scheduled job has ended, its next instance is not made",
    "in_succession": "worker: the next instance is written, the transaction is not committed",
    "after_succession": "worker: the next instance is stored, nobody knows",
    "in_rescue": "server: another server was found dead, what it held is not released",
    "after_beat": "server: a heartbeat is stored",
}
"""Every fault point, and who is where in its work when it passes it."""


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # The signal may come a moment later, and nothing is to happen until then.


def _stop(_: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(point: str) -> None:
    raise OSError(f"injected at the fault point {point}")


def _hang(_: str) -> None:
    threading.Event().wait()


ACTIONS: Mapping[str, Callable[[str], None]] = {"kill": _kill, "stop": _stop, "raise": _raise, "hang": _hang}
"""What may happen at a point: SIGKILL, SIGSTOP (until somebody sends SIGCONT), an `OSError`, or a thread that never
goes on."""


@dataclass
class _Fault:
    """A point at which something is to happen, counted down to the passage that it happens at."""

    action: str
    left: int


@dataclass
class Armed:
    """The faults of this process."""

    faults: dict[str, _Fault]
    marks: str | None = None
    guard: Any = field(default_factory=threading.Lock)

    @classmethod
    def from_text(cls, text: str, marks: str | None = None) -> "Armed":
        """Read `point:action[:passage]`, separated by commas.

        Raises:
            ConfigurationError: there is no such point or action, or the passage is no number from 1.
        """
        return cls(dict(_parsed(part.strip()) for part in text.split(",")), marks)

    def at(self, point: str) -> None:
        """Pass a point: at the passage that was asked for, it happens."""
        with self.guard:
            fault = self.faults.get(point)
            if fault is None:
                return
            fault.left -= 1
            if fault.left != 0 or not self._is_first(point):
                return
        ACTIONS[fault.action](point)

    def _is_first(self, point: str) -> bool:
        if self.marks is None:
            return True
        try:
            os.close(os.open(os.path.join(self.marks, point), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True


def _parsed(part: str) -> tuple[str, _Fault]:
    point, _, rest = part.partition(":")
    action, _, passage = rest.partition(":")
    if point not in POINTS:
        raise ConfigurationError(f"PENSTOCK_FAULT: there is no fault point {point!r}; known: {', '.join(POINTS)}")
    if action not in ACTIONS:
        raise ConfigurationError(
            f"PENSTOCK_FAULT: {part!r}: there is no action {action!r}; known: {', '.join(ACTIONS)}"
        )
    if passage and not (passage.isascii() and passage.isdigit() and int(passage) > 0):
        raise ConfigurationError(f"PENSTOCK_FAULT: {part!r}: the passage is {passage!r} and must be a number from 1")
    return point, _Fault(action, int(passage or 1))


def _pass(point: str) -> None:
    """Pass a fault point, where something may happen that a test asked for."""


def _as_it_is(_: str, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that passes a point before each call; here the function itself."""
    return call


at: Callable[[str], None] = _pass
before_each: Callable[[str, Callable[[Any], Any]], Callable[[Any], Any]] = _as_it_is


def arm(armed: Armed) -> None:
    """Have faults happen in this process from now on."""
    global at, before_each

    def passing(point: str, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def pass_and_call(value: Any) -> Any:
            armed.at(point)
            return call(value)

        return pass_and_call if point in armed.faults else call

    at, before_each = armed.at, passing


def disarm() -> None:
    """Have nothing happen any more."""
    global at, before_each
    at, before_each = _pass, _as_it_is


if _asked := os.environ.get("PENSTOCK_FAULT"):
    arm(Armed.from_text(_asked, os.environ.get("PENSTOCK_FAULT_MARKS")))
