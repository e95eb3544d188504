"""A dispatcher whose workers are played by the test.

- `played`: a `Played`: a store in memory, a dispatcher that is not started, a manual clock. `played.turn()` takes
  one turn, `played.handed(worker)` returns what a worker was handed since the last time, `played.done(...)` answers.
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
from penstock.server.dispatcher import Dispatcher
from penstock.server.messages import JobDone, KindFacts, RunHook, RunJob, RunSlice, SliceDone, Task
from penstock.store import Store
from penstock.store.rows import JobRow, NewOutput, NewSlice, ServerRow

SERVER = "server-1"
KINDS = [
    KindFacts("Copy", False, []),
    KindFacts("Tiny", False, []),
    KindFacts("Lines", True, []),
    KindFacts("Nightly", True, ["after_batch", "before_batch"]),
]


class Played:
    """See the module."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.out: dict[Any, list[Any]] = defaultdict(list)
        self.lost: list[Exception] = []
        self.dispatcher = Dispatcher(store, SERVER, lambda worker, messages: self.out[worker].extend(messages))
        self.dispatcher.on_lost = self.lost.append
        row = ServerRow(SERVER, "here", 1, "starting", penstock_clock.now(), 0, 1, 1)
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

    def seat(self, worker: str = "w1", slots: int = 1) -> None:
        """Let a worker join that knows all kinds."""
        self.dispatcher.worker_ready(worker, slots, KINDS)

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
def play(clock: ManualClock) -> Callable[[Store], Played]:
    return lambda store: Played(store, clock)
