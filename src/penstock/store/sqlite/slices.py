"""Slices in SQLite."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from penstock.states import SliceState
from penstock.store.protocol import Topic
from penstock.store.rows import Accounts, BatchStanding, NewSlice, OutputRow, Progress, SliceRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import SQL

OUTPUTS_AT_ONCE = 64
SLICES_AT_ONCE = 500
FOREVER = 1 << 62


class SqliteSlices:
    """The slices of batch jobs."""

    connections: Connections

    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are."""
        with self.connections.transaction(Topic.WORK) as connection:
            (count,) = connection.execute(
                SQL["count_slices"], {"job_id": job_id.bytes, "added": len(slices)}
            ).fetchall()[0]
            (last_id,) = connection.execute(SQL["last_slice_id"]).fetchone()
            first = count - len(slices) + 1
            connection.executemany(
                SQL["insert_slice"],
                [
                    (
                        last_id + 1 + n,
                        job_id.bytes,
                        category,
                        first + n,
                        new.first_record,
                        new.record_count,
                        len(new.payload),
                    )
                    for n, new in enumerate(slices)
                ],
            )
            connection.executemany(
                SQL["insert_payload"], [(last_id + 1 + n, new.payload) for n, new in enumerate(slices)]
            )
            return int(count)

    def drop_unfinished_upload(self, job_id: UUID) -> None:
        """Remove slices beyond the job's `record_count`."""
        with self.connections.transaction() as connection:
            ids = connection.execute(SQL["unfinished_slices"], {"job_id": job_id.bytes}).fetchall()
            connection.executemany(SQL["delete_payload"], ids)
            connection.executemany("DELETE FROM slices WHERE id = ?", ids)

    def failed_slices(self, job_id: UUID) -> Iterator[SliceRow]:
        """Yield the failed slices in the order of their numbers."""
        after = 0
        while True:
            with self.connections.reading() as connection:
                page = connection.execute(
                    SQL["failed_slices"], {"job_id": job_id.bytes, "after": after, "limit": SLICES_AT_ONCE}
                ).fetchall()
            for row in page:
                yield SliceRow._make((*row[:3], SliceState(row[3]), *row[4:]))
            if len(page) < SLICES_AT_ONCE:
                return
            after = page[-1][2]

    def slice_counts(self, job_id: UUID) -> dict[SliceState, int]:
        """Return the number of input slices of each state that has any."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["slice_counts"], (job_id.bytes,)).fetchall()
        return {SliceState(state): count for state, count in rows}

    def retry_slices(self, job_id: UUID) -> int:
        """Queue the failed slices again."""
        with self.connections.transaction(Topic.WORK) as connection:
            return connection.execute(SQL["retry_slices"], (job_id.bytes,)).rowcount

    def standing(self, job_id: UUID) -> BatchStanding:
        """Return what is left of a job's input."""
        with self.connections.reading() as connection:
            queued, running, failed = connection.execute(SQL["standing"], {"job_id": job_id.bytes}).fetchone()
        return BatchStanding(bool(queued), bool(running), failed)

    def first_unfinished(self, job_id: UUID) -> int | None:
        """Return the lowest number of an input slice that is not done."""
        with self.connections.reading() as connection:
            (number,) = connection.execute(SQL["first_unfinished"], (job_id.bytes,)).fetchone()
        return None if number is None else int(number)

    def outputs(
        self, job_id: UUID, category: str, *, after: tuple[int, int] = (0, 0), before: int | None = None
    ) -> Iterator[OutputRow]:
        """Yield output slices in input order, a page at a time."""
        end = FOREVER if before is None else before
        while True:
            with self.connections.reading() as connection:
                page = connection.execute(
                    SQL["outputs"],
                    {
                        "job_id": job_id.bytes,
                        "category": category,
                        "number": after[0],
                        "part": after[1],
                        "before": end,
                        "limit": OUTPUTS_AT_ONCE,
                    },
                ).fetchall()
            for row in page:
                yield OutputRow._make(row)
            if len(page) < OUTPUTS_AT_ONCE:
                return
            after = (page[-1][0], page[-1][1])

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records are, in one transaction."""
        key = (job_id.bytes,)
        with self.connections.transaction() as connection:
            states = dict(connection.execute(SQL["records_by_state"], key).fetchall())
            outputs = dict(connection.execute(SQL["records_by_output"], key).fetchall())
            (processed,) = connection.execute(SQL["records_processed"], key).fetchone()
            (missing,) = connection.execute(SQL["missing_payloads"], key).fetchone()
            row = connection.execute("SELECT record_count FROM jobs WHERE id = ?", key).fetchone()
        return Accounts(
            uploaded=(row and row[0]) or 0,
            queued=states.get(SliceState.QUEUED, 0),
            running=states.get(SliceState.RUNNING, 0),
            failed=states.get(SliceState.FAILED, 0),
            processed=processed,
            outputs=outputs,
            missing_payloads=missing,
        )

    def progress(self, job_id: UUID) -> Progress:
        """Return how far a job is, without reading its slices."""
        with self.connections.reading() as connection:
            (processed,) = connection.execute(SQL["records_processed"], (job_id.bytes,)).fetchone()
            (failed,) = connection.execute(SQL["failed_count"], (job_id.bytes,)).fetchone()
        return Progress(processed, failed)
