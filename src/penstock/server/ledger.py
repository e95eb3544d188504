"""The ledger of a turn: what it works with, and what is to be done once it is committed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock import events
from penstock.server.messages import KindFacts, Reply
from penstock.server.seats import Assignment
from penstock.server.settling import due_hooks
from penstock.states import Move
from penstock.store.protocol import Store
from penstock.store.rows import JobRow


class Returned(Struct, frozen=True):
    """A piece that came back: done, crashed, or not started."""

    piece: Assignment
    reply: Reply | None = None
    """None when it is not done."""
    evidence: str | None = None
    """How the worker died that worked on it; None when none did."""
    place: int = 0
    """The record the worker died at, 0 for unknown."""
    worker: str = ""
    lost: bool = False
    """Whether it was at a worker of which nobody can say what it had begun."""
    overdue: bool = False
    """Whether it was told to end, did not, and its worker was killed for it."""


class Ending(Struct, frozen=True, gc=False):
    """How a regular job, or one period of it, ended: what is told to who waits for it."""

    row: JobRow
    """As it was claimed."""
    move: Move
    result: bytes | None = None
    failure: str | None = None
    """A `Failure` as JSON."""
    fields: Mapping[str, Any] = {}
    """Fields of the document that user code changed."""


@dataclass(slots=True)
class Outcome:
    """What is to be done after the commit."""

    announcements: list[events.Event] = field(default_factory=list)
    doomed: list[UUID] = field(default_factory=list)
    """Jobs out of sight already, to be removed at leisure."""
    ended: list[UUID] = field(default_factory=list)
    """Batch jobs of which no more slices will come."""
    changed: list[UUID] = field(default_factory=list)
    """Batch jobs that workers must be told of anew."""
    emptied: list[UUID] = field(default_factory=list)
    """Batch jobs that aborted themselves: their slices are to be removed at leisure."""
    completed: int = 0
    """Jobs that are through, and of which no event is made."""
    records: int = 0
    """Records of batch jobs that were processed."""
    endings: list[Ending] = field(default_factory=list)
    due: datetime | None = None
    """When the first of the jobs is due that were put off in this turn."""
    held_kinds: dict[str, datetime] = field(default_factory=dict)
    """Kinds of which nothing is to be claimed until then."""


class Ledger:
    """What the parts of one turn share. Used inside its transaction."""

    def __init__(
        self, store: Store, *, server: str, kinds: Mapping[str, KindFacts], now: datetime, runs_hooks: bool = True
    ) -> None:
        self.store = store
        self.server = server
        self.kinds = kinds
        self.now = now
        self._hooks_server = server if runs_hooks else None
        """Who has hooks that fall due; None leaves them to whoever looks for such."""
        self.touched: set[UUID] = set()
        """Batch jobs of which something came back: perhaps nothing is left."""
        self.rejecting: set[UUID] = set()
        """Batch jobs of which records were rejected: perhaps too many."""
        self.due: list[tuple[UUID, str]] = []
        """Hooks that follow the moves of this turn, for this server to run."""
        self.freed = False
        """Whether a job left a limit."""
        self.taken_keys: dict[str, UUID] = {}
        """Unique keys that jobs took in this turn."""
        self._behind_others: set[UUID] = set()
        """Jobs whose hooks come behind some that are due already: who runs those leaves them for the next turn."""
        self.outcome = Outcome()

    def hooks_of(self, row: JobRow) -> list[str]:
        """Return the moments for which the class of a job has hooks."""
        facts = self.kinds.get(row.kind)
        return facts.hooks if facts else []

    def due_after(self, row: JobRow, moves: Collection[Move]) -> dict[str, Any]:
        """Return the columns that make the hooks due which follow these moves of a job; none where there are none.

        Hooks that are due already stay in front, with whoever is running them.
        """
        values = due_hooks(moves, self.hooks_of(row), self._hooks_server)
        present = self.store.job(row.id) if values else None
        if values and Move.REQUEUE not in moves:
            values["crash_count"] = 0  # From here on the workers are counted that die of the hooks.
        if present is not None and present.pending_hooks:
            values["pending_hooks"] = f"{present.pending_hooks} {values['pending_hooks']}"
            values["hooks_server"] = present.hooks_server
            self._behind_others.add(row.id)
        return values

    def note_move(self, row: JobRow, values: Mapping[str, Any] | None) -> None:
        """Note that a job was moved off its worker, with these columns: its hooks are to run, its limit is free."""
        self.freed = self.freed or row.limit_name is not None
        if (
            values
            and values.get("pending_hooks")
            and values["hooks_server"] == self.server
            and row.id not in self._behind_others
        ):
            self.due.append((row.id, values["pending_hooks"]))

    def note_refusal(self, row: JobRow) -> None:
        """Note that the end of a job's attempt, or of a hook of it, came when somebody had moved it on."""
        self.store.let_go(row.id, row.attempt, server=self.server)
        self.announce(events.ResultRefused(row.id, row.kind))

    def announce(self, event: events.Event) -> None:
        """Have an event published after the commit."""
        self.outcome.announcements.append(event)

    def note_due(self, at: datetime | None) -> None:
        """Have the dispatcher look again at a moment at which a job is due; None is none."""
        if at is not None:
            self.outcome.due = min(self.outcome.due or at, at)

    def note_ending(self, ending: Ending) -> None:
        """Have it told, after the commit, how a job ended."""
        self.outcome.endings.append(ending)

    def doom(self, job_id: UUID) -> None:
        """Take a job out of sight, to be removed at leisure."""
        self.store.update_job(job_id, {"draft": True})
        self.outcome.doomed.append(job_id)

    def end_batch(self, row: JobRow, values: Mapping[str, Any], seconds: float) -> None:
        """Note that a batch job is completed; one that is to be destroyed goes, once its hooks have run."""
        self.announce(events.JobCompleted(row.id, row.kind, seconds))
        self.outcome.ended.append(row.id)
        self.note_move(row, values)
        if row.destroy_on_complete and not values.get("pending_hooks"):
            self.doom(row.id)
