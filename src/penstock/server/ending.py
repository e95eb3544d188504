"""How pieces of work that are done end: what workers returned, stored, and what it means for the job."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from penstock import events
from penstock.model.failure import Failure, parse_failure
from penstock.model.moves import fail_after_hook
from penstock.model.storing import holder_of
from penstock.server.ledger import Ending, Ledger
from penstock.server.messages import Decision, JobDone, SliceDone
from penstock.server.settling import (
    HeldDue,
    HeldHook,
    HeldJob,
    HeldSlice,
    move_values,
    moves_of,
    settlement_of_job,
    summary_of,
    values_after_hook,
)
from penstock.states import TRANSITIONS, Move, State, SubState
from penstock.store.rows import JobRow, JobSettlement, SliceSettlement

_ENDING = frozenset({Move.COMPLETE, Move.FAIL, Move.ABORT})
_TARGETS = {row.move: row.target for row in TRANSITIONS if row.source is State.RUNNING and not row.batch}


class JobEnd(NamedTuple):
    """How a regular job ended, and what came of storing it."""

    held: HeldJob
    reply: JobDone
    changes: Mapping[str, Any] | None
    """The columns that were stored; None where the job was removed, or its worker has stored them."""
    refused: bool
    """Whether somebody had moved it on, so that nothing was stored."""


class Endings:
    """Stores how pieces ended."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def settle_slices(self, slices: list[tuple[HeldSlice, SliceSettlement, Decision | None]]) -> None:
        """Store how slices ended, and make the moves that they made of their jobs."""
        if not slices:
            return
        refused = self._ledger.store.settle_slices(
            [settlement for _, settlement, _ in slices], server=self._ledger.server
        )
        for held, settlement, decided in slices:
            if refused and settlement in refused:
                self._ledger.announce(events.ResultRefused(held.job_id, held.kind))
                continue
            self._ledger.outcome.records += settlement.done - settlement.start
            if settlement.rejected and held.job_id not in self._ledger.rejecting:
                self._ledger.rejecting.add(held.job_id)
                # What was rejected is nowhere else. Before a move of the job's own, which may destroy it.
                self._ledger.store.update_job(
                    held.job_id, {"destroy_on_complete": False}, expect={"destroy_on_complete": True}
                )
            if settlement.exception is not None:
                failure = parse_failure(settlement.exception)
                number = failure.record_number if failure else None  # Also of one that came back, from anywhere.
                number = number or held.claimed.first_record + min(settlement.done, held.claimed.record_count - 1)
                error = failure.summary if failure else ""
                self._ledger.announce(events.SliceFailed(held.job_id, held.kind, number, error))
            if decided is not None:
                self._apply(held, decided)

    def _apply(self, held: HeldSlice, decided: Decision) -> None:
        """Make the move that a slice made of its job, unless somebody has moved the job on."""
        if decided.move is Move.REQUEUE:
            if decided.kind_wide and decided.at:
                self._ledger.outcome.held_kinds[held.kind] = decided.at
            at = decided.at or self._ledger.now
            self._ledger.store.hold_job(held.job_id, until=at, reason=decided.reason or "snoozed", now=self._ledger.now)
            return
        row = self._ledger.store.job(held.job_id)
        if row is None or row.state is not State.RUNNING or row.sub_state is not SubState.PROCESSING:
            return
        values = move_values(row, decided.move, self._ledger.now, {"exception": decided.failure})
        values |= self._ledger.due_after(row, [decided.move])
        if self._ledger.store.update_job(row.id, values, expect=processing(row)):
            if decided.move is Move.COMPLETE:
                self._ledger.end_batch(
                    row, values, (self._ledger.now - (row.started_at or row.created_at)).total_seconds()
                )
                return
            self._ledger.note_move(row, values)
            self._ledger.outcome.ended.append(row.id)
            if decided.move is Move.ABORT:
                self._ledger.outcome.emptied.append(row.id)
            self._ledger.announce(events.JobMoved(row.id, row.kind, decided.move, State.RUNNING, values["state"]))

    def settle_jobs(self, jobs: list[tuple[HeldJob, JobDone]]) -> None:
        """Store how regular jobs ended, and see to what follows."""
        if jobs:
            self.follow_jobs(self.store_jobs([(held, self.with_free_key(held.row, reply)) for held, reply in jobs]))

    def store_jobs(self, jobs: list[tuple[HeldJob, JobDone]]) -> list[JobEnd]:
        """Store how regular jobs ended."""
        settled = [(held, self._settlement(held, reply), reply) for held, reply in jobs]
        refused = {
            refusal.id for refusal in self._ledger.store.settle_jobs([settlement for _, settlement, _ in settled])
        }
        return [JobEnd(held, reply, change.changes, change.id in refused) for held, change, reply in settled]

    def settle_plain_jobs(self, jobs: list[tuple[JobRow, JobDone]]) -> None:
        """Remove regular jobs that are done, of which nothing is to be kept and nothing is run after them."""
        if not jobs:
            return
        settlements = [JobSettlement(row.id, row.attempt, None) for row, _ in jobs]
        refused = {refusal.id for refusal in self._ledger.store.settle_jobs(settlements)}
        if refused:
            for row, _ in jobs:
                if row.id in refused:
                    self._ledger.note_refusal(row)
            jobs = [(row, reply) for row, reply in jobs if row.id not in refused]
        self._ledger.freed = self._ledger.freed or any(row.limit_name is not None for row, _ in jobs)
        self.tell_done(jobs)

    def tell_done(self, done: list[tuple[JobRow, JobDone]]) -> None:
        """Have it told that regular jobs are through; of events none is made for nobody."""
        outcome = self._ledger.outcome
        outcome.endings += [Ending(row, Move.COMPLETE, reply.result, None, reply.fields) for row, reply in done]
        if events.are_wanted(events.JobCompleted):
            outcome.announcements += [events.JobCompleted(row.id, row.kind, reply.seconds) for row, reply in done]
        else:
            outcome.completed += len(done)

    def follow_jobs(self, ends: Iterable[JobEnd]) -> None:
        """See to what follows from what was stored: hooks, limits that are free, events."""
        for end in ends:
            if end.refused:
                self._ledger.note_refusal(end.held.row)
                continue
            self._ledger.note_move(end.held.row, end.changes)
            self.tell_end(end.held.row, end.reply)

    def tell_end(self, row: JobRow, reply: JobDone) -> None:
        """Have it told how a regular job ended: to who waits for it, and to everybody."""
        failure = reply.failure or (reply.decided.failure if reply.decided else None)
        self._ledger.note_due(reply.decided.at if reply.decided else None)
        self._ledger.note_ending(Ending(row, moves_of(reply)[-1], reply.result, failure, reply.fields))
        self._tell_end(row, reply)

    def follow_stored_job(self, held: HeldJob, reply: JobDone) -> None:
        """See to what follows where the worker has stored the end itself, or was refused; its hooks are due already."""
        self.follow_jobs([JobEnd(held, reply, None, not reply.stored)])

    def follow_stored_slice(self, held: HeldSlice, reply: SliceDone) -> None:
        """See to what follows where the worker has stored the end of a slice itself, or was refused."""
        if not reply.stored:
            self._ledger.announce(events.ResultRefused(held.job_id, held.kind))
        elif reply.decided is not None:
            self._apply(held, reply.decided)

    def with_free_key(self, row: JobRow, reply: JobDone, *, goes_on: bool = False) -> JobDone:
        """Fail a job that took a unique key which another has: stored as it is, it would break the whole turn."""
        key = reply.columns.get("unique_key")
        if not key or not (goes_on or moves_of(reply)[-1] not in _ENDING):
            return reply
        holder = holder_of(self._ledger.store, key)
        taken = holder is not None and holder.id != row.id
        if not taken and self._ledger.taken_keys.setdefault(key, row.id) == row.id:
            return reply
        who = holder.id if holder is not None else self._ledger.taken_keys[key]
        message = f"it took the values of job {who}, which has the same unique key and is queued, running or paused"
        failure = Failure("penstock.errors.DuplicateJob", message)
        columns = {name: value for name, value in reply.columns.items() if name != "unique_key"}
        return replace(reply, failure=failure.to_json(), columns=columns, result=None, decided=None)

    def _settlement(self, held: HeldJob, reply: JobDone) -> JobSettlement:
        due = self._ledger.due_after(held.row, moves_of(reply))
        return settlement_of_job(held, reply, self._ledger.now, due)

    def _tell_end(self, row: JobRow, reply: JobDone) -> None:
        """Announce how a job ended; one that is held back is still waiting."""
        decided = reply.decided
        if decided is not None and decided.kind_wide and decided.at:
            self._ledger.outcome.held_kinds[row.kind] = decided.at
        move = moves_of(reply)[-1]
        seconds = reply.seconds
        if move is Move.COMPLETE:
            self._ledger.announce(events.JobCompleted(row.id, row.kind, seconds))
        elif move is Move.FAIL:
            failure = reply.failure or (decided.failure if decided else None)
            self._ledger.announce(events.JobFailed(row.id, row.kind, summary_of(failure), seconds))
        elif move is Move.RETRY:
            at = decided.at if decided else None
            self._ledger.announce(events.JobRetried(row.id, row.kind, summary_of(reply.failure), at))
        elif decided is not None and decided.reason is not None:
            self._ledger.announce(events.JobHeld(row.id, row.kind, decided.reason))
        else:
            self._ledger.announce(events.JobMoved(row.id, row.kind, move, State.RUNNING, _TARGETS[move]))

    def settle_hook(self, held: HeldHook, reply: JobDone) -> None:
        """Store how `before_batch` or `after_batch` ended: the batch job goes on, ends, or has failed."""
        row = held.row
        reply = self.with_free_key(row, reply, goes_on=held.moment == "before_batch")
        expect = {"state": State.RUNNING, "sub_state": row.sub_state, "attempt": row.attempt}
        values = values_after_hook(held, reply, self._ledger.now)
        moved = values.get("state", State.RUNNING) is not State.RUNNING or reply.failure is not None
        if moved:
            values |= self._ledger.due_after(row, moves_of(reply))
        else:
            values = {**self._count_of_nothing(row), **values}
        if not self._ledger.store.update_job(row.id, values, expect=expect):
            self._ledger.note_refusal(row)
            return
        if not moved:
            if values.get("held_until") is None:  # Else its `after_batch` runs again, and then.
                self._ledger.touched.add(row.id)
            self._ledger.outcome.changed.append(row.id)
        elif values["state"] is State.COMPLETED:
            self._ledger.end_batch(row, values, reply.seconds)
        else:
            self._ledger.note_move(row, values)
            self._tell_end(row, reply)
            self._ledger.outcome.ended.append(row.id)
            if values["state"] is State.ABORTED:
                self._ledger.outcome.emptied.append(row.id)

    def _count_of_nothing(self, row: JobRow) -> dict[str, int]:
        """Return the number of records where nobody has uploaded any: no more will come, so the job is through."""
        present = self._ledger.store.job(row.id)
        nothing = present is not None and present.record_count is None and present.uploader is None
        return {"record_count": 0} if nothing else {}

    def settle_due(self, held: HeldDue, reply: JobDone) -> None:
        """Note that hooks after a move have run; a completed job that waited for them goes."""
        row = held.row
        reply = self.with_free_key(row, reply, goes_on=True)
        changes = {**reply.columns, **({"fields": reply.fields} if reply.fields else {})}
        if reply.failure is not None:
            has_hook = "after_fail" in self._ledger.hooks_of(row)
            changes |= fail_after_hook(self._ledger.store, row.id, reply.failure, has_hook=has_hook)
            self._ledger.announce(
                events.JobFailed(row.id, row.kind, f"{held.moments}: {summary_of(reply.failure)}", 0.0)
            )
        if self._ledger.store.finish_hooks(row.id, server=self._ledger.server, ran=held.moments, changes=changes):
            fresh = self._ledger.store.job(row.id) or row
            done = fresh.state is State.COMPLETED and fresh.destroy_on_complete and not fresh.pending_hooks
            if done and reply.failure is None:
                self._ledger.doom(row.id)


def processing(row: JobRow) -> dict[str, object]:
    """Return what is expected of a batch job that nobody has moved on."""
    return {"state": State.RUNNING, "sub_state": SubState.PROCESSING, "attempt": row.attempt}
