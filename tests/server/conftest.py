"""A dispatcher whose workers are played by the test.

- `played`: a `Played`: a store in memory, a dispatcher that is not started, a manual clock. `played.turn()` takes
  one turn, `played.handed(worker)` returns what a worker was handed since the last time, `played.done(...)` answers.
- `play(store, name=..., chosen=...)`: another dispatcher, for a store of the test's.
- `heard`: the events published so far.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock import clock as penstock_clock
from penstock import events
from penstock.clock import ManualClock
from penstock.ids import new_id
from penstock.records import encode_records
from penstock.server.chosen import Chosen
from penstock.server.dispatcher import Dispatcher
from penstock.server.messages import JobDone, KindFacts, RunHook, RunJob, RunSlice, SliceDone, Task
from penstock.store import Store
from penstock.store.rows import JobRow, NewOutput, NewSlice, ServerRow

SERVER = "server-1"
KINDS = [
    KindFacts("Copy", False, [], "Copy"),
    KindFacts("Tiny", False, [], "Tiny"),
    KindFacts("Lines", True, [], "Lines"),
    KindFacts("Nightly", True, ["after_batch", "before_batch"], "Nightly"),
]


class Played:
    """See the module."""

    def __init__(self, store: Store, clock: ManualClock, *, name: str = SERVER, chosen: Chosen | None = None) -> None:
        self.store = store
        self.clock = clock
        self.out: dict[Any, list[Any]] = defaultdict(list)
        self.lost: list[Exception] = []
        self.dispatcher = Dispatcher(
            store, name, lambda worker, messages: self.out[worker].extend(messages), chosen=chosen
        )
        self.dispatcher.on_lost = self.lost.append
        row = ServerRow(name, "here", 1, "starting", penstock_clock.now(), 0, 1, 1)
        store.register_server(row)

    # Jobs ----------------------------------------------------------------------------------------

    def add_job(self, kind: str = "Copy", **columns: Any) -> JobRow:
        """Store a regular job."""
        row = JobRow(id=new_id(), kind=kind, batch=False, created_at=penstock_clock.now(), **columns)
        self.store.insert_jobs([row])
        return row

    def add_batch(self, slices: int = 3, kind: str = "Lines", *, size: int = 2, **columns: Any) -> JobRow:
        """Store a queued batch job with slices of two records, each of `size` bytes."""
        columns.setdefault("record_count", 2 * slices)
        row = JobRow(id=new_id(), kind=kind, batch=True, created_at=penstock_clock.now(), **columns)
        self.store.insert_jobs([row])
        payload = encode_records(["x" * size, "y" * size])
        if slices:
            self.store.append_slices(row.id, "main", [NewSlice(1 + 2 * n, 2, payload) for n in range(slices)])
        return row

    def job(self, row: JobRow) -> JobRow:
        """Return a job as it is stored now."""
        found = self.store.job(row.id)
        assert found is not None
        return found

    # The dispatcher ------------------------------------------------------------------------------

    def seat(self, worker: str = "w1", slots: int = 1, kinds: list[KindFacts] = KINDS) -> None:
        """Let a worker join that knows these kinds."""
        self.dispatcher.worker_ready(worker, slots, kinds)

    def turn(self) -> None:
        """Take a turn."""
        self.dispatcher._woken = False
        self.dispatcher._turn()

    def handed(self, worker: str = "w1", kind: type | tuple[type, ...] = (RunJob, RunHook, RunSlice)) -> list[Any]:
        """Return the pieces that a worker was handed since the last time."""
        messages, self.out[worker] = self.out[worker], []
        return [message for message in messages if isinstance(message, kind)]

    def take_turn(self, worker: str = "w1") -> list[Any]:
        """Take a turn and return what a worker was handed in it."""
        self.turn()
        return self.handed(worker)

    def done(self, task: Task, worker: str = "w1", *, failure: str | None = None, seconds: float = 1.0) -> None:
        """Answer that a piece was performed, or failed at its first record."""
        self.dispatcher.worker_returned(worker, [reply_to(task, failure=failure, seconds=seconds)])

    def answer(self, task: RunJob | RunHook, worker: str = "w1", **values: Any) -> None:
        """Answer how a job or a hook ended, in the words of a `JobDone`."""
        told: dict[str, Any] = {"failure": None, "result": None, "columns": {}, "fields": {}, **values}
        self.dispatcher.worker_returned(worker, [JobDone(task.key, 1.0, **told)])

    def slice_done(self, task: RunSlice, worker: str = "w1", *, done: int, **values: Any) -> None:
        """Answer how a slice ended, in the words of a `SliceDone`, with an output for each record."""
        outputs = [NewOutput("main", done - task.done, encode_records(["z"] * (done - task.done)))]
        told: dict[str, Any] = {"outputs": outputs if done > task.done else [], "failure": None, **values}
        self.dispatcher.worker_returned(worker, [SliceDone(task.key, 1.0, done, **told)])

    def turns(self, worker: str = "w1") -> list[Any]:
        """Take turns as long as one calls for the next, and return what a worker was handed in them."""
        tasks = self.take_turn(worker)
        while self.dispatcher._woken:
            tasks += self.take_turn(worker)
        return tasks

    def crash(self, *tasks: Task, worker: str = "w1", place: int = 0) -> None:
        """Let a worker die while it works on pieces."""
        working_on = {task.key: place for task in tasks}
        self.dispatcher.worker_died(worker, worker, "killed by SIGSEGV\nlast words", working_on)


def reply_to(task: Task, *, failure: str | None = None, seconds: float = 1.0) -> JobDone | SliceDone:
    """Return what a worker would say about a piece."""
    if not isinstance(task, RunSlice):
        return JobDone(task.key, seconds, failure, None, {}, {})
    if failure is not None:
        return SliceDone(task.key, seconds, task.done, [], failure)
    return SliceDone(task.key, seconds, 2, [NewOutput("main", 2, b"Tone\ntwo\n")], None)


@pytest.fixture
def played(sqlite_memory: Store, clock: ManualClock) -> Played:
    return Played(sqlite_memory, clock)


@pytest.fixture
def heard() -> Iterator[list[events.Event]]:
    found: list[events.Event] = []
    with events.subscribed(events.Event, found.append):
        yield found


@pytest.fixture
def play(clock: ManualClock) -> Callable[..., Played]:
    return lambda store, **named: Played(store, clock, **named)
