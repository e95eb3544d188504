"""The dispatcher: the one thread of a server that talks to the store.

Its life is turns. A turn is one transaction that settles what workers have returned and claims what free
slots can take; then the pieces are handed out. Turns come when results have gathered, a wake-up arrives,
something is due, or a second has passed. No user code runs here.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock import clock, events
from penstock.errors import PenstockError, StoreError, StoreUnavailable
from penstock.model.failure import Failure
from penstock.server.claiming import Claim
from penstock.server.desk import Assignment, Desk
from penstock.server.messages import ForgetJob, JobDone, KindFacts, LearnJob, Recall, Reply, SliceDone
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
from penstock.store.rows import JobRow

GATHER_SECONDS = 0.008
"""How long results are gathered while every slot has enough to do."""
CHECK_SECONDS = 1.0
"""How often the store is looked at without a cause: for lost wake-ups, and jobs that people moved."""
HEARTBEAT_SECONDS = 5.0
GIVE_UP_SECONDS = 20.0
"""Without a heartbeat for so long others may soon take over what this server holds: it stops."""
RETRY_SECONDS = 0.5
"""The pause after the store refused a turn."""


@dataclass(slots=True)
class Returned:
    """A piece that came back: done, crashed, or not started."""

    piece: Assignment
    reply: Reply | None = None
    evidence: str | None = None
    """How the worker died that had it."""
    place: int = 0
    worker: str = ""


class Dispatcher:
    """Claims, hands out, settles. `hand_out` sends messages to a worker and never blocks."""

    def __init__(
        self,
        store: Store,
        server: str,
        hand_out: Callable[[Any, list[Any]], None],
        *,
        only: UUID | None = None,
    ) -> None:
        self._store = store
        self._server = server
        self._hand_out = hand_out
        self._only = only
        self._desk = Desk()
        self._kinds: dict[str, KindFacts] = {}
        self._known: dict[Any, set[UUID]] = {}
        self._batches: dict[UUID, JobRow] = {}
        self._returned: list[Returned] = []
        self._changed = threading.Condition()
        self._woken = False
        self._stopping = False
        self._closed = False
        self._looked = float("-inf")
        self._beaten = clock.monotonic() - HEARTBEAT_SECONDS
        self._announcements: list[events.Event] = []
        self._doomed: list[UUID] = []
        self.state = "starting"
        self.destroy: Callable[[UUID], object] = store.destroy_job
        self.on_lost: Callable[[PenstockError], None] = lambda _: None
        self._thread = threading.Thread(target=self._run, name="penstock-dispatcher", daemon=True)

    # From any thread -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start taking turns."""
        self._thread.start()

    def wake(self) -> None:
        """Take a turn soon: there may be something to claim, or a job was moved."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def worker_ready(self, worker: Any, slots: int, kinds: list[KindFacts]) -> None:
        """Seat a worker that runs these kinds."""
        with self._changed:
            self._desk.join(worker, slots)
            self._known[worker] = set()
            self._kinds.update({facts.kind: facts for facts in kinds})
            self.state = "running"
        self.wake()

    def worker_returned(self, worker: Any, replies: list[Reply]) -> None:
        """Take results of a worker."""
        with self._changed:
            for reply in replies:
                piece = self._desk.finish(worker, reply.key, reply.seconds)
                if piece is not None:
                    self._returned.append(Returned(piece, reply))
            self._changed.notify()

    def worker_recalled(self, worker: Any, keys: list[int]) -> None:
        """Take back pieces that a worker had not started."""
        with self._changed:
            self._returned += map(Returned, self._desk.recalled(worker, keys))
        self.wake()

    def worker_died(self, worker: Any, name: str, evidence: str, working_on: dict[int, int]) -> None:
        """Take back what a dead worker held; what it was working on is laid to its charge."""
        with self._changed:
            self._known.pop(worker, None)
            for piece in self._desk.leave(worker):
                if piece.key in working_on:
                    self._returned.append(Returned(piece, evidence=evidence, place=working_on[piece.key], worker=name))
                elif piece.returning:
                    self._returned.append(Returned(piece))
                else:
                    self._desk.add([piece])
        self.wake()

    def drain(self, grace: float) -> bool:
        """Claim nothing more, give back what is not started, and wait for the rest.

        Returns:
            False when something still ran after `grace` seconds.
        """
        with self._changed:
            self._stopping = True
            self.state = "stopping"
        self.wake()
        deadline = clock.monotonic() + grace
        with self._changed:
            while not (self._desk.is_empty() and not self._returned) or self._woken:
                left = deadline - clock.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._changed.wait(min(left, 0.05))
        return True

    def close(self) -> None:
        """End the thread after a last turn that gives back what workers still hold, without blame."""
        with self._changed:
            self._stopping = self._closed = True
            for worker in list(self._desk.seats):
                self._returned += map(Returned, self._desk.leave(worker))
            self._returned += map(Returned, self._desk.withdraw_ready(lambda _: True))
            self._changed.notify()
        self._thread.join(10)

    # The dispatcher's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        due: datetime | None = None
        while True:
            self._wait(due)
            closing = self._closed
            try:
                due = self._turn()
            except StoreError as error:
                events.publish(events.StoreTroubled(str(error)))
                if closing:
                    return
                if clock.monotonic() - self._beaten > GIVE_UP_SECONDS:
                    self.on_lost(error)
                with self._changed:
                    self._changed.wait(RETRY_SECONDS)
                continue
            if closing:
                return

    def _wait(self, due: datetime | None) -> None:
        """Return when there is cause for a turn."""
        with self._changed:
            began: float | None = None
            while not (self._woken or self._closed):
                now = clock.monotonic()
                pause = self._looked + CHECK_SECONDS - now
                if due is not None:
                    pause = min(pause, (due - clock.now()).total_seconds())
                if self._returned:
                    if self._desk.is_hungry():
                        break
                    began = began or now
                    pause = min(pause, began + GATHER_SECONDS - now)
                if pause <= 0:
                    break
                self._changed.wait(pause)
            self._woken = False

    def _turn(self) -> datetime | None:
        """Take one turn; return when the next scheduled job is due."""
        now = clock.now()
        with self._changed:
            returned, self._returned = self._returned, []
            budget = self._desk.budget()
        claim = Claim(self._store, self._desk, budget, server=self._server, now=now)
        self._announcements, self._doomed = [], []
        try:
            with self._store.transaction():
                touched = self._settle(returned, now)
                if not self._stopping and self._desk.seats:
                    self._store.release_due_jobs(now)
                    claim.run(self._kinds, only=self._only)
                for job_id in touched.keys() | set(claim.exhausted):
                    self._finish_batch(job_id, claim, now)
                for candidate in claim.expired:
                    self._store.update_job(candidate.id, {"draft": True})
                    self._doomed.append(candidate.id)
                    self._announcements.append(events.JobExpired(candidate.id, candidate.kind))
        except BaseException:
            with self._changed:
                # As if the turn had not been: the results are still to be stored.
                self._returned[:0] = returned
            raise
        self._after_commit(claim)
        idle = not returned and not claim.pieces
        return self._look_around() if idle or clock.monotonic() - self._looked >= CHECK_SECONDS else None

    def _after_commit(self, claim: Claim) -> None:
        for row in claim.started:
            self._batches[row.id] = row
            self._announcements.append(events.JobStarted(row.id, row.kind))
        with self._changed:
            self._desk.add(claim.pieces)
            handed = self._desk.assign()
            recalls = {} if self._stopping else self._desk.recall_for_idle()
            if self._stopping:
                self._returned += map(Returned, self._desk.withdraw_ready(lambda _: True))
                recalls = self._desk.recall(lambda _: True)
            self._woken = self._woken or claim.more or bool(self._stopping and self._returned)
            self._changed.notify_all()
        for worker, pieces in handed.items():
            self._hand_out(worker, [*self._lessons(worker, pieces), *(piece.task for piece in pieces)])
            for piece in pieces:
                piece.task = None  # The worker has it; a slice's payload need not be here as well.
        for worker, keys in recalls.items():
            self._hand_out(worker, [Recall(keys)])
        for event in self._announcements:
            events.publish(event)
        for job_id in self._doomed:
            self.destroy(job_id)

    def _lessons(self, worker: Any, pieces: list[Assignment]) -> list[LearnJob]:
        """Return the batch jobs that a worker must be told of before it gets these pieces."""
        known = self._known[worker]
        wanted = {piece.subject.job_id for piece in pieces if isinstance(piece.subject, HeldSlice)}
        lessons = []
        for job_id in wanted - known:
            row = self._batches.get(job_id) or self._store.job(job_id)
            if row is not None:
                self._batches[job_id] = row
                lessons.append(LearnJob(row))
                known.add(job_id)
        return lessons

    # Settling ------------------------------------------------------------------------------------

    def _settle(self, returned: list[Returned], now: datetime) -> Counter[UUID]:
        """Store how pieces ended; returns the batch jobs that were touched."""
        touched: Counter[UUID] = Counter()
        slices, jobs = [], []
        for back in returned:
            held, reply = back.piece.subject, back.reply
            if isinstance(held, HeldSlice):
                touched[held.job_id] += 1
            if reply is None:
                self._hand_back(back, now)
            elif isinstance(held, HeldSlice):
                assert isinstance(reply, SliceDone)
                slices.append((held, settlement_of_slice(held, reply)))
            elif isinstance(held, HeldJob):
                assert isinstance(reply, JobDone)
                jobs.append((held, settlement_of_job(held, reply, now), reply))
            else:
                assert isinstance(reply, JobDone)
                self._settle_hook(held, reply, now)
                touched[held.row.id] += 1
        if slices:
            self._settle_slices(slices)
        if jobs:
            self._settle_jobs(jobs)
        return touched

    def _settle_slices(self, slices: list[tuple[HeldSlice, Any]]) -> None:
        refused = self._store.settle_slices([settlement for _, settlement in slices], server=self._server)
        for held, settlement in slices:
            if settlement in refused:
                self._announcements.append(events.ResultRefused(held.job_id, held.kind))
            elif settlement.exception is not None:
                number = held.claimed.first_record + settlement.done
                self._announcements.append(
                    events.SliceFailed(held.job_id, held.kind, number, summary_of(settlement.exception))
                )

    def _settle_jobs(self, jobs: list[tuple[HeldJob, Any, JobDone]]) -> None:
        refused = {settlement.id for settlement in self._store.settle_jobs([settlement for _, settlement, _ in jobs])}
        for held, settlement, reply in jobs:
            row = held.row
            if settlement.id in refused:
                self._announcements.append(events.ResultRefused(row.id, row.kind))
            elif reply.failure is not None:
                self._announcements.append(events.JobFailed(row.id, row.kind, summary_of(reply.failure)))
            else:
                self._announcements.append(events.JobCompleted(row.id, row.kind))

    def _settle_hook(self, held: HeldHook, reply: JobDone, now: datetime) -> None:
        row = held.row
        expect = {"state": State.RUNNING, "sub_state": row.sub_state, "attempt": row.attempt}
        if not self._store.update_job(row.id, values_after_hook(held, reply, now), expect=expect):
            self._announcements.append(events.ResultRefused(row.id, row.kind))
        elif reply.failure is not None:
            self._announcements.append(events.JobFailed(row.id, row.kind, summary_of(reply.failure)))
        elif held.moment == "after_batch":
            self._end_batch(row)
        else:
            self._batches.pop(row.id, None)

    def _hand_back(self, back: Returned, now: datetime) -> None:
        """Queue a piece again; one that has killed too many workers fails instead."""
        held = back.piece.subject
        crashed = back.evidence is not None
        if isinstance(held, HeldSlice):
            if crashed and held.claimed.crash_count + 1 >= MOST_CRASHES:
                self._settle_slices([(held, crash_of_slice(held, back.evidence or "", back.place, back.worker))])
            else:
                self._store.hand_back_slice(held.job_id, held.claimed, crashed=crashed)
        elif crashed and held.row.crash_count + 1 >= MOST_CRASHES:
            values = crash_of_job(held.row, back.evidence or "", now, back.worker)
            expect = {"state": State.RUNNING, "attempt": held.row.attempt}
            if self._store.update_job(held.row.id, values, expect=expect):
                summary = summary_of(values["exception"])
                self._announcements.append(events.JobFailed(held.row.id, held.row.kind, summary))
        else:
            self._store.hand_back_job(held.row.id, held.row.attempt, crashed=crashed)

    # The end of a batch --------------------------------------------------------------------------

    def _finish_batch(self, job_id: UUID, claim: Claim, now: datetime) -> None:
        """End a batch job of which nothing is left that could still succeed by itself."""
        standing = self._store.standing(job_id)
        if not standing.finished:
            return
        row = self._store.job(job_id)
        if row is None or row.state is not State.RUNNING or row.sub_state is not SubState.PROCESSING:
            return
        if row.record_count is None or row.uploader is not None:
            return  # The upload is going on: more will come.
        expect = {"state": State.RUNNING, "sub_state": SubState.PROCESSING, "attempt": row.attempt}
        facts = self._kinds.get(row.kind)
        if standing.failed:
            message = f"{standing.failed} slice{'s' if standing.failed > 1 else ''} failed to process"
            failure = Failure("SlicesFailed", message).to_json()
            if self._store.update_job(job_id, move_values(row, Move.FAIL, now, {"exception": failure}), expect=expect):
                self._announcements.append(events.JobFailed(job_id, row.kind, message))
                self._forget(job_id)
        elif facts is not None and "after_batch" in facts.hooks:
            row.sub_state, row.server, row.attempt = SubState.AFTER, self._server, row.attempt + 1
            values = {"sub_state": row.sub_state, "server": row.server, "attempt": row.attempt}
            if self._store.update_job(job_id, values, expect=expect):
                claim.add_hook(row, "after_batch")
        elif self._store.update_job(job_id, move_values(row, Move.COMPLETE, now), expect=expect):
            self._end_batch(row)

    def _end_batch(self, row: JobRow) -> None:
        self._announcements.append(events.JobCompleted(row.id, row.kind))
        if row.destroy_on_complete:
            self._store.update_job(row.id, {"draft": True})
            self._doomed.append(row.id)
        self._forget(row.id)

    def _forget(self, job_id: UUID) -> None:
        self._batches.pop(job_id, None)
        for worker, known in self._known.items():
            if job_id in known:
                known.discard(job_id)
                self._hand_out(worker, [ForgetJob(job_id)])

    # Now and then --------------------------------------------------------------------------------

    def _look_around(self) -> datetime | None:
        """Beat, notice jobs that people moved or edited, and return when the next scheduled job is due."""
        self._looked = clock.monotonic()
        if self._looked - self._beaten >= HEARTBEAT_SECONDS:
            self._beaten = self._looked
            if not self._store.beat(self._server, self.state):
                self.on_lost(
                    StoreUnavailable(f"server {self._server} was taken for dead by another one; start it again")
                )
        self._notice_moves()
        return self._store.next_due()

    def _notice_moves(self) -> None:
        """Take back unstarted slices of jobs that no longer run, and read edited jobs afresh."""
        if not self._batches:
            return
        rows = {job_id: self._store.job(job_id) for job_id in list(self._batches)}
        halted = {job_id for job_id, row in rows.items() if row is None or row.state is not State.RUNNING}
        for job_id, row in rows.items():
            if row is None or job_id in halted:
                self._forget_later(job_id)
            elif row != self._batches[job_id]:
                self._batches[job_id] = row
                for known in self._known.values():
                    known.discard(job_id)
        if halted:
            with self._changed:
                recalls = self._desk.recall(lambda piece: _job_of(piece) in halted)
            for worker, keys in recalls.items():
                self._hand_out(worker, [Recall(keys)])

    def _forget_later(self, job_id: UUID) -> None:
        with self._changed:
            held = any(_job_of(piece) == job_id for seat in self._desk.seats.values() for piece in seat.held.values())
        if not held:
            self._forget(job_id)


def _job_of(piece: Assignment) -> UUID | None:
    return piece.subject.job_id if isinstance(piece.subject, HeldSlice) else None
