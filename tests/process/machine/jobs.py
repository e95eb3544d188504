"""The jobs that the state machine drives. Every call of their code is told in one line of `told.jsonl`.

The file is copied into the laboratory and imported there by workers and actors. A job's fields say how it behaves:
`dies_at` and `raises_at` name a moment at which it does so, once; a job that raises or fails does so until the file
`healed` is there; one that holds waits for a lock which the driver has.
"""

import fcntl
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

from penstock import BatchJob, Job, Retry
from penstock.hooks import HOOKS

TOLD = os.open("told.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
STORE = os.environ["PENSTOCK_STORE"].removeprefix("sqlite:///")
_local = threading.local()


told_here: list[str] | None = None
"""What was told in this process; only an actor has such a list."""


class OopsError(Exception):
    """What the jobs raise."""


def seen() -> int:
    """Return the number of the newest change of a job that is committed: what is told afterwards is later than it."""
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(STORE, timeout=30, isolation_level=None)
        _local.connection.execute("PRAGMA query_only = 1")
    found: int = _local.connection.execute("SELECT coalesce(max(seq), 0) FROM watch").fetchone()[0]
    return found


def tell(job: "Told", moment: str, **more: Any) -> None:
    """Write a line, at once and whole; then do what the job is to do at this moment, if it has not done it yet."""
    line = {
        "job": job.id.hex,
        "moment": moment,
        "attempt": job.row.attempt,
        "thread": f"{os.getpid()}/{threading.get_native_id()}",
        "seen": seen(),
        "by_actor": told_here is not None,
        **more,
    }
    os.write(TOLD, json.dumps(line).encode() + b"\n")
    if told_here is not None:
        told_here.append(moment)
    if job.dies_at == moment and is_first(job, "death"):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.raises_at == moment and is_first(job, "error"):
        raise OopsError(f"at {moment}")


def is_first(job: "Told", what: str) -> bool:
    """Tell whether this has not happened to the job before, in any process."""
    try:
        os.close(os.open(f"once.{job.id.hex}.{what}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def is_healed() -> bool:
    """Tell whether jobs no longer fail."""
    return os.path.exists("healed")


def pass_gate() -> None:
    """Wait until the driver has opened the gate."""
    with open("gate") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)


class Told(Job, abstract=True):
    """What all have in common: a field of each actor, and fields of whoever runs the job."""

    mine_0: int = 0
    mine_1: dict[str, int] = {}  # noqa: RUF012
    mine_2: str = "0"
    worked: int = 0
    hooked: int = 0
    behaviour: str = "ok"
    dies_at: str = ""
    raises_at: str = ""

    def perform(self) -> Any:
        """Behave."""
        tell(self, "perform")
        self.worked = self.row.attempt
        try:
            return self.behave()
        finally:
            tell(self, "performed")

    def behave(self) -> Any:
        """Do what `behaviour` says."""
        match self.behaviour:
            case "hold":
                pass_gate()
            case "raise" if not is_healed():
                raise OopsError("in perform")
            case "fail" if not is_healed():
                self.fail("by itself")
            case "snooze" if is_first(self, "snooze"):
                self.snooze(0)
            case "abort":
                self.abort()
            case "complete":
                self.complete()
        return self.row.attempt


def _teller(moment: str) -> Any:
    def hook(self: Told) -> None:
        if moment.startswith("after_") and moment in COUNTED:
            self.hooked += 1
        tell(self, moment)

    return hook


def _around(moment: str) -> Any:
    def hook(self: Told) -> Iterator[None]:
        tell(self, moment)
        yield
        tell(self, moment.replace("around", "around_end"))

    return hook


COUNTED = {f"after_{move}" for move in ("complete", "fail", "retry", "pause", "resume", "abort", "requeue")}
"""The hooks that follow a committed move, each of which adds one to `hooked`."""
HOOK_METHODS = {
    moment: _around(moment) if moment.startswith("around") else _teller(moment)
    for moment in HOOKS
    if moment != "after_init"
}


class Hooked(Told, abstract=True):
    """With a hook at every moment."""

    vars().update(HOOK_METHODS)


class Bare(Told):
    """Without hooks: completed and destroyed by a plain DELETE."""


class Full(Hooked):
    """With all hooks."""


class Held(Hooked):
    """May be paused while it runs, and only two at a time."""

    pausable = True
    throttle_running_jobs = 2
    behaviour: str = "hold"


class Only(Hooked):
    """One for each name."""

    unique_by = ("name",)
    name: str


class Tries(Hooked, Retry):
    """Tried again by itself, at once."""

    retry_limit = 2

    def retry_delay(self, failures: int) -> float:
        """Return no time at all."""
        return 0.0


class Lines(Hooked, BatchJob):
    """A batch job of text records, which are uploaded before it is saved or, where it is lazy, in `before_batch`."""

    slice_size = 3
    collect_output = True
    destroy_on_complete = False
    records: int = 0
    lazy: bool = False
    bad: list[int] = []  # noqa: RUF012

    def before_batch(self) -> None:
        """Upload, with the chance to die or to raise in the midst of it."""
        tell(self, "before_batch")
        if self.lazy:
            self.upload(self.lines())

    def lines(self, name: str = "base", count: int | None = None) -> Iterator[str]:
        """Yield the records of an upload."""
        count = self.records if count is None else count
        for number in range(1, count + 1):
            if number == (count + 1) // 2:
                tell(self, "uploading")
            yield f"{name}:{number}"

    def perform(self, record: str) -> str:
        """Turn a record into its result."""
        number = self.record_number
        tell(self, "perform", record=number)
        try:
            if self.behaviour == "hold" and number == 4:
                pass_gate()
            if number in self.bad and not is_healed():
                raise OopsError(f"record {number}")
        finally:
            tell(self, "performed", record=number)
        return f"{record}!"


class FewLines(Lines):
    """Only one at a time."""

    throttle_running_jobs = 1


class TriedLines(Lines, Retry):
    """Tried again by itself when slices failed."""

    retry_limit = 1

    def retry_delay(self, failures: int) -> float:
        """Return no time at all."""
        return 0.0
