"""Jobs in PostgreSQL."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import msgspec

from penstock import clock
from penstock.query import Query
from penstock.states import State
from penstock.store.postgres.conditions import Field, order_of, where_of
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import COPIED_TYPES, JOB_COLUMNS, job_parameters, job_row, stored
from penstock.store.postgres.place import Place
from penstock.store.postgres.session import Session
from penstock.store.protocol import Topic
from penstock.store.rows import JobRow

COPIED = 20
"""From so many new jobs on they are copied rather than inserted."""
PAGE = 200
"""Jobs read at once by `find_jobs`."""
DROP_AT_ONCE = 500
"""Slices removed in one transaction, so that others get their turn."""

_ALL_COLUMNS = frozenset(JOB_COLUMNS)
_RUNNABLE_AGAIN = frozenset({"state", "sub_state", "run_at", "held_until", "draft", "record_count", "uploader"})
_ENDING = frozenset({State.COMPLETED, State.FAILED, State.ABORTED})
_MAY_BE_SECOND = frozenset({"state", "unique_key"})


class PostgresJobs:
    """Jobs, one row each."""

    connections: Connections
    place: Place
    sql: dict[str, str]

    def insert_jobs(self, rows: Iterable[JobRow]) -> None:
        """Store new jobs, all or none."""
        now = clock.now()
        parameters = [job_parameters(row, now) for row in rows]
        if len(parameters) == 1 and self.connections.joined is None:
            self._insert_at_once(parameters[0])
        else:
            self._insert(parameters)

    @again
    def _insert_at_once(self, parameters: Sequence[Any]) -> None:
        self.connections.commit_at_once(self.sql["insert_and_announce"], (*parameters, [str(Topic.WORK)]))

    @again
    def _insert(self, parameters: Sequence[Sequence[Any]]) -> None:
        nested = self.connections.joined is not None
        with self.connections.transaction(Topic.WORK) as session, session.savepoint() if nested else nullcontext():
            if len(parameters) < COPIED:
                session.execute_many(self.sql["insert_job"], parameters)
            else:
                session.copy(self.sql["copy_jobs"], parameters, COPIED_TYPES)

    @again
    def insert_unless_taken(self, row: JobRow) -> bool:
        """Store a new job unless its id or its unique key is taken."""
        parameters = job_parameters(row, clock.now())
        with self.connections.transaction(Topic.WORK) as session:
            return session.change(f"{self.sql['insert_job']} ON CONFLICT DO NOTHING", parameters) > 0

    def job(self, job_id: UUID) -> JobRow | None:
        """Return the job, drafts too, or None. Within a transaction nobody else changes it before the end."""
        name = "job" if self.connections.joined is None else "job_for_change"
        found = self.connections.fetch(self.sql[name], (job_id,))
        return job_row(found[0]) if found else None

    @again
    def update_job(self, job_id: UUID, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of a job, if what is expected holds."""
        topics = {Topic.WORK} | ({Topic.ENDED} if changes.get("state") in _ENDING else set())
        statement = self._update_of(changes, expect or {})
        values = [stored(value) for name, value in changes.items() if name != "fields"]
        values += map(stored, (expect or {}).values())
        nested = self.connections.joined is not None
        with self.connections.transaction(*topics) as session:
            if "fields" in changes:
                merged = self.merged_fields(session, {job_id: changes["fields"]})
                values = [merged.get(job_id, "{}"), *values]
            if nested and _may_be_second(changes):
                with session.savepoint():
                    changed = session.change(statement, [job_id, *values])
            else:
                changed = session.change(statement, [job_id, *values])
            if changed and _RUNNABLE_AGAIN & changes.keys():
                self.refresh_runnable(session, [job_id])
            return changed > 0

    def _update_of(self, changes: Mapping[str, Any], expect: Mapping[str, Any]) -> str:
        """Return the statement of an update. Its values: the id, the document, the other columns, what is expected.

        The row is locked first: what is expected is compared with what is there when others are through with it.
        """
        names = [_column(name) for name in changes if name != "fields"]
        assigned = [f"{name} = %s" for name in (["fields"] if "fields" in changes else []) + names]
        # Without a change it still tells whether what is expected holds.
        setting = ", ".join(assigned) or "attempt = jobs.attempt"
        expected = [f"now_there.{_column(name)} IS NOT DISTINCT FROM %s" for name in expect]
        where = " AND ".join(["jobs.id = now_there.id", *expected])
        return (
            "WITH now_there AS MATERIALIZED"  # noqa: S608
            f" (SELECT {', '.join(['id', *expect])} FROM {self.place.schema}.jobs WHERE id = %s FOR NO KEY UPDATE)"
            f" UPDATE {self.place.schema}.jobs SET {setting} FROM now_there WHERE {where}"
        )

    def merged_fields(self, session: Session, changed: Mapping[UUID, Mapping[str, Any]]) -> dict[UUID, str]:
        """Return the documents of jobs with some fields overwritten; nobody else changes them before the end.

        The others are copied to the letter: jsonb would lose their order, and refuses some text.
        """
        merged = {}
        for job_id, document in session.fetch(self.sql["fields_for_change"], (list(changed),)):
            if not changed[job_id]:
                merged[job_id] = document
                continue
            values = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
            for name, value in changed[job_id].items():
                values[name] = msgspec.Raw(json.dumps(value, separators=(",", ":")).encode())
            merged[job_id] = msgspec.json.encode(values).decode()
        return merged

    def refresh_runnable(self, session: Session, job_ids: Iterable[UUID]) -> None:
        """Make jobs claimable, or not, as they are now."""
        session.execute(self.sql["refresh_runnable"], {"ids": sorted(job_ids), "now": clock.now()})

    def index_fields(self, names: Sequence[str]) -> None:
        """Keep an index of these fields of the document."""
        for name in names:
            field, index = Field(name, self.place.schema), index_of(name)
            if self.connections.fetch(_INDEX, (self.place.schema, index)):
                continue
            with self.connections.transaction() as session:
                # Of two that make the same at the same time, "if not exists" lets one fail.
                session.execute(self.sql["take_turns"], (f"{self.place.schema} index_fields",))
                session.execute(
                    f'CREATE INDEX IF NOT EXISTS "{index}" ON {self.place.schema}.jobs'
                    f" (({field.rank}), ({field.short}), id) WHERE {field.rank} IS NOT NULL"
                )

    def find_jobs(self, query: Query) -> Iterator[JobRow]:
        """Yield the jobs asked for in pages, so that nothing is held open between them."""
        if query.order:
            yield from self._find_in_order(query)
            return
        where, values = where_of(query, self.place.schema)
        order, beyond = ("DESC", "<") if query.newest_first else ("ASC", ">")
        left = query.limit
        after: UUID | None = None
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page_where, page_values = (
                (where, values) if after is None else (f"{where} AND id {beyond} %s", [*values, after])
            )
            page = self.connections.fetch(
                f"SELECT {', '.join(JOB_COLUMNS)} FROM {self.place.schema}.jobs"  # noqa: S608
                f" WHERE {page_where} ORDER BY id {order} LIMIT %s",
                [*page_values, size],
            )
            yield from map(job_row, page)
            if len(page) < size:
                return
            after = page[-1][0]
            left = None if left is None else left - size

    def _find_in_order(self, query: Query) -> Iterator[JobRow]:
        """Yield jobs in an order of their fields: the ids are read at once, the jobs in pages."""
        where, values = where_of(query, self.place.schema)
        terms = [order_of(term, query.decimals, self.place.schema) for term in query.order]
        order = ", ".join([*terms, f"id {'DESC' if query.newest_first else 'ASC'}"])
        ids = self.connections.fetch(
            f"SELECT id FROM {self.place.schema}.jobs WHERE {where} ORDER BY {order} LIMIT %s",  # noqa: S608
            [*values, query.limit],
        )
        for (job_id,) in ids:
            found = self.connections.fetch(self.sql["job"], (job_id,))
            row = job_row(found[0]) if found else None
            if row is not None and not row.draft:
                yield row

    def drafts(self) -> list[JobRow]:
        """Return the drafts whose upload is, or was, going on; newest first."""
        return list(map(job_row, self.connections.fetch(self.sql["drafts"])))

    def count_jobs(self, query: Query) -> int:
        """Return how many jobs the query asks for."""
        return sum(self.count_by_state(query).values())

    def count_by_state(self, query: Query) -> dict[State, int]:
        """Return the number of jobs of each state that has any."""
        where, values = where_of(query, self.place.schema)
        counts = self.connections.fetch(
            f"SELECT state, count(*) FROM {self.place.schema}.jobs WHERE {where} GROUP BY state",  # noqa: S608
            values,
        )
        return {State(state): count for state, count in counts}

    def destroy_job(self, job_id: UUID) -> bool:
        """Hide the job, remove its slices in short transactions, then the job."""
        row = self.job(job_id)
        if row is None:
            return False
        if row.batch:
            self.update_job(job_id, {"draft": True, "uploader": None})
            self.drop_slices(job_id)
        return self._delete(job_id)

    @again
    def _delete(self, job_id: UUID) -> bool:
        with self.connections.transaction(Topic.ENDED) as session:
            session.execute(self.sql["drop_log_of_job"], (job_id,))
            return session.change(self.sql["delete_job"], (job_id,)) > 0

    @again
    def remove_jobs(self, job_ids: Sequence[UUID], state: State) -> int:
        """Remove those of these regular jobs that are in a state still."""
        with self.connections.transaction() as session:
            return session.change(self.sql["remove_jobs"], (list(job_ids), str(state)))

    def drop_slices(self, job_id: UUID) -> None:
        """Remove all slices, outputs and progress of a job, in short transactions."""
        batch = {"job_id": job_id, "limit": DROP_AT_ONCE}
        for name in ("drop_slices", "drop_outputs"):
            while self._drop(name, batch):
                pass
        with self.connections.transaction() as session:
            session.execute(self.sql["drop_progress"], (job_id,))

    @again
    def _drop(self, name: str, batch: Mapping[str, Any]) -> int:
        with self.connections.transaction() as session:
            return session.change(self.sql[name], batch)


_INDEX = "SELECT 1 FROM pg_indexes WHERE schemaname = %s AND indexname = %s"


def index_of(name: str) -> str:
    """Return the name of the index of a field. PostgreSQL cuts names of more than 63 bytes."""
    readable = f"jobs_field_{name}"
    if len(readable.encode()) <= 63:
        return readable
    import hashlib  # Loads a library of its own.

    return f"jobs_field_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _may_be_second(changes: Mapping[str, Any]) -> bool:
    """Tell whether a change may make a job the second of its unique key."""
    return bool(_MAY_BE_SECOND & changes.keys()) and not (
        changes.get("state") in _ENDING and "unique_key" not in changes
    )


def _column(name: str) -> str:
    if name not in _ALL_COLUMNS:
        raise ValueError(f"a job has no column {name!r}")
    return name
