"""Jobs in SQLite."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from penstock import clock
from penstock.query import COLUMNS, Query
from penstock.states import UNIQUE_STATES, State
from penstock.store.protocol import Topic
from penstock.store.rows import JobRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import (
    DECIMAL_COLLATION,
    JOB_COLUMNS,
    condition,
    field_of,
    job_parameters,
    job_row,
    stored,
)
from penstock.store.sqlite.many import MANY_IDS
from penstock.store.statements import load_statements

SQL: Final = load_statements(
    "sqlite",
    job_columns=", ".join(JOB_COLUMNS),
    many_ids=MANY_IDS,
)
PAGE = 200
"""Jobs read at once by `find_jobs`."""
DROP_AT_ONCE = 200
"""Slices removed in one transaction: a few megabytes of pages, so that others get their turn."""

_ALL_COLUMNS = frozenset(JOB_COLUMNS)
_RUNNABLE_AGAIN = frozenset({"state", "sub_state", "run_at", "held_until", "draft", "record_count", "uploader"})
_HOLDS_KEY = frozenset(UNIQUE_STATES)
_HOLDING = f"({' OR '.join(f'state = {str(state)!r}' for state in UNIQUE_STATES)})"
"""To the letter the condition of the index of unique keys, or SQLite does not see that it may use that."""
_ENDING = frozenset({State.COMPLETED, State.FAILED, State.ABORTED})


@lru_cache(maxsize=256)
def _insertion(names: tuple[str, ...]) -> str:
    """Return the statement that stores a new job which has something in these columns."""
    return SQL["insert_job"].format(names=", ".join(names), places=", ".join("?" * len(names)))


class SqliteJobs:
    """Jobs, one row each."""

    connections: Connections

    def insert_jobs(self, rows: Iterable[JobRow]) -> None:
        """Store new jobs, all or none."""
        now = clock.now()
        alike: dict[tuple[str, ...], list[list[Any]]] = {}
        for row in rows:
            names, values = job_parameters(row, now)
            alike.setdefault(names, []).append(values)
        with self.connections.transaction(Topic.WORK) as connection:
            for names, many in alike.items():
                connection.executemany(_insertion(names), many)

    def insert_unless_taken(self, row: JobRow) -> bool:
        """Store a new job unless its id or its unique key is taken."""
        names, values = job_parameters(row, clock.now())
        with self.connections.transaction(Topic.WORK) as connection:
            return connection.execute(f"{_insertion(names)} ON CONFLICT DO NOTHING", values).rowcount > 0

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

    def index_fields(self, names: Sequence[str]) -> None:
        """Keep an index of these fields of the document."""
        for name in names:
            with self.connections.transaction() as connection:
                connection.execute(
                    f'CREATE INDEX IF NOT EXISTS "{index_of(name)}" ON jobs ({field_of(name)}, id)'
                    f" WHERE {field_of(name)} IS NOT NULL"
                )

    def find_jobs(self, query: Query) -> Iterator[JobRow]:
        """Yield the jobs asked for in pages, so that no read is held open between them."""
        if query.order:
            yield from self._find_in_order(query)
            return
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

    def _find_in_order(self, query: Query) -> Iterator[JobRow]:
        """Yield jobs in an order of their fields: the ids are read at once, the jobs in pages."""
        where, values = _where(query)
        terms = [_order_term(term, query.decimals) for term in query.order]
        order = ", ".join([*terms, f"id {'DESC' if query.newest_first else 'ASC'}"])
        limit = -1 if query.limit is None else query.limit
        with self.connections.reading() as connection:
            ids = connection.execute(
                f"SELECT id FROM jobs WHERE {where} ORDER BY {order} LIMIT ?",  # noqa: S608
                [*values, limit],
            ).fetchall()
        for (key,) in ids:
            row = self.job(UUID(bytes=key))
            if row is not None and not row.draft:
                yield row

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
            connection.execute(SQL["drop_log_of_job"], (job_id.bytes,))
            return connection.execute(SQL["delete_job"], (job_id.bytes,)).rowcount > 0

    def remove_jobs(self, job_ids: Sequence[UUID], state: State) -> int:
        """Remove those of these regular jobs that are in a state still."""
        with self.connections.transaction() as connection:
            keys = [(job_id.bytes, state) for job_id in job_ids]
            return connection.executemany(SQL["remove_job"], keys).rowcount if keys else 0

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


def index_of(name: str) -> str:
    """Return the name of the index of a field. To SQLite names that differ in case are the same."""
    return f"jobs_field_{name}" if name == name.lower() else f"jobs_field_{name}_{name.encode().hex()}"


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


def _order_term(term: str, decimals: Collection[str]) -> str:
    name = term.removeprefix("-")
    expression = name if name in COLUMNS else field_of(name)
    if term in decimals:
        expression += f" COLLATE {DECIMAL_COLLATION}"
    return f"{expression} DESC" if term.startswith("-") else expression


def _where(query: Query) -> tuple[str, list[Any]]:
    parts = ["draft = 0"]
    values: list[Any] = []
    states = query.states
    if frozenset(states) == _HOLDS_KEY:
        parts.append(_HOLDING)
        states = ()
    for name, allowed in (("kind", query.kinds), ("state", states)):
        if allowed:
            parts.append(f"{name} IN ({', '.join('?' * len(allowed))})")
            values += map(str, allowed)
    for filter_ in query.filters:
        part, more = condition(filter_)
        parts.append(part)
        values += more
    if query.due_by is not None:
        parts.append("(run_at IS NULL OR run_at <= ?)")
        values.append(stored(query.due_by))
    return " AND ".join(parts), values
