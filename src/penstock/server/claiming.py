"""One claim: candidates in order of urgency, taken while the budget and the limits last."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import Any
from uuid import UUID

from penstock.query import Filter
from penstock.server.berths import LOOP, SLOT, Berth, berth_of, berth_of_group, is_free, is_repeatable
from penstock.server.desk import Desk
from penstock.server.express import Express
from penstock.server.limits import Limits, limit_name
from penstock.server.messages import KindFacts, RunHook, RunJob, RunSlice
from penstock.server.seats import LEAST_URGENT, Assignment, Budget
from penstock.server.settling import HeldDue, HeldHook, HeldJob, HeldSlice
from penstock.server.slice_gates import SliceGates
from penstock.states import State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import ClaimedSlice, JobRow

SPARE_CANDIDATES = 16
"""Jobs looked at in one claim beyond those there is room for: some may be no use, or be expired."""
BEFORE_HOOKS = frozenset({"before_start", "after_start", "before_batch"})
"""Hooks that run before the first slice of a batch job."""
AFTER_HOOKS = frozenset({"after_batch", "before_complete"})
"""Hooks that run after the last."""


class Claim:
    """What one turn takes from the store. Runs inside the turn's transaction."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        budget: Budget,
        *,
        server: str,
        now: datetime,
        where: Sequence[Filter] = (),
    ) -> None:
        self._store = store
        self._desk = desk
        self._budget = budget
        self._server = server
        self._now = now
        self._where = where
        self._regular: list[tuple[JobRow, Berth]] = []
        self._limits = Limits(store)
        self.gates = SliceGates(store, now)
        self.pieces: list[Assignment] = []
        self.exhausted: list[UUID] = []
        """Running batch jobs that had no queued slice: perhaps they are finished."""
        self.expired: list[JobRow] = []
        self.started: list[JobRow] = []
        self.batches: dict[UUID, JobRow] = {}
        """The batch jobs that slices were taken of, as they are now."""
        self.more = False
        """Whether candidates were left because the look was limited, not because the budget was."""
        self.found_nothing = False
        """Whether the look found no candidate, and nothing that a limit or a node keeps from being one."""

    def run(self, kinds: Mapping[str, KindFacts], *, only: UUID | None = None) -> None:
        """Take what the budget allows, most urgent first, of what no limit and no other kind holds back.

        What runs on event loops is looked for apart: neither holds the other back.
        """
        self.found_nothing = True
        loops = self._budget.has_loops
        for on_loop in (False, True) if loops else (False,):
            lane = {kind: facts for kind, facts in kinds.items() if not loops or facts.on_loop is on_loop}
            if lane and on_loop and self._budget.room(LEAST_URGENT, None, LOOP) <= 0:
                self.found_nothing = False
            elif lane:
                self._look(lane, LOOP if on_loop else SLOT, only)
        self._take_jobs()

    def _look(self, kinds: Mapping[str, KindFacts], lane: Berth, only: UUID | None) -> None:
        limit = SPARE_CANDIDATES + self._budget.room(LEAST_URGENT, self._desk.quickest_pace(kinds), lane)
        free = {kind: facts for kind, facts in kinds.items() if not self._limits.blocks(facts)}
        waiting = self._store.waiting_groups(free)
        groups = [pair for pair in waiting if self._is_open(free[pair[0]], pair[1])]
        open_kinds = [kind for kind, facts in free.items() if not self._limits.is_full(facts)]
        self.found_nothing = self.found_nothing and not waiting and len(open_kinds) == len(kinds)
        # What has started goes on, however full its limit is.
        under_way = [kind for kind, facts in kinds.items() if facts.batch and (facts.limit or kind not in free)]
        seen: set[UUID] = set()
        before = self._count_of_taken()
        while True:
            held = self.gates.held
            found = self._store.candidates(
                # The one job asked for is looked at below, whatever holds others of its kind back.
                open_kinds if only is None else kinds,
                limit=limit,
                only=only,
                groups=groups,
                under_way=under_way,
                where=self._where,
            )
            self.found_nothing = self.found_nothing and not found
            has_room = self._take_in_order((row for row in found if row.id not in seen), kinds)
            # Those that have as many workers as they may stay candidates, and must not hide what is behind them.
            if not has_room or len(found) < limit or self.gates.held == held:
                break
            seen.update(row.id for row in found)
            limit *= 2
        # Without anything taken another look would find the same.
        self.more = self.more or (len(found) == limit and self._count_of_taken() > before)

    def _count_of_taken(self) -> int:
        return len(self.pieces) + len(self.exhausted) + len(self.expired) + len(self._regular)

    def _is_open(self, facts: KindFacts, group: str) -> bool:
        """Tell whether jobs of a throttle group may start now: its limit has room, and so has a node that it names."""
        if self._limits.is_full(facts, group):
            return False
        if not facts.answers:
            return True
        berth = berth_of_group(group, **self._lanes_for(facts))
        return not berth.restricts or self._budget.room(LEAST_URGENT, self._desk.pace(facts.kind), berth) > 0

    def _take_in_order(self, candidates: Iterable[JobRow], kinds: Mapping[str, KindFacts]) -> bool:
        """Take what the budget allows; False where it allows no more.

        In strict order: what finds no room holds back all that is less urgent, or it might never get any.
        """
        for (kind, priority, is_plain), run in groupby(candidates, key=_alike):
            facts = kinds[kind]
            if is_plain and not (facts.limit or facts.depends_on or facts.answers or facts.on_loop):
                has_room = self._want_plain_jobs(list(run), facts, priority)
            else:
                has_room = all(self._take_or_expire(candidate, facts) for candidate in run)
            if not has_room:
                return False
        return True

    def _take_or_expire(self, candidate: JobRow, facts: KindFacts) -> bool:
        if candidate.is_expired(self._now):
            self.expired.append(candidate)
            return True
        return self._take(candidate, facts)

    def _want_plain_jobs(self, candidates: list[JobRow], facts: KindFacts, priority: int) -> bool:
        """Take what the budget allows of regular jobs that nothing limits; False when it does not allow them all.

        Each takes one place of the room there is, so it is not asked for again while bytes are left.
        """
        pace = self._desk.pace(facts.kind)
        first = 0
        while first < len(candidates):
            room = self._budget.room(priority, pace)
            if room <= 0:
                return False
            sizes = accumulate(len(candidate.fields) for candidate in candidates[first : first + room])
            within = sum(1 for size in sizes if size < self._budget.free_bytes)
            taken = candidates[first : first + max(1, min(room, within))]
            self._budget.spend(priority, len(taken), pace, sum(len(candidate.fields) for candidate in taken))
            for candidate in taken:
                candidate.limit_name = None
            self._regular += [(candidate, SLOT) for candidate in taken]
            first += len(taken)
        self._limits.count(facts, None)
        return True

    def _take(self, candidate: JobRow, facts: KindFacts) -> bool:
        """Take what the budget allows of one job; False when it allows nothing."""
        if candidate.state is State.QUEUED:
            # One that its limit or another kind holds back, perhaps by what was taken a moment ago, holds back nothing.
            if self._limits.blocks(facts) or self._limits.is_full(facts, candidate.throttle_group):
                return True
            took = self._start_batch(candidate, facts) if candidate.batch else self._want_job(candidate, facts)
            if took:
                self._limits.count(facts, candidate.throttle_group)
            return took
        return self._take_slices(candidate, facts)

    def _want_job(self, candidate: JobRow, facts: KindFacts) -> bool:
        # What counts against a limit is not handed ahead: it would hold a place of the limit while it waits.
        # Nor is what must not run twice: of what waits at a worker that is lost, nobody can say that it had not begun.
        waits = facts.limit is None and is_repeatable(candidate, facts)
        pace = self._desk.pace(candidate.kind) if waits else None
        berth = berth_of(candidate, facts, **self._lanes_for(facts))
        if self._budget.room(candidate.priority, pace, berth) <= 0:
            return berth.restricts  # What holds such a one back is its own.
        self._budget.spend(candidate.priority, 1, pace, len(candidate.fields), berth)
        candidate.limit_name = limit_name(facts, candidate.throttle_group)
        self._regular.append((candidate, berth))
        return True

    def _lanes_for(self, facts: KindFacts) -> dict[str, bool]:
        """Return which lanes there are for jobs of a kind beside slots."""
        return {"on_loop": facts.on_loop and self._budget.has_loops, "heavies": self._budget.has_heavies}

    def _take_jobs(self) -> None:
        berths = {id(row): berth for row, berth in self._regular}
        wanted = [row for row, _ in self._regular]
        claimed = self._store.claim_jobs(wanted, server=self._server, now=self._now)
        self.pieces += [
            _assignment(key, HeldJob(row), berths[id(row)]) for row, key in zip(claimed, self._desk.keys, strict=False)
        ]

    def take_express(self, express: Express, kinds: Mapping[str, KindFacts]) -> None:
        """Take what the budget allows of jobs that are not stored."""
        open_kinds = set(kinds)
        while (row := express.first(open_kinds)) is not None:
            facts = kinds[row.kind]
            pace = self._desk.pace(row.kind) if is_repeatable(row, facts) else None
            berth = berth_of(row, facts, **self._lanes_for(facts))
            room = self._budget.room(row.priority, pace, berth)
            if room <= 0:
                open_kinds.discard(row.kind)
                continue
            # What may run anywhere, and again, takes one place each of the room there is: it is asked for once.
            most = room if is_free(row) else 1
            taken = express.pop(row.kind, open_kinds, most=most, size=self._budget.free_bytes, alike=is_free)
            self._budget.spend(row.priority, len(taken), pace, sum(len(one.fields) for one in taken), berth)
            self.pieces += [self._unstored(one, berth) for one in taken]

    def _unstored(self, row: JobRow, berth: Berth) -> Assignment:
        row.state, row.server, row.started_at = State.RUNNING, self._server, self._now
        row.attempt += 1
        return _assignment(next(self._desk.keys), HeldJob(row, stored=False), berth)

    def _start_batch(self, candidate: JobRow, facts: KindFacts) -> bool:
        if self._budget.room(candidate.priority, None) <= 0:
            return False
        before = candidate.sub_state is not SubState.PROCESSING and not BEFORE_HOOKS.isdisjoint(facts.hooks)
        row = self._store.start_batch(
            candidate.id,
            sub_state=SubState.BEFORE if before else SubState.PROCESSING,
            server=self._server,
            now=self._now,
            limit_name=limit_name(facts, candidate.throttle_group),
        )
        if row is None:
            return True
        self.started.append(row)
        if not before:
            return self._take_slices(row, facts)
        self._budget.spend(row.priority, 1, None)
        self.add_hook(row, "before_batch")
        return True

    def _take_slices(self, row: JobRow, facts: KindFacts) -> bool:
        pace = self._desk.pace(row.id)
        room = self._budget.room(row.priority, pace)
        if room <= 0:
            return False
        room = self.gates.allowed(row, facts, room)
        if room <= 0:
            return True  # It holds nothing back: what holds it is its own.
        taken = self._store.claim_slices(
            row.id, server=self._server, limit=room, max_bytes=max(1, self._budget.free_bytes)
        )
        self.gates.note_taken(facts, sum(claimed.record_count - claimed.done for claimed in taken))
        if taken:
            if row.throttled_by is not None:
                row.throttled_by = row.throttled_at = None
                self._store.update_job(row.id, {"throttled_by": None, "throttled_at": None})
            self.batches[row.id] = row
        else:
            self.exhausted.append(row.id)
        for claimed in taken:
            self._budget.spend(row.priority, 1, pace, len(claimed.payload))
            self._add_slice(row, claimed)
        return True

    def add_hook(self, row: JobRow, moment: str) -> None:
        """Add the running of a hook for a batch job that this server holds."""
        key = next(self._desk.keys)
        self._add(
            key,
            RunHook(key, row.priority, row, moment),
            HeldHook(row, moment),
            (row.kind, moment),
            row.priority,
            (row.id.int, 0),
        )

    def has_room_for_hooks(self, row: JobRow) -> bool:
        """Tell whether hooks of a job that are due may be taken too, and count them where they may."""
        pace = self._desk.pace((row.kind, row.pending_hooks))
        if self._budget.room(row.priority, pace) <= 0:
            return False
        self._budget.spend(row.priority, 1, pace)
        return True

    def add_due_hooks(self, row: JobRow, moments: str) -> None:
        """Add the running of hooks that follow committed moves, which this server has taken."""
        key = next(self._desk.keys)
        task = RunHook(key, row.priority, row, moments)
        self._add(key, task, HeldDue(row, moments), (row.kind, moments), row.priority, (row.id.int, 0))

    def _add_slice(self, row: JobRow, claimed: ClaimedSlice) -> None:
        key = next(self._desk.keys)
        task = RunSlice(
            key,
            row.priority,
            row.id,
            claimed.number,
            claimed.first_record,
            claimed.done,
            claimed.crash_count,
            claimed.payload,
            claimed.slice_id,
            claimed.attempt,
            claimed.record_count,
        )
        # The payload lives in the task alone; what is settled later needs only the slice's name.
        held = HeldSlice(row.id, row.kind, claimed._replace(payload=b""))
        self._add(key, task, held, row.id, row.priority, (row.id.int, claimed.number), len(claimed.payload))

    def _add(self, key: int, task: Any, subject: Any, pace_key: Any, priority: int, order: Any, size: int = 0) -> None:
        self.pieces.append(Assignment(key, task, subject, pace_key, priority, order, size))


def _alike(candidate: JobRow) -> tuple[str, int, bool]:
    """Return what candidates have in common that can be taken together."""
    is_plain = not candidate.batch and candidate.expires_at is None and candidate.throttle_group is None
    return candidate.kind, candidate.priority, is_plain


def _assignment(key: int, held: HeldJob, berth: Berth) -> Assignment:
    row = held.row
    task = RunJob(key, row.priority, row)
    return Assignment(key, task, held, row.kind, row.priority, (row.id.int, 0), len(row.fields), berth=berth)
