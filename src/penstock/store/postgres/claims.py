"""Claims in PostgreSQL: what dispatchers of many servers do at once, each in a transaction of its own.

A candidate that is queued is locked when it is read, and what others have locked is passed over: two servers that
claim at the same time get different jobs, and neither waits. Batch jobs under way are shared by their slices.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.query import Filter
from penstock.states import State, SubState
from penstock.store.postgres.conditions import Condition, conditions_of
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import Ids, job_row, stored
from penstock.store.postgres.floors import FRONT, Floors
from penstock.store.postgres.live import LiveLine
from penstock.store.postgres.place import Place
from penstock.store.postgres.session import Session
from penstock.store.protocol import Topic
from penstock.store.rows import ClaimedSlice, JobRow

_URGENCY = attrgetter("priority", "id")


class PostgresClaims:
    """What a dispatcher takes."""

    connections: Connections
    place: Place
    sql: dict[str, str]
    live: LiveLine
    floors: Floors
    slice_floors: Floors

    @again
    def release_due_jobs(self, now: datetime) -> None:
        """Make jobs claimable whose `run_at` has come, or that were held until now."""
        with self.connections.transaction() as session:
            session.execute(self.sql["release_due_jobs"], {"now": now})

    def next_due(self) -> datetime | None:
        """Return the earliest moment at which a job becomes claimable."""
        found = [row[0] for name in ("next_due", "next_held") for row in self.connections.fetch(self.sql[name])]
        return min(found, default=None)

    def candidates(
        self,
        kinds: Collection[str],
        *,
        limit: int,
        only: UUID | None = None,
        groups: Collection[tuple[str, str]] = (),
        under_way: Collection[str] = (),
        where: Sequence[Filter] = (),
    ) -> list[JobRow]:
        """Walk the claim's indexes, and lock as many jobs of each kind and group as are among the most urgent."""
        if only is not None:
            rows = map(job_row, self.connections.fetch(self.sql["candidate"], (only,)))
            return [row for row in rows if row.kind in kinds]
        condition = conditions_of(where, self.place.schema)
        pairs = [(stored(kind), stored(group)) for kind, group in groups]
        found = self._queued(list(kinds), pairs, limit, condition)
        found += self._under_way(list(kinds), pairs, list(under_way), limit, condition)
        # One may be found in two ways where it was moved in between.
        urgent = [next(same) for _, same in groupby(sorted(found, key=_URGENCY), key=attrgetter("id"))]
        return urgent[:limit]

    def waiting_groups(self, kinds: Collection[str]) -> list[tuple[str, str]]:
        """Seek from group to group in the claim's index."""
        if not kinds:
            return []
        return [(kind, name) for kind, name in self.connections.fetch(self.sql["next_group"], {"kinds": list(kinds)})]

    def limits(self) -> dict[str, int]:
        """Return how many jobs run under each limit; within a transaction no other claim changes that."""
        self._lock_limits()
        return dict(self.connections.fetch(self.sql["limits"]))

    def any_running(self, kinds: Collection[str]) -> str | None:
        """Return the first of these kinds of which a job runs."""
        self._lock_limits()
        for kind in kinds:
            for name in ("running_batch_of_kind", "running_job_of_kind"):
                if self.connections.fetch(self.sql[name], (kind,)):
                    return kind
        return None

    @again
    def hold_job(self, job_id: UUID, *, until: datetime, reason: str, now: datetime) -> bool:
        """Keep a job from being claimed for a while."""
        values = {"id": job_id, "until": until, "reason": stored(reason), "now": now}
        with self.connections.transaction() as session:
            return session.change(self.sql["hold_job"], values) > 0

    def claim_jobs(self, rows: Sequence[JobRow], *, server: str, now: datetime) -> list[JobRow]:
        """Move queued jobs to running, each at its next attempt."""
        won = self._claim(rows, server, now) if rows else None
        claimed = rows if won is None else [row for row in rows if row.id in won]
        for row in claimed:
            row.state, row.started_at, row.server = State.RUNNING, now, server
            row.attempt += 1
        self.floors.claimed += len(claimed)
        return list(claimed)

    @again
    def start_batch(
        self, job_id: UUID, *, sub_state: SubState, server: str, now: datetime, limit_name: str | None = None
    ) -> JobRow | None:
        """Move a queued batch job to running."""
        values = {
            "id": job_id,
            "sub_state": stored(sub_state),
            "before": sub_state is SubState.BEFORE,
            "server": server,
            "now": now,
            "limit_name": stored(limit_name),
        }
        with self.connections.transaction(Topic.WORK) as session:
            rows = session.fetch(self.sql["start_batch"], values)
        return job_row(rows[0]) if rows else None

    @again
    def claim_slices(self, job_id: UUID, *, server: str, limit: int, max_bytes: int) -> list[ClaimedSlice]:
        """Take queued slices in the order of their numbers."""
        values = {"job_id": job_id, "server": server, "limit": limit, "max_bytes": max_bytes}
        with self.connections.transaction() as session:
            taken = self._take_slices(job_id, values, session)
            if not taken and limit > 0:
                if session.fetch(self.sql["any_queued"], (job_id,))[0][0]:
                    self.live.look_again()
                else:
                    session.execute(self.sql["lock_job"], (job_id,))
                    session.execute(self.sql["exhaust_job"], {"job_id": job_id})
        return [
            ClaimedSlice(
                slice_id=slice_id,
                number=number,
                attempt=attempt,
                first_record=first_record,
                record_count=record_count,
                done=done,
                crash_count=crash_count,
                payload=payload,
            )
            for slice_id, number, attempt, first_record, record_count, done, crash_count, payload in taken
        ]

    def _take_slices(self, job_id: UUID, values: dict[str, Any], session: Session) -> list[Any]:
        """Claim slices from where the claim before began, or of all; what is found by neither is not there."""
        walk = (str(job_id),)
        whole, began = self.slice_floors.begin(), clock.monotonic()
        first, _ = self.slice_floors.of(walk)
        taken = session.fetch(self.sql["claim_slices"], {**values, "first": first})
        if not taken and first:
            taken = session.fetch(self.sql["claim_slices"], {**values, "first": 0})
        if whole:
            self.slice_floors.end_whole(clock.monotonic() - began)
        if taken:
            self.slice_floors.note(walk, (taken[0][1], FRONT[1]))
        self.slice_floors.claimed += len(taken)
        return taken

    @again
    def _claim(self, rows: Sequence[JobRow], server: str, now: datetime) -> set[UUID] | None:
        """Return the ids of the jobs that were won; None for all of them."""
        values = {"ids": Ids([row.id for row in rows]), "server": server, "now": now}
        alike = {(row.attempt, row.limit_name) for row in rows}
        with self.connections.transaction() as session:
            if len(alike) == 1 and session.has_locked(rows):
                # By their ids alone, which costs half of looking again at each and joining what is known of it.
                ((attempt, limit_name),) = alike
                values |= {"attempt": attempt, "limit_name": stored(limit_name)}
                ((won,),) = session.fetch(self.sql["claim_alike"], values)
                return None if won is None else set(won)
            values["attempts"] = [row.attempt for row in rows]
            values["limits"] = [stored(row.limit_name) for row in rows]
            return {job_id for (job_id,) in session.fetch(self.sql["claim_jobs"], values)}

    def _lock_limits(self) -> None:
        if self.connections.joined is not None:
            self.connections.fetch(self.sql["lock_limits"], (f"{self.place.schema} limits",))

    def _queued(
        self, kinds: Sequence[str], groups: Sequence[tuple[str, str]], limit: int, condition: Condition
    ) -> list[JobRow]:
        """Return the most urgent queued jobs, locked where a transaction is open."""
        if not (kinds or groups) or limit <= 0:
            return []
        where, values = condition
        walks: list[tuple[str, ...]] = [*((kind,) for kind in kinds), *groups]
        is_single = len(walks) == 1
        found = self._single(walks[0], limit, condition) if is_single else []
        if is_single and len(found) >= limit:
            return found
        shares = self._shares(walks, len(kinds), limit, condition)
        for number, share, *first in () if is_single else shares:
            walk = walks[number - 1]
            found += self._walk(_walk_name(walk), [*walk, *first, *values, share], where)
        if len(found) < sum(share for _, share, *_ in shares):
            # Others hold them at this moment, and may not take them all.
            self.live.look_again()
        return found

    def _single(self, walk: tuple[str, ...], limit: int, condition: Condition) -> list[JobRow]:
        """Return what the only walk finds: there is nothing to be shared out between several."""
        where, values = condition
        whole, began = self.floors.begin(), clock.monotonic()
        key = (*walk, f"{where} {values}")
        rows = self._walk(_walk_name(walk), [*walk, *self.floors.of(key), *values, limit], where)
        if whole:
            self.floors.end_whole(clock.monotonic() - began)
        if rows:
            self.floors.note(key, (rows[0].priority, rows[0].id))
        return rows

    def _shares(self, walks: Sequence[tuple[str, ...]], kinds: int, limit: int, condition: Condition) -> list[Any]:
        """Return for each walk that has some of the most urgent jobs its number from 1, how many, and the first."""
        where, values = condition
        whole, began = self.floors.begin(), clock.monotonic()
        asked = f"{where} {values}"
        ways = []
        for part, width in ((walks[:kinds], 1), (walks[kinds:], 2)):
            firsts = [self.floors.of((*walk, asked)) for walk in part]
            names = [[walk[place] for walk in part] for place in range(width)]
            ways.append([*names, [priority for priority, _ in firsts], [job_id for _, job_id in firsts]])
        shares = self.connections.fetch(
            self.sql["shares"].replace("{where}", where),
            [*ways[0], *values, limit, kinds, *ways[1], *values, limit, limit],
        )
        if whole:
            self.floors.end_whole(clock.monotonic() - began)
        for number, _, priority, job_id in shares:
            self.floors.note((*walks[number - 1], asked), (priority, job_id))
        return shares

    def _walk(self, name: str, values: Sequence[Any], where: str) -> list[JobRow]:
        statement = self.sql[name].replace("{where}", where)
        session = self.connections.joined
        if session is None:
            return list(map(job_row, self.connections.fetch(statement, values)))
        rows = list(map(job_row, self.connections.fetch(f"{statement} {self.sql['lock_candidates']}", values)))
        session.note_locked(rows)
        return rows

    def _under_way(
        self,
        kinds: Sequence[str],
        groups: Sequence[tuple[str, str]],
        under_way: Sequence[str],
        limit: int,
        condition: Condition,
    ) -> list[JobRow]:
        where, values = condition
        names, group_names = [kind for kind, _ in groups], [group for _, group in groups]
        rows = self.connections.fetch(
            self.sql["batches_under_way"].replace("{where}", where),
            [kinds, under_way, names, group_names, *values, max(limit, 0)],
        )
        return list(map(job_row, rows))


def _walk_name(walk: tuple[str, ...]) -> str:
    """Return the statement for the jobs of a kind, or of a kind and a throttle group."""
    return "candidates_of_kind" if len(walk) == 1 else "candidates_of_group"
