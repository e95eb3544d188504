"""A server in the caller's own thread: the same turns and the same performing, without processes.

For tests of applications: what it does with a job is what a server does with it, one piece of work after another.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

from penstock import clock, events
from penstock.server.claiming import Claim
from penstock.server.desk import Desk
from penstock.server.facts import facts_of_kinds
from penstock.server.messages import LearnJob
from penstock.server.performing import Performer
from penstock.server.turn import Outcome, Returned, Turn
from penstock.store import presence_name
from penstock.store.protocol import Store

_HERE = "here"
_SLOW = 10.0
"""Every piece counts as if it took so many seconds, so that one is claimed at a time: the most urgent just then."""


class InlineServer:
    """Runs what is due in a store, as long as it is asked to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._server = presence_name(store)
        self._kinds = {facts.kind: facts for facts in facts_of_kinds()}
        self._desk = Desk()
        self._desk.join(_HERE, 1)
        self._jobs: dict[object, LearnJob] = {}
        self._performer = Performer(self._server, self._jobs, lambda _: None)
        self._returned: list[Returned] = []
        self._held_kinds: dict[str, datetime] = {}

    def step(self) -> bool:
        """Settle what came back, claim what is most urgent, and perform it; False when nothing was due."""
        now = clock.now()
        returned, self._returned = self._returned, []
        turn = Turn(self._store, server=self._server, kinds=self._kinds, now=now)
        claim = Claim(self._store, self._desk, self._desk.budget(), server=self._server, now=now)
        kinds = {kind: facts for kind, facts in self._kinds.items() if self._held_kinds.get(kind, now) <= now}
        with self._store.transaction():
            turn.settle(returned)
            turn.claim(claim, {kind: kinds[kind] for kind in kinds if kind not in turn.outcome.held_kinds}, None)
            turn.finish_batches(claim)
            turn.follow_moves(claim)
        self._jobs.update({job_id: LearnJob(row) for job_id, row in claim.batches.items()})
        self._follow_up(turn.outcome)
        self._desk.add(claim.pieces)
        pieces = [piece for given in self._desk.assign().values() for piece in given]
        for piece in pieces:
            reply = self._performer.run(piece.task)
            self._desk.finish(_HERE, piece.key, _SLOW)
            self._returned.append(Returned(piece, reply))
        return bool(pieces or returned or claim.more)

    def next_due(self) -> datetime | None:
        """Return when the next scheduled or held job is due, or None."""
        return min((moment for moment in (self._store.next_due(), *self._held_kinds.values()) if moment), default=None)

    def _follow_up(self, outcome: Outcome) -> None:
        self._held_kinds |= outcome.held_kinds
        for event in outcome.announcements:
            events.publish(event)
        acts: list[Callable[[], object]] = [partial(self._store.destroy_job, job_id) for job_id in outcome.doomed]
        acts += [partial(self._store.drop_slices, job_id) for job_id in outcome.emptied]
        for act in acts:
            act()
        self._forget(outcome.ended)

    def _forget(self, job_ids: list[UUID]) -> None:
        for job_id in job_ids:
            self._jobs.pop(job_id, None)
