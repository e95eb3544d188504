"""Jobs in SQLite."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from penstock import clock
from penstock.query import Query
from penstock.states import State
from penstock.store.protocol import Topic
from penstock.store.rows import JobRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import JOB_COLUMNS, condition, job_parameters, job_row, stored
from penstock.store.statements import load_statements

SQL: Final = load_statements("sqlite.sql", job_columns=", ".join(JOB_COLUMNS))
PAGE = 200
"""Jobs read at once by `find_jobs`."""
DROP_AT_ONCE = 200
"""Slices removed in one transaction: a few megabytes of pages, so that others get their turn."""

_ALL_COLUMNS = frozenset(JOB_COLUMNS)
_RUNNABLE_AGAIN = frozenset({"state", "sub_state", "run_at", "draft", "record_count", "uploader"})
_ENDING = frozenset({State.COMPLETED, State.FAILED, State.ABORTED})


class SqliteJobs:
    """Jobs, one row each."""

    connections: Connections

    def insert_jobs(self, rows: Iterable[JobRow]) -> None:
        """Store new jobs, all or none."""
        now = clock.now()
        with self.connections.transaction(Topic.WORK) as connection:
            connection.executemany(SQL["insert_job"], [job_parameters(row, now) for row in rows])

    def job(self, job_id: UUID) -> JobRow | None:
        """Return the job, drafts too, or None."""
        with self.connections.reading() as connection:
            columns = connection.execute(SQL["job"], (job_id.bytes,)).fetchone()
        return job_row(columns) if columns else None

    def update_job(self, job_id: UUID, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of a job, if what is expected holds."""
        assignments, values = _assignments(changes)
        expectations = dict(expect or {})
        where = " AND ".join(["id = ?", *(f"{_column(name)} IS ?" for name in expectations)])
        values += [job_id.bytes, *map(stored, expectations.values())]
        topics = {Topic.WORK} | ({Topic.ENDED} if changes.get("state") in _ENDING else set())
        with self.connections.transaction(*topics) as connection:
            cursor = connection.execute(f"UPDATE jobs SET {assignments} WHERE {where}", values)  # noqa: S608
            if cursor.rowcount and _RUNNABLE_AGAIN & changes.keys():
                now = stored(clock.now())
                connection.execute(SQL["refresh_runnable"], {"id": job_id.bytes, "now": now})
            return cursor.rowcount > 0

    def find_jobs(self, query: Query) -> Iterator[JobRow]:
        """Yield the jobs asked for in pages, so that no read is held open between them."""
        where, values = _where(query)
        order, beyond = ("DESC", "<") if query.newest_first else ("ASC", ">")
        left = query.limit
        after: bytes | None = None
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page_where, page_values = (
                (where, values) if after is None else (f"{where} AND id {beyond} ?", [*values, after])
            )
            with self.connections.reading() as connection:
                page = connection.execute(
                    f"SELECT {', '.join(JOB_COLUMNS)} FROM jobs WHERE {page_where} ORDER BY id {order} LIMIT ?",  # noqa: S608
                    [*page_values, size],
                ).fetchall()
            yield from map(job_row, page)
            if len(page) < size:
                return
            after = page[-1][0]
            left = None if left is None else left - size

    def drafts(self) -> list[JobRow]:
        """Return the drafts whose upload is, or was, going on; newest first."""
        with self.connections.reading() as connection:
            return [job_row(columns) for columns in connection.execute(SQL["drafts"]).fetchall()]

    def count_jobs(self, query: Query) -> int:
        """Return how many jobs the query asks for."""
        return sum(self.count_by_state(query).values())

    def count_by_state(self, query: Query) -> dict[State, int]:
        """Return the number of jobs of each state that has any."""
        where, values = _where(query)
        with self.connections.reading() as connection:
            counts = connection.execute(
                f"SELECT state, count(*) FROM jobs WHERE {where} GROUP BY state",  # noqa: S608
                values,
            ).fetchall()
        return {State(state): count for state, count in counts}

    def destroy_job(self, job_id: UUID) -> bool:
        """Hide the job, remove its slices in short transactions, then the job."""
        row = self.job(job_id)
        if row is None:
            return False
        if row.batch:
            self.update_job(job_id, {"draft": True, "uploader": None})
            self.drop_slices(job_id)
        with self.connections.transaction(Topic.ENDED) as connection:
            return connection.execute(SQL["delete_job"], (job_id.bytes,)).rowcount > 0

    def drop_slices(self, job_id: UUID) -> None:
        """Remove all slices, outputs and progress of a job, in short transactions."""
        batch = {"job_id": job_id.bytes, "limit": DROP_AT_ONCE}
        dropped = True
        while dropped:
            with self.connections.transaction() as connection:
                # Payloads first: they are found through their slices.
                names = ("drop_payloads", "drop_slices", "drop_outputs")
                dropped = sum(connection.execute(SQL[name], batch).rowcount for name in names) > 0
        with self.connections.transaction() as connection:
            connection.execute(SQL["drop_progress"], (job_id.bytes,))


def _column(name: str) -> str:
    if name not in _ALL_COLUMNS:
        raise ValueError(f"a job has no column {name!r}")
    return name


def _assignments(changes: Mapping[str, Any]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for name, value in changes.items():
        if name == "fields":
            part, more = _merged_fields(value)
            parts.append(part)
            values += more
        else:
            parts.append(f"{_column(name)} = ?")
            values.append(stored(value))
    return ", ".join(parts), values


def _merged_fields(changed: Mapping[str, Any]) -> tuple[str, list[Any]]:
    # json_set, not json_patch: that would merge into a dict field and take None for "remove".
    pairs = ", ?, json(?)" * len(changed)
    values = [part for name, value in changed.items() for part in (f'$."{name}"', json.dumps(value))]
    return f"fields = json_set(fields{pairs})" if changed else "fields = fields", values


def _where(query: Query) -> tuple[str, list[Any]]:
    parts = ["draft = 0"]
    values: list[Any] = []
    for name, allowed in (("kind", query.kinds), ("state", query.states)):
        if allowed:
            parts.append(f"{name} IN ({', '.join('?' * len(allowed))})")
            values += map(str, allowed)
    for filter_ in query.filters:
        part, more = condition(filter_)
        parts.append(part)
        values += more
    return " AND ".join(parts), values
