"""The dispatcher: the one thread of a server that talks to the store.

Its life is turns. A turn is one transaction that settles what workers have returned and claims what free
slots can take; then the pieces are handed out. Turns come when results have gathered, a wake-up arrives,
something is due, or a second has passed. No user code runs here.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock import clock, events
from penstock.errors import PenstockError, StoreError, StoreUnavailable
from penstock.server.claiming import Claim
from penstock.server.desk import Assignment, Desk
from penstock.server.messages import ForgetJob, KindFacts, LearnJob, Recall, Reply
from penstock.server.settling import HeldSlice
from penstock.server.turn import Outcome, Returned, Turn
from penstock.states import State
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

log = logging.getLogger("penstock")

GATHER_SECONDS = 0.04
"""How long results are gathered while every slot has enough to do."""
CHECK_SECONDS = 1.0
"""How often the store is looked at without a cause: for lost wake-ups, and jobs that people moved."""
HEARTBEAT_SECONDS = 5.0
GIVE_UP_SECONDS = 20.0
"""Without a heartbeat for so long others may soon take over what this server holds: it stops."""
RETRY_SECONDS = 0.5
"""The pause after the store refused a turn."""


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
            first = not self._returned
            for reply in replies:
                piece = self._desk.finish(worker, reply.key, reply.seconds)
                if piece is not None:
                    self._returned.append(Returned(piece, reply))
            # Waking the other thread for nothing costs the workers more than it looks: they share its cores.
            if first or self._desk.is_hungry():
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
                events.publish(events.StoreTroubled(error))
                if closing:
                    return
                if clock.monotonic() - self._beaten > GIVE_UP_SECONDS:
                    self.on_lost(error)
                with self._changed:
                    self._changed.wait(RETRY_SECONDS)
                continue
            except Exception as error:
                # A defect of ours: the server must not sit there with its work and do nothing.
                log.exception("the dispatcher broke")
                self.on_lost(PenstockError(f"the dispatcher broke: {type(error).__name__}: {error}"))
                return
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
        """Take one turn; return when the next scheduled job is due, where that was looked up."""
        with self._changed:
            returned, self._returned = self._returned, []
            budget = self._desk.budget()
        now = clock.now()
        turn = Turn(self._store, server=self._server, kinds=self._kinds, now=now)
        claim = Claim(self._store, self._desk, budget, server=self._server, now=now)
        try:
            with self._store.transaction():
                turn.settle(returned)
                if self._desk.seats and not self._stopping:
                    turn.claim(claim, self._only)
                turn.finish_batches(claim)
        except BaseException:
            with self._changed:
                # As if the turn had not been: the results are still to be stored.
                self._returned[:0] = returned
            raise
        self._hand_out_pieces(claim)
        self._follow_up(turn.outcome)
        idle = not returned and not claim.pieces
        return self._look_around() if idle or clock.monotonic() - self._looked >= CHECK_SECONDS else None

    def _hand_out_pieces(self, claim: Claim) -> None:
        self._learn(claim.batches)
        with self._changed:
            self._desk.add(claim.pieces)
            if self._stopping:
                self._returned += map(Returned, self._desk.withdraw_ready(lambda _: True))
                handed, recalls = {}, self._desk.recall(lambda _: True)
            else:
                handed, recalls = self._desk.assign(), self._desk.recall_for_idle()
            self._woken = self._woken or claim.more or bool(self._stopping and self._returned)
            self._changed.notify_all()
        for worker, pieces in handed.items():
            self._hand_out(worker, [*self._lessons(worker, pieces), *(piece.task for piece in pieces)])
        self._recall(recalls)

    def _follow_up(self, outcome: Outcome) -> None:
        for job_id in outcome.changed:
            self._batches.pop(job_id, None)
        for job_id in outcome.ended:
            self._forget(job_id)
        for event in outcome.announcements:
            events.publish(event)
        for job_id in outcome.doomed:
            self.destroy(job_id)

    def _lessons(self, worker: Any, pieces: list[Assignment]) -> list[LearnJob]:
        """Return the batch jobs that a worker must be told of before it gets these pieces."""
        known = self._known.get(worker)
        if known is None:
            return []  # It died just now: its pieces are back already.
        wanted = {piece.subject.job_id for piece in pieces if isinstance(piece.subject, HeldSlice)}
        lessons = []
        for job_id in wanted - known:
            lessons.append(LearnJob(self._batches[job_id]))
            known.add(job_id)
        return lessons

    def _learn(self, rows: dict[UUID, JobRow]) -> None:
        """Note batch jobs as they are now; workers are told again of those that have changed."""
        edited = [job_id for job_id, row in rows.items() if self._batches.get(job_id) != row]
        self._batches.update(rows)
        with self._changed:
            for known in self._known.values():
                known.difference_update(edited)

    def _forget(self, job_id: UUID) -> None:
        self._batches.pop(job_id, None)
        with self._changed:
            present = list(self._known.items())
        for worker, known in present:
            if job_id in known:
                known.discard(job_id)
                self._hand_out(worker, [ForgetJob(job_id)])

    # Now and then --------------------------------------------------------------------------------

    def _look_around(self) -> datetime | None:
        """Beat, notice jobs that people moved, and return when the next scheduled job is due."""
        self._looked = clock.monotonic()
        if self._looked - self._beaten >= HEARTBEAT_SECONDS:
            self._beaten = self._looked
            if not self._store.beat(self._server, self.state):
                self.on_lost(
                    StoreUnavailable(f"server {self._server} was taken for dead by another one; start it again")
                )
        self._notice_moves()
        with self._changed:
            # However little it is: the piece in front of it may take hours.
            recalls = {} if self._stopping else self._desk.recall_for_idle(worth=0.0)
        self._recall(recalls)
        return self._store.next_due()

    def _notice_moves(self) -> None:
        """Take back unstarted slices of jobs that no longer run."""
        if not self._batches:
            return
        standings = self._store.job_standings(list(self._batches))
        halted = {job_id for job_id in self._batches if standings.get(job_id, (None, None))[0] is not State.RUNNING}
        if not halted:
            return
        with self._changed:
            recalls = self._desk.recall(lambda piece: _job_of(piece) in halted)
            held = {_job_of(piece) for seat in self._desk.seats.values() for piece in seat.held.values()}
        self._recall(recalls)
        for job_id in halted - held:
            self._forget(job_id)

    def _recall(self, keys: dict[Any, list[int]]) -> None:
        for worker, chosen in keys.items():
            self._hand_out(worker, [Recall(chosen)])


def _job_of(piece: Assignment) -> UUID | None:
    return piece.subject.job_id if isinstance(piece.subject, HeldSlice) else None
