"""Claims and settlements in SQLite: what the dispatcher's one thread does, many at a time."""

import heapq
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.clock import from_micros, to_micros
from penstock.query import Filter
from penstock.states import SliceState, State, SubState
from penstock.store.protocol import Topic
from penstock.store.rows import ClaimedSlice, JobRow, JobSettlement, SliceSettlement
from penstock.store.sqlite.connection import Connections, placeholders
from penstock.store.sqlite.convert import JOB_COLUMNS, conditions_of, job_row
from penstock.store.sqlite.jobs import SQL, SqliteJobs
from penstock.store.sqlite.many import change_each


class SqliteClaims:
    """What a dispatcher does."""

    connections: Connections

    def release_due_jobs(self, now: datetime) -> None:
        """Make jobs claimable whose `run_at` has come, or that were held until now."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["release_due_jobs"], (to_micros(now),))
            connection.execute(SQL["release_held_jobs"], {"now": to_micros(now)})

    def next_due(self) -> datetime | None:
        """Return the earliest moment at which a job becomes claimable."""
        with self.connections.reading() as connection:
            found = [connection.execute(SQL[name]).fetchone()[0] for name in ("next_due", "next_held")]
        return min((from_micros(micros) for micros in found if micros is not None), default=None)

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
        """Walk the claim's index of each kind and group and merge them, reading no more rows than are returned."""
        conditions, values = conditions_of(where)
        with self.connections.reading() as connection:
            if only is not None:
                found = connection.execute(SQL["candidate"], (only.bytes,)).fetchall()
                return [job_row(row) for row in found if row[_KIND] in kinds]
            of_kind, of_group, of_running = (
                SQL[name].replace("{where}", conditions)
                for name in ("candidates_of_kind", "candidates_of_group", "batches_under_way")
            )
            walks = [connection.execute(of_kind, (kind, *values)) for kind in kinds]
            walks += [connection.execute(of_group, (*pair, *values)) for pair in groups]
            running = [row for kind in under_way for row in connection.execute(of_running, (kind, *values)).fetchall()]
            merged = walks[0] if len(walks) == 1 else heapq.merge(*walks, key=_urgency)
            if running:
                # They may be found in two ways, and are told once: equal ones come behind each other.
                both = heapq.merge(merged, sorted(running, key=_urgency), key=_urgency)
                merged = (next(same) for _, same in groupby(both, key=_ID))
            rows = list(islice(merged, limit))
            for walk in walks:
                walk.close()
        return list(map(job_row, rows))

    def waiting_groups(self, kinds: Collection[str]) -> list[tuple[str, str]]:
        """Seek from group to group in the claim's index."""
        found = []
        with self.connections.reading() as connection:
            for kind in kinds:
                group = ""
                while row := connection.execute(SQL["next_group"], (kind, group)).fetchone():
                    (group,) = row
                    found.append((kind, group))
        return found

    def limits(self) -> dict[str, int]:
        """Return how many jobs run under each limit that any runs under."""
        with self.connections.reading() as connection:
            return dict(connection.execute(SQL["limits"]).fetchall())

    def any_running(self, kinds: Collection[str]) -> str | None:
        """Return the first of these kinds of which a job runs."""
        with self.connections.reading() as connection:
            for kind in kinds:
                for name in ("running_batch_of_kind", "running_job_of_kind"):
                    if connection.execute(SQL[name], (kind,)).fetchone():
                        return kind
        return None

    def hold_job(self, job_id: UUID, *, until: datetime, reason: str, now: datetime) -> bool:
        """Keep a job from being claimed for a while."""
        values = {"id": job_id.bytes, "until": to_micros(until), "reason": reason, "now": to_micros(now)}
        with self.connections.transaction() as connection:
            return connection.execute(SQL["hold_job"], values).rowcount > 0

    def claim_jobs(self, rows: Sequence[JobRow], *, server: str, now: datetime) -> list[JobRow]:
        """Move queued jobs to running, each at its next attempt."""
        moment = to_micros(now)
        parameters = [(moment, server, row.limit_name, row.id.bytes, row.attempt) for row in rows]
        with self.connections.transaction() as connection:
            won = change_each(connection, SQL["claim_job"], SQL["claim_many"], parameters, id_at=3)
        claimed = [row for row, its_won in zip(rows, won, strict=True) if its_won]
        for row in claimed:
            row.state, row.started_at, row.server = State.RUNNING, now, server
            row.attempt += 1
        return claimed

    def start_batch(
        self, job_id: UUID, *, sub_state: SubState, server: str, now: datetime, limit_name: str | None = None
    ) -> JobRow | None:
        """Move a queued batch job to running."""
        values = {
            "id": job_id.bytes,
            "sub_state": sub_state,
            "server": server,
            "now": to_micros(now),
            "limit_name": limit_name,
        }
        with self.connections.transaction(Topic.WORK) as connection:
            rows = connection.execute(SQL["start_batch"], values).fetchall()
        return job_row(rows[0]) if rows else None

    def claim_slices(self, job_id: UUID, *, server: str, limit: int, max_bytes: int) -> list[ClaimedSlice]:
        """Take queued slices in the order of their numbers."""
        with self.connections.transaction() as connection:
            rows = connection.execute(SQL["queued_slices"], (job_id.bytes, limit)).fetchall()
            if not rows:
                connection.execute(SQL["exhaust_job"], (job_id.bytes,))
            taken = _within(rows, max_bytes)
            connection.executemany(SQL["claim_slice"], [(server, row[0]) for row in taken])
            return [
                ClaimedSlice(
                    slice_id=row[0],
                    number=row[1],
                    attempt=row[5] + 1,
                    first_record=row[2],
                    record_count=row[3],
                    done=row[4],
                    crash_count=row[8],
                    payload=connection.execute(SQL["payload"], (row[0],)).fetchone()[0],
                )
                for row in taken
            ]

    def running_slices(self, job_id: UUID) -> int:
        """Count the slices of a job that somebody holds."""
        with self.connections.reading() as connection:
            return int(connection.execute(SQL["running_slices"], (job_id.bytes,)).fetchone()[0])

    def next_of_rate(self, name: str) -> datetime | None:
        """Return when the next record under a rate limit may begin."""
        with self.connections.reading() as connection:
            row = connection.execute(SQL["next_of_rate"], (name,)).fetchone()
        return from_micros(row[0]) if row else None

    def spend_rate(self, name: str, *, seconds: float, now: datetime) -> None:
        """Note that records have begun which take up so much of a rate limit."""
        with self.connections.transaction() as connection:
            row = connection.execute(SQL["next_of_rate"], (name,)).fetchone()
            begins = max(to_micros(now), row[0] if row else 0)
            connection.execute(SQL["set_rate"], (name, begins + round(seconds * 1e6)))

    def settle_jobs(self, settlements: Sequence[JobSettlement]) -> list[JobSettlement]:
        """Store how jobs ended; return those refused."""
        gone = [settlement for settlement in settlements if settlement.changes is None]
        kept = [settlement for settlement in settlements if settlement.changes is not None]
        with self.connections.transaction(Topic.ENDED) as connection:
            keys = [(settlement.id.bytes, settlement.attempt) for settlement in gone]
            deleted = change_each(connection, SQL["delete_settled_job"], SQL["delete_settled_many"], keys, id_at=0)
            refused = [settlement for settlement, done in zip(gone, deleted, strict=True) if not done]
            return refused + [settlement for settlement in kept if not self._settle_job(settlement)]

    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store outputs and remove or fail the slices, together; return those refused."""
        refused = []
        resting = set()
        processed: Counter[bytes] = Counter()
        rejected: Counter[bytes] = Counter()
        counted: dict[bytes, Counter[str]] = {}
        with self.connections.transaction() as connection:
            for settled in settlements:
                if not _settle_slice(connection, settled):
                    refused.append(settled)
                    continue
                if settled.rests:
                    resting.add(settled.job_id.bytes)
                job_id = settled.job_id.bytes
                processed[job_id] += settled.done - settled.start
                rejected[job_id] += settled.rejected
                begun = (settled.number, settled.start)
                connection.executemany(
                    SQL["insert_output"],
                    [
                        (job_id, out.category, *(out.place or begun), out.record_count, out.payload)
                        for out in settled.outputs
                    ],
                )
                if settled.statistics:
                    counted.setdefault(job_id, Counter()).update(settled.statistics)
            connection.executemany(
                SQL["add_progress"],
                [(job_id, server, count, rejected[job_id]) for job_id, count in processed.items()],
            )
            for job_id, added in counted.items():
                _add_statistics(connection, job_id, server, added)
            if resting:
                _refresh(connection, resting)
                self.connections.touch(Topic.WORK)
        return refused

    def hand_back_job(self, job_id: UUID, attempt: int, *, crashed: bool, server: str | None = None) -> int | None:
        """Queue a job again that this attempt holds."""
        values = {"id": job_id.bytes, "attempt": attempt, "crashes": int(crashed), "server": server}
        with self.connections.transaction(Topic.WORK) as connection:
            changed = connection.execute(SQL["hand_back_job"], values).rowcount
            changed += connection.execute(SQL["hand_back_batch_end"], values).rowcount
            if not changed:
                return None
            _refresh(connection, [job_id.bytes])
            (crashes,) = connection.execute("SELECT crash_count FROM jobs WHERE id = ?", (job_id.bytes,)).fetchone()
            return int(crashes)

    def let_go(self, job_id: UUID, attempt: int, *, server: str) -> None:
        """Note that the worker of an attempt that somebody else has ended is through with it."""
        values = {"id": job_id.bytes, "attempt": attempt, "server": server}
        with self.connections.transaction(Topic.WORK) as connection:
            if connection.execute(SQL["let_go_of_job"], values).rowcount:
                connection.execute(SQL["refresh_runnable"], {"id": job_id.bytes, "now": to_micros(clock.now())})

    def hand_back_slice(
        self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool, server: str | None = None
    ) -> int | None:
        """Queue a slice again that this attempt holds."""
        with self.connections.transaction(Topic.WORK) as connection:
            rows = connection.execute(
                SQL["hand_back_slice"], {**_slice_key(job_id, claimed), "crashes": int(crashed), "server": server}
            ).fetchall()
            if rows:
                _refresh(connection, [job_id.bytes])
            return int(rows[0][0]) if rows else None

    def release_server(self, server: str, *, heartbeat: int | None = None) -> int:
        """Queue everything again that a dead server held, and remove it."""
        with self.connections.transaction(Topic.WORK) as connection:
            removed = connection.execute(SQL["remove_server"], {"name": server, "heartbeat": heartbeat})
            if heartbeat is not None and not removed.rowcount:
                return 0
            held = connection.execute(SQL["jobs_held_by"], (server,)).fetchall()
            for job_id, attempt in held:
                values = {"id": job_id, "attempt": attempt, "crashes": 0, "server": server}
                connection.execute(SQL["hand_back_job"], values)
                connection.execute(SQL["hand_back_batch_end"], values)
            for (job_id,) in connection.execute(SQL["jobs_let_go_by"], (server,)).fetchall():
                connection.execute(SQL["refresh_runnable"], {"id": job_id, "now": to_micros(clock.now())})
            slices = connection.execute(SQL["release_slices_of"], (server,)).fetchall()
            _refresh(connection, {job_id for job_id, *_ in (*held, *slices)})
            connection.execute(SQL["release_hooks"], (server,))
            return len(held) + len(slices)

    def job_standings(self, job_ids: Sequence[UUID]) -> dict[UUID, tuple[State, SubState | None]]:
        """Return the state of each of these jobs that exists."""
        with self.connections.reading() as connection:
            rows = connection.execute(
                f"SELECT id, state, sub_state FROM jobs WHERE draft = 0 AND id IN ({placeholders(job_ids)})",  # noqa: S608
                [job_id.bytes for job_id in job_ids],
            ).fetchall()
        return {UUID(bytes=row[0]): (State(row[1]), SubState(row[2]) if row[2] else None) for row in rows}

    def _settle_job(self, settlement: JobSettlement) -> bool:
        changes = dict(settlement.changes or {})
        if settlement.fields:
            changes["fields"] = settlement.fields
        expect = {"attempt": settlement.attempt, "state": State.RUNNING}
        assert isinstance(self, SqliteJobs)
        return self.update_job(settlement.id, changes, expect=expect)


def _refresh(connection: sqlite3.Connection, job_ids: Iterable[bytes]) -> None:
    """Make jobs claimable again to which something came back, unless they are held, put off, or moved on."""
    now = to_micros(clock.now())
    connection.executemany(SQL["refresh_runnable"], [{"id": job_id, "now": now} for job_id in job_ids])


def _add_statistics(connection: sqlite3.Connection, job_id: bytes, server: str, added: Counter[str]) -> None:
    row = connection.execute(SQL["statistics_by"], (job_id, server)).fetchone()
    added.update(json.loads(row[0]) if row else {})
    connection.execute(SQL["set_statistics"], (job_id, server, json.dumps(added)))


def _settle_slice(connection: sqlite3.Connection, settled: SliceSettlement) -> bool:
    if settled.exception is not None or settled.rests:
        state = SliceState.QUEUED if settled.rests else SliceState.FAILED
        values = {
            **_slice_key(settled.job_id, settled),
            "state": state,
            "failures": int(not settled.rests),
            "done": settled.done,
            "exception": settled.exception,
        }
        return connection.execute(SQL["stop_slice"], values).rowcount > 0
    key = (settled.slice_id, settled.job_id.bytes, settled.number, settled.attempt)
    if not connection.execute(SQL["delete_settled_slice"], key).rowcount:
        return False
    connection.execute(SQL["delete_payload"], (settled.slice_id,))
    return True


def _slice_key(job_id: UUID, claimed: ClaimedSlice | SliceSettlement) -> dict[str, object]:
    return {
        "job_id": job_id.bytes,
        "slice_id": claimed.slice_id,
        "number": claimed.number,
        "attempt": claimed.attempt,
    }


def _within(rows: list[tuple[int, ...]], max_bytes: int) -> list[tuple[int, ...]]:
    taken: list[tuple[int, ...]] = []
    total = 0
    for row in rows:
        total += row[6]
        if taken and total > max_bytes:
            break
        taken.append(row)
    return taken


_KIND, _PRIORITY = JOB_COLUMNS.index("kind"), JOB_COLUMNS.index("priority")
_ID = itemgetter(JOB_COLUMNS.index("id"))


def _urgency(columns: tuple[Any, ...]) -> tuple[int, bytes]:
    return columns[_PRIORITY], columns[0]
