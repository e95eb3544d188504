"""The dispatcher: the one thread of a server that talks to the store.

Its life is turns. A turn is one transaction that settles what workers have returned and claims what free
slots can take; then the pieces are handed out. Turns come when results have gathered, a wake-up arrives,
something is due, or a second has passed. No user code runs here.
"""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from penstock import clock, events, faults
from penstock.errors import PenstockError, ProtocolError, StoreError, StoreUnavailable
from penstock.server.chosen import Chosen
from penstock.server.claiming import Claim
from penstock.server.deaths import Death, taken_back
from penstock.server.desk import Desk
from penstock.server.express import Arrivals
from penstock.server.gathering import Gathering
from penstock.server.heartbeat import Heartbeat
from penstock.server.ledger import Ending
from penstock.server.lessons import Lessons
from penstock.server.messages import ForgetJob, KindFacts, Recall, Reply, Said
from penstock.server.pieces import is_slice_beyond, is_unstored, job_of
from penstock.server.settling import HeldJob
from penstock.server.turn import Outcome, Returned, Turn
from penstock.states import ServerState, State
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

log = logging.getLogger("penstock")

CHECK_SECONDS = 1.0
"""How often the store is looked at without a cause: for lost wake-ups, and jobs that people moved."""
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
        chosen: Chosen | None = None,
        keeps_nothing: bool = False,
    ) -> None:
        """Make it; where the store `keeps_nothing` anyway, jobs that come by `submit` are stored only if need be."""
        self._store = store
        self._server = server
        self._hand_out = hand_out
        self._chosen = chosen or Chosen()
        self._desk = Desk()
        self.heartbeat = Heartbeat(store, server, self._chosen)
        self._kinds: dict[str, KindFacts] = {}
        self._held_kinds: dict[str, datetime] = {}
        self._lessons = Lessons()
        self._returned: list[Returned] = []
        self._arrivals = Arrivals(keeps_nothing=keeps_nothing)
        self._gathering = Gathering(spaces=keeps_nothing)
        self._changed = threading.Condition()
        self._woken = False
        self._quiet = False
        """Whether the last look at the store found nothing; what comes into it later wakes."""
        self._stopping = False
        self._closed = False
        self._looked = float("-inf")
        self.state = ServerState.STARTING
        self.at_leisure: Callable[[Callable[[], object]], object] = lambda act: act()
        self.on_lost: Callable[[PenstockError], None] = lambda _: None
        self.on_command: Callable[[str], None] = lambda _: None
        self.on_endings: Callable[[list[Ending]], None] = lambda _: None
        """Called in the dispatcher's thread, after the commit, with how regular jobs ended."""
        self._thread = threading.Thread(target=self._run, name="penstock-dispatcher", daemon=True)

    # From any thread -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name under which it claims."""
        return self._server

    def start(self) -> None:
        """Start taking turns."""
        self._thread.start()

    def wake(self) -> None:
        """Take a turn soon: there may be something to claim, or a job was moved."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def submit(self, rows: Collection[JobRow]) -> None:
        """Store new jobs in the next turn, which may claim them too: for stores that keep nothing anyway."""
        with self._changed:
            if self._arrivals.add(rows):
                self._changed.notify()

    def withdraw(self, job_id: UUID) -> bool:
        """Take back a new job that is not stored yet; False when it is."""
        with self._changed:
            return self._arrivals.withdraw(job_id)

    def store_held(self, job_id: UUID) -> None:
        """Store a job that a worker has and that is not stored, so that it can be moved; others are left alone."""
        with self._changed:
            found = [piece for piece in self._desk.held() if is_unstored(piece, job_id)]
        for piece in found:
            self._store.insert_jobs([piece.subject.row])
            with self._changed:
                still = piece in self._desk.held()
                if still:
                    piece.subject = HeldJob(piece.subject.row)
            if not still:
                self._store.destroy_job(job_id)  # It has ended meanwhile.

    def worker_ready(
        self,
        worker: Any,
        slots: int,
        kinds: list[KindFacts],
        *,
        concurrency: int = 0,
        node: str | None = None,
        heavy: bool = False,
    ) -> None:
        """Seat a worker that runs these kinds, of them `concurrency` at once that run on its event loop."""
        with self._changed:
            self._desk.join(worker, slots, concurrency, node, heavy=heavy)
            self._lessons.join(worker)
            # Those of the newest worker: it has imported what is deployed now.
            self._kinds = {facts.kind: facts for facts in kinds if self._chosen.includes(facts.kind)}
            if self.state is ServerState.STARTING:
                self.state = ServerState.RUNNING
            self.heartbeat.hasten()
        self.wake()

    def worker_said(self, worker: Any, message: Said) -> None:
        """Take what the work of a worker of ours says; only work of nodes has anything to say."""
        raise ProtocolError(f"a worker of this server sent {type(message).__name__}")

    def retire(self, worker: Any) -> bool:
        """Give a worker nothing more, and take back what it has not started; tells whether it holds nothing now."""
        with self._changed:
            recalls = self._desk.retire(worker)
            empty = self._desk.holds_nothing(worker)
        self._recall(recalls)
        return empty

    def holding(self) -> int:
        """Return how many pieces of work this server holds."""
        with self._changed:
            return self._desk.count()

    def beat(self) -> bool:
        """Show that this server lives, and how it is; False when others took it for dead."""
        return self.heartbeat.raise_counter(self.state, self._kinds, self.holding())

    def pause(self) -> None:
        """Claim nothing more, and give back what is not started."""
        with self._changed:
            self.state = ServerState.PAUSED
        self.wake()

    def resume(self) -> None:
        """Claim again."""
        with self._changed:
            self.state = ServerState.RUNNING
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
            if first or self._gathering.seconds(self._desk.seconds_ahead(), are_new=False) <= 0:
                self._changed.notify()

    def worker_recalled(self, worker: Any, keys: list[int]) -> None:
        """Take back pieces that a worker had not started."""
        with self._changed:
            self._returned += map(Returned, self._desk.recalled(worker, keys))
        self.wake()

    def worker_died(
        self,
        worker: Any,
        name: str,
        evidence: str,
        working_on: dict[int, int] | None,
        overdue: Collection[int] = (),
    ) -> None:
        """Take back what a dead worker held; what it was working on is laid to its charge. None: nobody can say.

        Where it was killed for pieces that were `overdue`, these alone are to blame, and fail.
        """
        with self._changed:
            self._lessons.leave(worker)
            self._returned += taken_back(self._desk, worker, Death(name, evidence, working_on, overdue))
        self.wake()

    def drain(self, grace: float) -> bool:
        """Claim nothing more, give back what is not started, and wait for the rest.

        Returns:
            False when something still ran after `grace` seconds.
        """
        with self._changed:
            self._stopping = True
            self.state = ServerState.STOPPING
            self.heartbeat.hasten()
        self.wake()
        deadline = clock.monotonic() + grace
        with self._changed:
            while not (self._desk.is_empty() and not self._returned) or self._woken or self._arrivals.count:
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
        if threading.current_thread() is not self._thread:
            self._thread.join(10)

    # The dispatcher's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        due: datetime | None = None
        while True:
            looks = self._wait(due)
            closing, began = self._closed, clock.monotonic()
            came = len(self._returned) + self._arrivals.count
            try:
                # A turn that did not look leaves standing what an earlier one found.
                standing = due if due is not None and due > clock.now() else None
                due = min(filter(None, (self._turn(looks=looks), standing)), default=None)
                self._gathering.note_turn(began, clock.monotonic(), came)
            except StoreError as error:
                events.publish(events.StoreTroubled(error))
                if closing:
                    return
                if self.heartbeat.is_late():
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
                self.heartbeat.tell_figures()
                return

    def _wait(self, due: datetime | None) -> bool:
        """Return when there is cause for a turn, and whether it is one to look at the store."""
        with self._changed:
            began: float | None = None
            while not (self._woken or self._closed):
                pause = self._until_look(due)
                if self._returned or self._arrivals.count:
                    now = clock.monotonic()
                    began = began or now
                    gathers = self._gathering.seconds(self._desk.seconds_ahead(), are_new=self._arrivals.count > 0)
                    pause = min(pause, began + gathers - now)
                if pause <= 0:
                    break
                self._changed.wait(pause)
            looks = self._woken or self._closed or not self._quiet or self._until_look(due) <= 0
            self._woken = False
            return looks

    def _until_look(self, due: datetime | None) -> float:
        pause = self._looked + CHECK_SECONDS - clock.monotonic()
        return pause if due is None else min(pause, (due - clock.now()).total_seconds())

    def _turn(self, *, looks: bool = True) -> datetime | None:
        """Take one turn; return when the next scheduled job is due, where that was looked up.

        One that `looks` not leaves the store alone, unless something is to be stored.
        """
        if self.heartbeat.is_late():
            self._show_life()  # Suspended, or cut off from the store: what it claims now must be released if it dies.
        with self._changed:
            returned, self._returned = self._returned, []
            budget = self._desk.budget()
            # Once for the whole turn: a worker that joins while it waits for the store brings others.
            kinds, seated = self._kinds, bool(self._desk.seats)
            to_store = self._arrivals.take(kinds)
        now = clock.now()
        turn = Turn(self._store, server=self._server, kinds=kinds, now=now)
        claim = Claim(self._store, self._desk, budget, server=self._server, now=now, where=self._chosen.where)
        to_settle = turn.tell_unstored(returned) if self._arrivals.express is not None else returned
        looks = looks or bool(to_settle or to_store)
        if returned:
            faults.at("before_settle")
        try:
            with self._store.transaction() if looks else nullcontext():
                turn.insert(to_store)
                turn.settle(to_settle)
                if returned:
                    faults.at("in_settle")
                if seated and not self._rests:
                    claimable = self._claimable(kinds, now, turn.outcome)
                    if looks:
                        turn.claim(claim, claimable, self._chosen.only)
                    if self._arrivals.express is not None:
                        with self._changed:
                            claim.take_express(self._arrivals.express, claimable)
                turn.finish_batches(claim)
                turn.follow_moves(claim)
                if claim.pieces:
                    faults.at("in_claim")
        except BaseException:
            with self._changed:
                # As if the turn had not been. If it was stored all the same, what it claimed is to be given back.
                self._returned[:0] = [*returned, *map(Returned, claim.pieces)]
                self._arrivals.put_back(to_store)
            raise
        if returned:
            faults.at("after_settle")
        if claim.pieces:
            faults.at("after_claim")
        self.on_endings(turn.outcome.endings)
        for job_id in turn.outcome.changed:
            # Before slices of this turn are handed out, so that they are told with it.
            self._lessons.batches.pop(job_id, None)
        self._hand_out_pieces(claim)
        self._follow_up(turn.outcome, now)
        was_quiet = self._quiet
        self._quiet = (claim.found_nothing and not self._held_kinds) if looks else was_quiet
        idle = not (returned or claim.pieces) or self._quiet > was_quiet
        found = self._look_around() if idle or clock.monotonic() - self._looked >= CHECK_SECONDS else None
        return min(filter(None, (found, claim.gates.opens, turn.outcome.due)), default=None)

    def _hand_out_pieces(self, claim: Claim) -> None:
        self._lessons.learn(claim.batches)
        with self._changed:
            # Taken from a worker, of a job that has ended since: nobody could be told of it.
            orphans = self._desk.withdraw_ready(lambda piece: is_slice_beyond(piece, self._lessons.batches))
            self._returned += map(Returned, orphans)
            self._desk.add(claim.pieces)
            if self._rests:
                self._returned += map(Returned, self._desk.withdraw_ready(lambda _: True))
                handed, recalls = {}, self._desk.recall(lambda _: True)
            else:
                handed, recalls = self._desk.assign(), self._desk.recall_for_idle()
                stranded = self._desk.withdraw_ready(lambda piece: piece.berth.restricts)
                self._returned += map(Returned, stranded)
            self._woken = self._woken or claim.more or bool(orphans) or bool(self._rests and self._returned)
            self._changed.notify_all()
        for worker, pieces in handed.items():
            self._hand_out(worker, [*self._lessons.before(worker, pieces), *[piece.task for piece in pieces]])
        self._recall(recalls)

    def _follow_up(self, outcome: Outcome, now: datetime) -> None:
        for job_id in outcome.ended:
            self._forget(job_id)
        self.heartbeat.tally.count(now, outcome.announcements, outcome.completed, outcome.records)
        for event in outcome.announcements:
            events.publish(event)
        for job_id in outcome.doomed:
            faults.at("before_destroy")
            self.at_leisure(partial(self._store.destroy_job, job_id))
        for job_id in outcome.emptied:
            self.at_leisure(partial(self._store.drop_slices, job_id))
        self._held_kinds |= outcome.held_kinds

    @property
    def _rests(self) -> bool:
        """Whether nothing is claimed, and what is not started is given back."""
        return self._stopping or self.state is ServerState.PAUSED

    def _claimable(self, kinds: dict[str, KindFacts], now: datetime, outcome: Outcome) -> dict[str, KindFacts]:
        """Return those of the kinds of which something may be claimed now."""
        self._held_kinds = {kind: until for kind, until in self._held_kinds.items() if until > now}
        held = self._held_kinds.keys() | outcome.held_kinds.keys()
        return {kind: facts for kind, facts in kinds.items() if kind not in held}

    def _forget(self, job_id: UUID) -> None:
        for worker in self._lessons.forget(job_id):
            self._hand_out(worker, [ForgetJob(job_id)])

    # Now and then --------------------------------------------------------------------------------

    def _look_around(self) -> datetime | None:
        """Beat, notice jobs that people moved, and return when the next scheduled job is due, where any is claimed."""
        self._looked = clock.monotonic()
        if self.heartbeat.is_due():
            self._show_life()
        command = self._store.command_of(self._server)
        if command is not None:  # Somebody asked it of this server from elsewhere.
            self.on_command(command)
        self._notice_moves()
        with self._changed:
            # However little it is: the piece in front of it may take hours.
            recalls = {} if self._rests else self._desk.recall_for_idle(worth=0.0)
        self._recall(recalls)
        if self._rests or not self._desk.seats:
            return None  # What is due stays so, and would call for a turn after the other.
        return min((moment for moment in (self._store.next_due(), *self._held_kinds.values()) if moment), default=None)

    def _show_life(self) -> None:
        """Beat; where others took this server for dead it takes nothing more, and ends."""
        if not self.heartbeat.beat(self.state, self._kinds, self.holding()):
            self._stopping = True
            self.on_lost(StoreUnavailable(f"server {self._server} was taken for dead by another one; start it again"))

    def _notice_moves(self) -> None:
        """Take back what is not started of jobs that no longer run."""
        with self._changed:
            waiting = {job_id for piece in self._desk.waiting() if (job_id := job_of(piece))}
        asked = waiting | self._lessons.batches.keys()
        if not asked:
            return
        standings = self._store.job_standings(list(asked))
        halted = {job_id for job_id in asked if standings.get(job_id, (None, None))[0] is not State.RUNNING}
        if not halted:
            return
        with self._changed:
            recalls = self._desk.recall(lambda piece: job_of(piece) in halted)
            held = {job_of(piece) for seat in self._desk.seats.values() for piece in seat.held.values()}
        self._recall(recalls)
        for job_id in halted - held:
            self._forget(job_id)

    def _recall(self, keys: dict[Any, list[int]]) -> None:
        for worker, chosen in keys.items():
            self._hand_out(worker, [Recall(chosen)])
