"""One turn of the dispatcher: what happens inside one transaction of the store.

First what came back is settled, then free slots are filled, then batch jobs are ended of which nothing is
left. What follows from it outside the store (events, pieces to hand out) is noted, and done after the commit.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from penstock import events
from penstock.model.failure import Failure
from penstock.server.claiming import Claim
from penstock.server.desk import Assignment
from penstock.server.messages import JobDone, KindFacts, Reply, SliceDone
from penstock.server.settling import (
    MOST_CRASHES,
    HeldHook,
    HeldJob,
    HeldSlice,
    crash_of_job,
    crash_of_slice,
    move_values,
    settlement_of_job,
    settlement_of_slice,
    summary_of,
    values_after_hook,
)
from penstock.states import Move, State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, JobSettlement, SliceSettlement


@dataclass(frozen=True, slots=True)
class Returned:
    """A piece that came back: done, crashed, or not started."""

    piece: Assignment
    reply: Reply | None = None
    """None when it is not done."""
    evidence: str | None = None
    """How the worker died that worked on it; None when none did."""
    place: int = 0
    """The record the worker died at, 0 for unknown."""
    worker: str = ""


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


class Turn:
    """One turn. Its methods run inside the transaction."""

    def __init__(self, store: Store, *, server: str, kinds: dict[str, KindFacts], now: datetime) -> None:
        self._store = store
        self._server = server
        self._kinds = kinds
        self._now = now
        self._touched: set[UUID] = set()
        self.outcome = Outcome()

    # What came back ------------------------------------------------------------------------------

    def settle(self, returned: list[Returned]) -> None:
        """Store how pieces ended."""
        slices: list[tuple[HeldSlice, SliceSettlement]] = []
        jobs: list[tuple[HeldJob, JobSettlement, JobDone]] = []
        for back in returned:
            held, reply = back.piece.subject, back.reply
            if isinstance(held, HeldSlice):
                self._touched.add(held.job_id)
            if reply is None:
                self._hand_back(back)
            elif isinstance(held, HeldSlice):
                assert isinstance(reply, SliceDone)
                slices.append((held, settlement_of_slice(held, reply)))
            else:
                assert isinstance(reply, JobDone)
                if isinstance(held, HeldJob):
                    jobs.append((held, settlement_of_job(held, reply, self._now), reply))
                else:
                    self._settle_hook(held, reply)
        self._settle_slices(slices)
        self._settle_jobs(jobs)

    def _settle_slices(self, slices: list[tuple[HeldSlice, SliceSettlement]]) -> None:
        if not slices:
            return
        refused = self._store.settle_slices([settlement for _, settlement in slices], server=self._server)
        for held, settlement in slices:
            if refused and settlement in refused:
                self._announce(events.ResultRefused(held.job_id, held.kind))
            elif settlement.exception is not None:
                number = held.claimed.first_record + settlement.done
                error = summary_of(settlement.exception)
                self._announce(events.SliceFailed(held.job_id, held.kind, number, error))

    def _settle_jobs(self, jobs: list[tuple[HeldJob, JobSettlement, JobDone]]) -> None:
        if not jobs:
            return
        refused = {refusal.id for refusal in self._store.settle_jobs([settlement for _, settlement, _ in jobs])}
        for held, settlement, reply in jobs:
            row = held.row
            if settlement.id in refused:
                self._announce(events.ResultRefused(row.id, row.kind))
            elif reply.failure is not None:
                self._announce(events.JobFailed(row.id, row.kind, summary_of(reply.failure)))
            else:
                self._announce(events.JobCompleted(row.id, row.kind))

    def _settle_hook(self, held: HeldHook, reply: JobDone) -> None:
        row = held.row
        expect = {"state": State.RUNNING, "sub_state": row.sub_state, "attempt": row.attempt}
        if not self._store.update_job(row.id, values_after_hook(held, reply, self._now), expect=expect):
            self._announce(events.ResultRefused(row.id, row.kind))
        elif reply.failure is not None:
            self._announce(events.JobFailed(row.id, row.kind, summary_of(reply.failure)))
            self.outcome.ended.append(row.id)
        elif held.moment == "after_batch":
            self._end_batch(row)
        else:
            self._touched.add(row.id)
            self.outcome.changed.append(row.id)

    def _hand_back(self, back: Returned) -> None:
        """Queue a piece again; one that has killed too many workers fails instead."""
        held, evidence = back.piece.subject, back.evidence
        crashes = 0 if evidence is None else _crashes_before(held) + 1
        if evidence is not None and crashes >= MOST_CRASHES:
            self._quarantine(back, evidence)
        elif isinstance(held, HeldSlice):
            self._store.hand_back_slice(held.job_id, held.claimed, crashed=crashes > 0)
        else:
            self._store.hand_back_job(held.row.id, held.row.attempt, crashed=crashes > 0)

    def _quarantine(self, back: Returned, evidence: str) -> None:
        held = back.piece.subject
        if isinstance(held, HeldSlice):
            self._settle_slices([(held, crash_of_slice(held, evidence, back.place, back.worker))])
            return
        row = held.row
        values = crash_of_job(row, evidence, self._now, back.worker)
        if self._store.update_job(row.id, values, expect={"state": State.RUNNING, "attempt": row.attempt}):
            self._announce(events.JobFailed(row.id, row.kind, summary_of(values["exception"])))

    # What is next --------------------------------------------------------------------------------

    def claim(self, claim: Claim, only: UUID | None) -> None:
        """Fill free slots; jobs that expired before they were started go."""
        self._store.release_due_jobs(self._now)
        claim.run(self._kinds, only=only)
        self._touched.update(claim.exhausted)
        for row in claim.expired:
            self._doom(row.id)
            self._announce(events.JobExpired(row.id, row.kind))
        for row in claim.started:
            self._announce(events.JobStarted(row.id, row.kind))

    def finish_batches(self, claim: Claim) -> None:
        """End the batch jobs that this turn touched, where nothing is left that could still succeed by itself."""
        for job_id in self._touched:
            standing = self._store.standing(job_id)
            if standing.finished:
                self._finish(job_id, standing.failed, claim)

    def _finish(self, job_id: UUID, failed: int, claim: Claim) -> None:
        row = self._store.job(job_id)
        if row is None or row.state is not State.RUNNING or row.sub_state is not SubState.PROCESSING:
            return
        if row.record_count is None or row.uploader is not None:
            return  # The upload is going on: more will come.
        facts = self._kinds.get(row.kind)
        if failed:
            self._fail_batch(row, failed)
        elif facts is not None and "after_batch" in facts.hooks:
            self._begin_after(row, claim)
        elif self._store.update_job(job_id, move_values(row, Move.COMPLETE, self._now), expect=_processing(row)):
            self._end_batch(row)

    def _fail_batch(self, row: JobRow, failed: int) -> None:
        message = f"{failed} slice{'s' if failed > 1 else ''} failed to process"
        given = {"exception": Failure("SlicesFailed", message).to_json()}
        if self._store.update_job(row.id, move_values(row, Move.FAIL, self._now, given), expect=_processing(row)):
            self._announce(events.JobFailed(row.id, row.kind, message))
            self.outcome.ended.append(row.id)

    def _begin_after(self, row: JobRow, claim: Claim) -> None:
        """Win the right to run `after_batch`: one server does."""
        expect = _processing(row)
        values = {"sub_state": SubState.AFTER, "server": self._server, "attempt": row.attempt + 1}
        if self._store.update_job(row.id, values, expect=expect):
            row.sub_state, row.server, row.attempt = SubState.AFTER, self._server, row.attempt + 1
            claim.add_hook(row, "after_batch")

    def _end_batch(self, row: JobRow) -> None:
        self._announce(events.JobCompleted(row.id, row.kind))
        self.outcome.ended.append(row.id)
        if row.destroy_on_complete:
            self._doom(row.id)

    def _doom(self, job_id: UUID) -> None:
        self._store.update_job(job_id, {"draft": True})
        self.outcome.doomed.append(job_id)

    def _announce(self, event: events.Event) -> None:
        self.outcome.announcements.append(event)


def _crashes_before(held: HeldSlice | HeldJob | HeldHook) -> int:
    return held.claimed.crash_count if isinstance(held, HeldSlice) else held.row.crash_count


def _processing(row: JobRow) -> dict[str, object]:
    return {"state": State.RUNNING, "sub_state": SubState.PROCESSING, "attempt": row.attempt}
