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
        self.more = False
        """Whether candidates were left because the look was limited, not because the budget was."""

    def run(self, kinds: dict[str, KindFacts], *, only: UUID | None = None) -> None:
        """Take what the budget allows, most urgent first."""
        limit = SPARE_CANDIDATES + self._budget.room(LEAST_URGENT, self._desk.quickest_pace(kinds))
        found = self._store.candidates(kinds, limit=limit, only=only)
        for candidate in found:
            if candidate.is_expired(self._now):
                self.expired.append(candidate)
            elif not candidate.batch:
                self._want_job(candidate)
            elif candidate.state is State.QUEUED:
                self._start_batch(candidate, kinds[candidate.kind])
            else:
                self._take_slices(candidate.id, candidate.kind, candidate.priority)
        self._take_jobs()
        # Without anything taken another look would find the same.
        self.more = len(found) == limit and bool(self.pieces or self.exhausted or self.expired)

    def _want_job(self, candidate: JobRow) -> None:
        pace = self._desk.pace(candidate.kind)
        if self._budget.room(candidate.priority, pace) > 0:
            self._budget.spend(candidate.priority, 1, pace, len(candidate.fields))
            self._regular.append(candidate)

    def _take_jobs(self) -> None:
        for row in self._store.claim_jobs(self._regular, server=self._server, now=self._now):
            key = self._desk.next_key()
            task = RunJob(key, row.priority, row)
            self._add(key, task, HeldJob(row), row.kind, row.priority, (row.id.bytes, 0), len(row.fields))

    def _start_batch(self, candidate: JobRow, facts: KindFacts) -> None:
        if self._budget.room(candidate.priority, None) <= 0 and self._budget.room(candidate.priority, 0.0) <= 0:
            return
        before = "before_batch" in facts.hooks
        row = self._store.start_batch(
            candidate.id,
            sub_state=SubState.BEFORE if before else SubState.PROCESSING,
            server=self._server,
            now=self._now,
        )
        if row is None:
            return
        self.started.append(row)
        if before:
            self._budget.spend(row.priority, 1, None)
            self.add_hook(row, "before_batch")
        else:
            self._take_slices(row.id, row.kind, row.priority)

    def _take_slices(self, job_id: UUID, kind: str, priority: int) -> None:
        pace = self._desk.pace(job_id)
        room = self._budget.room(priority, pace)
        if room <= 0:
            return
        taken = self._store.claim_slices(
            job_id, server=self._server, limit=room, max_bytes=max(1, self._budget.free_bytes)
        )
        if not taken:
            self.exhausted.append(job_id)
        for claimed in taken:
            self._budget.spend(priority, 1, pace, len(claimed.payload))
            self._add_slice(job_id, kind, priority, claimed)

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

    def _add_slice(self, job_id: UUID, kind: str, priority: int, claimed: ClaimedSlice) -> None:
        key = self._desk.next_key()
        task = RunSlice(
            key,
            priority,
            job_id,
            claimed.number,
            claimed.first_record,
            claimed.done,
            claimed.crash_count,
            claimed.payload,
        )
        # The payload lives in the task alone; what is settled later needs only the slice's name.
        held = HeldSlice(job_id, kind, claimed._replace(payload=b""))
        self._add(key, task, held, job_id, priority, (job_id.bytes, claimed.number), len(claimed.payload))

    def _add(self, key: int, task: Any, subject: Any, pace_key: Any, priority: int, order: Any, size: int = 0) -> None:
        self.pieces.append(Assignment(key, task, subject, pace_key, priority, order, size))
