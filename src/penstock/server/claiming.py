"""One claim: candidates in order of urgency, taken while the budget lasts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.server.desk import LEAST_URGENT, Assignment, Budget, Desk
from penstock.server.messages import KindFacts, RunHook, RunJob, RunSlice
from penstock.server.settling import HeldHook, HeldJob, HeldSlice
from penstock.states import State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import ClaimedSlice, JobRow

SPARE_CANDIDATES = 16
"""Jobs looked at in one claim beyond those there is room for: some may be no use, or be expired."""


class Claim:
    """What one turn takes from the store. Runs inside the turn's transaction."""

    def __init__(self, store: Store, desk: Desk, budget: Budget, *, server: str, now: datetime) -> None:
        self._store = store
        self._desk = desk
        self._budget = budget
        self._server = server
        self._now = now
        self._regular: list[JobRow] = []
        self.pieces: list[Assignment] = []
        self.exhausted: list[UUID] = []
        """Running batch jobs that had no queued slice: perhaps they are finished."""
        self.expired: list[JobRow] = []
        self.started: list[JobRow] = []
        self.batches: dict[UUID, JobRow] = {}
        """The batch jobs that slices were taken of, as they are now."""
        self.more = False
        """Whether candidates were left because the look was limited, not because the budget was."""

    def run(self, kinds: dict[str, KindFacts], *, only: UUID | None = None) -> None:
        """Take what the budget allows, most urgent first."""
        limit = SPARE_CANDIDATES + self._budget.room(LEAST_URGENT, self._desk.quickest_pace(kinds))
        found = self._store.candidates(kinds, limit=limit, only=only)
        for candidate in found:
            # In strict order: what finds no room holds back all that is less urgent, or it might never get any.
            if candidate.is_expired(self._now):
                self.expired.append(candidate)
            elif not self._take(candidate, kinds[candidate.kind]):
                break
        self._take_jobs()
        # Without anything taken another look would find the same.
        self.more = len(found) == limit and bool(self.pieces or self.exhausted or self.expired)

    def _take(self, candidate: JobRow, facts: KindFacts) -> bool:
        """Take what the budget allows of one job; False when it allows nothing."""
        if not candidate.batch:
            return self._want_job(candidate)
        if candidate.state is State.QUEUED:
            return self._start_batch(candidate, facts)
        return self._take_slices(candidate)

    def _want_job(self, candidate: JobRow) -> bool:
        pace = self._desk.pace(candidate.kind)
        if self._budget.room(candidate.priority, pace) <= 0:
            return False
        self._budget.spend(candidate.priority, 1, pace, len(candidate.fields))
        self._regular.append(candidate)
        return True

    def _take_jobs(self) -> None:
        for row in self._store.claim_jobs(self._regular, server=self._server, now=self._now):
            key = self._desk.next_key()
            task = RunJob(key, row.priority, row)
            self._add(key, task, HeldJob(row), row.kind, row.priority, (row.id.bytes, 0), len(row.fields))

    def _start_batch(self, candidate: JobRow, facts: KindFacts) -> bool:
        if self._budget.room(candidate.priority, None) <= 0:
            return False
        before = "before_batch" in facts.hooks
        row = self._store.start_batch(
            candidate.id,
            sub_state=SubState.BEFORE if before else SubState.PROCESSING,
            server=self._server,
            now=self._now,
        )
        if row is None:
            return True
        self.started.append(row)
        if not before:
            return self._take_slices(row)
        self._budget.spend(row.priority, 1, None)
        self.add_hook(row, "before_batch")
        return True

    def _take_slices(self, row: JobRow) -> bool:
        pace = self._desk.pace(row.id)
        room = self._budget.room(row.priority, pace)
        if room <= 0:
            return False
        taken = self._store.claim_slices(
            row.id, server=self._server, limit=room, max_bytes=max(1, self._budget.free_bytes)
        )
        if taken:
            self.batches[row.id] = row
        else:
            self.exhausted.append(row.id)
        for claimed in taken:
            self._budget.spend(row.priority, 1, pace, len(claimed.payload))
            self._add_slice(row, claimed)
        return True

    def add_hook(self, row: JobRow, moment: str) -> None:
        """Add the running of a hook for a batch job that this server holds."""
        key = self._desk.next_key()
        self._add(
            key,
            RunHook(key, row.priority, row, moment),
            HeldHook(row, moment),
            (row.kind, moment),
            row.priority,
            (row.id.bytes, 0),
        )

    def _add_slice(self, row: JobRow, claimed: ClaimedSlice) -> None:
        key = self._desk.next_key()
        task = RunSlice(
            key,
            row.priority,
            row.id,
            claimed.number,
            claimed.first_record,
            claimed.done,
            claimed.crash_count,
            claimed.payload,
        )
        # The payload lives in the task alone; what is settled later needs only the slice's name.
        held = HeldSlice(row.id, row.kind, claimed._replace(payload=b""))
        self._add(key, task, held, row.id, row.priority, (row.id.bytes, claimed.number), len(claimed.payload))

    def _add(self, key: int, task: Any, subject: Any, pace_key: Any, priority: int, order: Any, size: int = 0) -> None:
        self.pieces.append(Assignment(key, task, subject, pace_key, priority, order, size))
