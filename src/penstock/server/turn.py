"""One turn of the dispatcher: what happens inside one transaction of the store.

First what came back is settled, then free slots are filled, then batch jobs are ended of which nothing is
left. What follows from it outside the store (events, pieces to hand out) is noted, and done after the commit.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock import events, faults
from penstock.batch.rejects import over_budget, reject_budget
from penstock.model.failure import Failure
from penstock.server.claiming import AFTER_HOOKS, Claim
from penstock.server.ending import Endings, processing
from penstock.server.ledger import Ending, Ledger, Outcome, Returned
from penstock.server.losing import Losses
from penstock.server.messages import Decision, JobDone, KindFacts, SliceDone
from penstock.server.settling import HeldDue, HeldHook, HeldJob, HeldSlice, move_values, settlement_of_slice
from penstock.states import Move, State, SubState
from penstock.store.protocol import Store, Topic
from penstock.store.rows import JobRow, SliceSettlement

__all__ = ["Outcome", "Returned", "Turn"]

log = logging.getLogger("penstock")

EXPIRED = Failure("Expired", "its `expires_at` passed before anything could start it")


class Turn:
    """One turn. Its methods run inside the transaction."""

    def __init__(self, store: Store, *, server: str, kinds: Mapping[str, KindFacts], now: datetime) -> None:
        self._ledger = Ledger(store, server=server, kinds=kinds, now=now)
        self._endings = Endings(self._ledger)
        self._losses = Losses(self._ledger, self._endings)
        self._store = store

    @property
    def outcome(self) -> Outcome:
        """What is to be done after the commit."""
        return self._ledger.outcome

    def insert(self, fresh: list[JobRow]) -> None:
        """Store new jobs. One whose unique key is taken is dropped: who made it has gone on."""
        for row in fresh:
            self._ledger.note_due(row.run_at)
        plain = [row for row in fresh if row.unique_key is None]
        if plain:
            self._store.insert_jobs(plain)
        for row in fresh:
            if row.unique_key is not None and not self._store.insert_unless_taken(row):
                log.warning("%s %s is dropped: one with the same unique key waits or runs", row.kind, row.id)

    def tell_unstored(self, returned: list[Returned]) -> list[Returned]:
        """Tell how those jobs ended of which the store never knew nor is to know; returns what it is to know."""
        done: list[tuple[JobRow, JobDone]] = []
        rest = []
        for back in returned:
            held, reply = back.piece.subject, back.reply
            if isinstance(reply, JobDone) and isinstance(held, HeldJob) and self._leaves_nothing(held, reply):
                done.append((held.row, reply))
            else:
                rest.append(back)
        self._endings.tell_done(done)
        return rest

    def settle(self, returned: list[Returned]) -> None:
        """Store how pieces ended."""
        plain, others = self._parted(returned)
        self._endings.settle_plain_jobs(plain)
        slices: list[tuple[HeldSlice, SliceSettlement, Decision | None]] = []
        jobs: list[tuple[HeldJob, JobDone]] = []
        self._store_what_was_not(others)
        self._losses.note_crashes(others)
        for back in others:
            held, reply = back.piece.subject, back.reply
            if isinstance(held, HeldSlice):
                self._ledger.touched.add(held.job_id)
            if reply is None:
                self._losses.hand_back(back)
            elif isinstance(held, HeldSlice):
                assert isinstance(reply, SliceDone)
                if reply.stored is None:
                    slices.append((held, settlement_of_slice(held, reply), reply.decided))
                else:
                    self._endings.follow_stored_slice(held, reply)
            else:
                assert isinstance(reply, JobDone)
                if reply.unknown:
                    self._losses.park_unknown(back, held.row)
                elif isinstance(held, HeldJob):
                    if self._is_to_be_settled(held, reply):
                        jobs.append((held, reply))
                else:
                    self._settle_hooks(back, held, reply)
        self._endings.settle_slices(slices)
        self._endings.settle_jobs(jobs)

    def _parted(self, returned: list[Returned]) -> tuple[list[tuple[JobRow, JobDone]], list[Returned]]:
        """Return the jobs that are done and leave nothing, as nearly all small ones, and what else came back."""
        hooked = {kind for kind, facts in self._ledger.kinds.items() if "after_complete" in facts.hooks}
        plain: list[tuple[JobRow, JobDone]] = []
        others = []
        for back in returned:
            held, reply = back.piece.subject, back.reply
            is_plain = isinstance(held, HeldJob) and held.leaves_nothing and held.row.kind not in hooked
            if is_plain and isinstance(reply, JobDone) and reply.says_nothing():
                plain.append((held.row, reply))
            else:
                others.append(back)
        return plain, others

    def _settle_hooks(self, back: Returned, held: HeldHook | HeldDue, reply: JobDone) -> None:
        if isinstance(held, HeldHook):
            self._endings.settle_hook(held, reply)
        elif reply.decided is not None:
            self._losses.park_due(back, held, reply.decided)
        else:
            self._endings.settle_due(held, reply)

    def _is_to_be_settled(self, held: HeldJob, reply: JobDone) -> bool:
        """Tell whether the end of a job is still to be stored; where it is not, see to what follows from it."""
        if reply.stored is not None:
            self._endings.follow_stored_job(held, reply)
            return False
        return True

    def _store_what_was_not(self, returned: list[Returned]) -> None:
        """Store the jobs that were handed out without it, and of which more is to be known than that they are done."""
        rows = [
            back.piece.subject.row
            for back in returned
            if isinstance(back.piece.subject, HeldJob) and not back.piece.subject.stored
        ]
        if rows:
            self._store.insert_jobs(rows)

    def _leaves_nothing(self, held: HeldJob, reply: JobDone) -> bool:
        """Tell whether a job that is not stored is through, and is not to be kept."""
        return (
            not held.stored
            and reply.failure is None
            and reply.decided is None
            and not reply.unknown
            and reply.columns.get("destroy_on_complete", True)
            and "after_complete" not in self._ledger.hooks_of(held.row)
        )

    def claim(self, claim: Claim, kinds: Mapping[str, KindFacts], only: UUID | None) -> None:
        """Fill free slots with work of these kinds; jobs that expired before they were started go."""
        self._store.release_due_jobs(self._ledger.now)
        due = self._store.jobs_due_for_hooks(kinds)
        self._take_due_hooks(due, claim, only)
        claim.run(kinds, only=only)
        claim.found_nothing = claim.found_nothing and not due
        self._ledger.touched.update(claim.exhausted)
        for row in claim.expired:
            self._ledger.doom(row.id)
            self._ledger.note_ending(Ending(row, Move.ABORT, failure=EXPIRED.to_json()))
            self._ledger.announce(events.JobExpired(row.id, row.kind))
        for row in claim.started:
            self._ledger.announce(events.JobStarted(row.id, row.kind))

    def _take_due_hooks(self, due: list[JobRow], claim: Claim, only: UUID | None) -> None:
        """Take hooks that nobody is running: their server died, or somebody without the class made the move.

        Before other work, which there may always be.
        """
        for row in due:
            if only not in (None, row.id):
                continue
            moments = row.pending_hooks or ""
            wanted = not set(moments.split()).isdisjoint(self._ledger.hooks_of(row))
            if wanted and not claim.has_room_for_hooks(row):
                return
            if not self._store.claim_hooks(row.id, server=self._ledger.server):
                continue
            if wanted:
                claim.add_due_hooks(row, moments)
            else:
                self._endings.settle_due(HeldDue(row, moments), JobDone(0, 0.0, None, None, {}, {}))
                claim.more = True  # There may be many of these, and no answer will call for the next turn.

    def follow_moves(self, claim: Claim) -> None:
        """Have the hooks run that follow the moves of this turn; wake other servers where a limit was left."""
        for job_id, moments in self._ledger.due:
            row = self._store.job(job_id)
            if row is not None:
                claim.add_due_hooks(row, moments)
        if self._ledger.freed:
            self._store.announce(Topic.WORK)

    def finish_batches(self, claim: Claim) -> None:
        """End the batch jobs that this turn touched, where nothing is left that could still succeed by itself."""
        for job_id in sorted(self._ledger.touched):  # In one order: a store may lock each until the end.
            if job_id in self._ledger.rejecting and self._ends_by_rejects(job_id):
                continue
            standing = self._store.standing(job_id)
            if standing.finished:
                self._finish(job_id, standing.failed, claim)

    def _finish(self, job_id: UUID, failed: int, claim: Claim) -> None:
        row = self._store.job(job_id)
        if row is None or row.state is not State.RUNNING or row.sub_state is not SubState.PROCESSING:
            return
        if row.record_count is None or row.uploader is not None:
            return  # The upload is going on: more will come.
        if row.destroy_on_complete and self._store.progress(job_id).rejected:
            # Whoever settled them and noted this may have died between, where the slices are in a store of their own.
            row.destroy_on_complete = False
            self._store.update_job(job_id, {"destroy_on_complete": False})
        faults.at("before_complete")
        if failed:
            self._fail_batch(row, "SlicesFailed", f"{failed} slice{'s' if failed > 1 else ''} failed to process")
        elif (over := self._over_budget(row)) is not None:
            self._fail_batch(row, "TooManyRejects", over)
        elif not AFTER_HOOKS.isdisjoint(self._ledger.hooks_of(row)):
            self._begin_after(row, claim)
        else:
            self._complete(row)

    def _ends_by_rejects(self, job_id: UUID) -> bool:
        """Fail a job of which more records were rejected than it allows, and tell so."""
        row = self._store.job(job_id)
        if row is None or row.state is not State.RUNNING or row.sub_state is not SubState.PROCESSING:
            return False
        over = self._over_budget(row)
        if over is not None:
            self._fail_batch(row, "TooManyRejects", over)
        return over is not None

    def _over_budget(self, row: JobRow) -> str | None:
        """Return in words that too many records were rejected; None where they were not, or it is not known yet."""
        if '"max_rejects":null' in row.fields:
            return None
        is_whole = row.record_count is not None and row.uploader is None
        budget = reject_budget(json.loads(row.fields).get("max_rejects"), row.record_count if is_whole else None)
        return None if budget is None else over_budget(self._store.progress(row.id).rejected, budget)

    def _fail_batch(self, row: JobRow, why: str, message: str) -> None:
        given = {"exception": Failure(why, message).to_json()}
        values = self._values(row, Move.FAIL, given)
        if self._store.update_job(row.id, values, expect=processing(row)):
            self._ledger.note_move(row, values)
            self._ledger.announce(events.JobFailed(row.id, row.kind, message, self._seconds_of(row)))
            self._ledger.outcome.ended.append(row.id)

    def _begin_after(self, row: JobRow, claim: Claim) -> None:
        """Win the right to run `after_batch`: one server does."""
        expect = processing(row)
        values = {"sub_state": SubState.AFTER, "server": self._ledger.server, "attempt": row.attempt + 1}
        if self._store.update_job(row.id, values, expect=expect):
            row.sub_state, row.server, row.attempt = SubState.AFTER, self._ledger.server, row.attempt + 1
            claim.add_hook(row, "after_batch")

    def _seconds_of(self, row: JobRow) -> float:
        return (self._ledger.now - (row.started_at or self._ledger.now)).total_seconds()

    def _complete(self, row: JobRow) -> None:
        values = self._values(row, Move.COMPLETE)
        if self._store.update_job(row.id, values, expect=processing(row)):
            self._ledger.end_batch(row, values, self._seconds_of(row))

    def _values(self, row: JobRow, move: Move, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        moved = move_values(row, move, self._ledger.now, given)
        return {**moved, **self._ledger.due_after(row, [move])}
