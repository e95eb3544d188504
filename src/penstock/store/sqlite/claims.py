"""Claims and settlements in SQLite: what the dispatcher's one thread does, many at a time."""

import heapq
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from penstock.clock import from_micros, to_micros
from penstock.states import State, SubState
from penstock.store.protocol import Topic
from penstock.store.rows import ClaimedSlice, JobRow, JobSettlement, SliceSettlement
from penstock.store.sqlite.connection import Connections, placeholders
from penstock.store.sqlite.convert import JOB_COLUMNS, job_row
from penstock.store.sqlite.jobs import SQL, SqliteJobs


class SqliteClaims:
    """What a dispatcher does."""

    connections: Connections

    def release_due_jobs(self, now: datetime) -> None:
        """Make queued jobs claimable whose `run_at` has come."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["release_due_jobs"], (to_micros(now),))

    def next_due(self) -> datetime | None:
        """Return the earliest `run_at` that is still to come."""
        with self.connections.reading() as connection:
            (micros,) = connection.execute(SQL["next_due"]).fetchone()
        return None if micros is None else from_micros(micros)

    def candidates(self, kinds: Collection[str], *, limit: int, only: UUID | None = None) -> list[JobRow]:
        """Walk the claim's index of each kind and merge them, reading no more rows than are returned."""
        with self.connections.reading() as connection:
            if only is not None:
                found = connection.execute(SQL["candidate"], (only.bytes,)).fetchall()
                return [job_row(row) for row in found if row[_KIND] in kinds]
            walks = [connection.execute(SQL["candidates_of_kind"], (kind,)) for kind in kinds]
            merged = walks[0] if len(walks) == 1 else heapq.merge(*walks, key=_urgency)
            rows = list(islice(merged, limit))
            for walk in walks:
                walk.close()
        return list(map(job_row, rows))

    def claim_jobs(self, rows: Sequence[JobRow], *, server: str, now: datetime) -> list[JobRow]:
        """Move queued jobs to running, each at its next attempt."""
        moment = to_micros(now)
        parameters = [(moment, server, row.id.bytes, row.attempt) for row in rows]
        with self.connections.transaction() as connection:
            won = _each_or_those(connection, SQL["claim_job"], parameters)
        claimed = [row for row, its_won in zip(rows, won, strict=True) if its_won]
        for row in claimed:
            row.state, row.started_at, row.server = State.RUNNING, now, server
            row.attempt += 1
        return claimed

    def start_batch(self, job_id: UUID, *, sub_state: SubState, server: str, now: datetime) -> JobRow | None:
        """Move a queued batch job to running."""
        with self.connections.transaction(Topic.WORK) as connection:
            rows = connection.execute(
                SQL["start_batch"],
                {"id": job_id.bytes, "sub_state": sub_state, "server": server, "now": to_micros(now)},
            ).fetchall()
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

    def settle_jobs(self, settlements: Sequence[JobSettlement]) -> list[JobSettlement]:
        """Store how jobs ended; return those refused."""
        gone = [settlement for settlement in settlements if settlement.changes is None]
        kept = [settlement for settlement in settlements if settlement.changes is not None]
        with self.connections.transaction(Topic.ENDED) as connection:
            keys = [(settlement.id.bytes, settlement.attempt) for settlement in gone]
            deleted = _each_or_those(connection, SQL["delete_settled_job"], keys)
            refused = [settlement for settlement, done in zip(gone, deleted, strict=True) if not done]
            return refused + [settlement for settlement in kept if not self._settle_job(settlement)]

    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store outputs and remove or fail the slices, together; return those refused."""
        refused = []
        processed: Counter[bytes] = Counter()
        with self.connections.transaction() as connection:
            for settled in settlements:
                if not _settle_slice(connection, settled):
                    refused.append(settled)
                    continue
                processed[settled.job_id.bytes] += settled.done - settled.start
                key = (settled.job_id.bytes, settled.number, settled.start)
                connection.executemany(
                    SQL["insert_output"],
                    [(key[0], out.category, key[1], key[2], out.record_count, out.payload) for out in settled.outputs],
                )
            connection.executemany(
                SQL["add_progress"], [(job_id, server, count) for job_id, count in processed.items()]
            )
        return refused

    def hand_back_job(self, job_id: UUID, attempt: int, *, crashed: bool) -> int | None:
        """Queue a job again that this attempt holds."""
        values = {"id": job_id.bytes, "attempt": attempt, "crashes": int(crashed)}
        with self.connections.transaction(Topic.WORK) as connection:
            changed = connection.execute(SQL["hand_back_job"], values).rowcount
            changed += connection.execute(SQL["hand_back_batch_end"], values).rowcount
            if not changed:
                return None
            (crashes,) = connection.execute("SELECT crash_count FROM jobs WHERE id = ?", (job_id.bytes,)).fetchone()
            return int(crashes)

    def hand_back_slice(self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool) -> int | None:
        """Queue a slice again that this attempt holds."""
        with self.connections.transaction(Topic.WORK) as connection:
            rows = connection.execute(
                SQL["hand_back_slice"], {**_slice_key(job_id, claimed), "crashes": int(crashed)}
            ).fetchall()
            if rows:
                connection.execute(SQL["refresh_runnable"], {"id": job_id.bytes, "now": 0})
            return int(rows[0][0]) if rows else None

    def release_server(self, server: str) -> int:
        """Queue everything again that a dead server held, and remove it."""
        with self.connections.transaction(Topic.WORK) as connection:
            held = connection.execute(SQL["jobs_held_by"], (server,)).fetchall()
            for job_id, attempt in held:
                values = {"id": job_id, "attempt": attempt, "crashes": 0}
                connection.execute(SQL["hand_back_job"], values)
                connection.execute(SQL["hand_back_batch_end"], values)
            slices = connection.execute(SQL["release_slices_of"], (server,)).fetchall()
            for job_id in {row[0] for row in slices}:
                connection.execute(SQL["refresh_runnable"], {"id": job_id, "now": 0})
            connection.execute(SQL["remove_server"], (server,))
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


def _each_or_those(
    connection: sqlite3.Connection, statement: str, parameters: Sequence[tuple[Any, ...]]
) -> Sequence[bool]:
    """Run a statement that changes one row or none for each of the parameters; tell which changed one.

    All at once first, which costs a third; only when that changed fewer rows is it done again one by one.
    """
    connection.execute("SAVEPOINT each")
    changed = connection.executemany(statement, parameters).rowcount if parameters else 0
    if changed == len(parameters):
        connection.execute("RELEASE each")
        return [True] * len(parameters)
    connection.execute("ROLLBACK TO each")
    connection.execute("RELEASE each")
    return [connection.execute(statement, values).rowcount > 0 for values in parameters]


def _settle_slice(connection: sqlite3.Connection, settled: SliceSettlement) -> bool:
    if settled.exception is not None:
        values = {**_slice_key(settled.job_id, settled), "done": settled.done, "exception": settled.exception}
        return connection.execute(SQL["fail_slice"], values).rowcount > 0
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


def _urgency(columns: tuple[Any, ...]) -> tuple[int, bytes]:
    return columns[_PRIORITY], columns[0]
