"""Slices in SQLite."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.clock import to_micros
from penstock.errors import JobNotFound
from penstock.states import SliceState
from penstock.store.protocol import Topic
from penstock.store.rows import Accounts, BatchStanding, NewOutput, NewSlice, OutputRow, Progress, SliceRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import SQL

OUTPUTS_AT_ONCE = 64
OUTPUT_BYTES_AT_ONCE = 4 << 20
SLICES_AT_ONCE = 500
FOREVER = 1 << 62


class SqliteSlices:
    """The slices of batch jobs."""

    connections: Connections

    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are."""
        with self.connections.transaction(Topic.WORK) as connection:
            counted = connection.execute(SQL["count_slices"], {"job_id": job_id.bytes, "added": len(slices)}).fetchall()
            if not counted:
                raise JobNotFound(f"job {job_id} was destroyed while records were uploaded to it")
            ((count,),) = counted
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

    def failed_slices(self, job_id: UUID, *, after: int = 0) -> Iterator[SliceRow]:
        """Yield the failed slices in the order of their numbers."""
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

    def retry_slices(self, job_id: UUID, *, only: Sequence[int] | None = None) -> int:
        """Queue the failed slices again."""
        with self.connections.transaction(Topic.WORK) as connection:
            if only is not None:
                places = [(job_id.bytes, slice_id) for slice_id in only]
                return connection.executemany(SQL["retry_some_slices"], places).rowcount
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
            values = {
                "job_id": job_id.bytes,
                "category": category,
                "number": after[0],
                "part": after[1],
                "before": end,
                "limit": OUTPUTS_AT_ONCE,
            }
            with self.connections.reading() as connection:
                cursor = connection.execute(SQL["outputs"], values)
                page = _up_to(cursor, OUTPUT_BYTES_AT_ONCE)
                cursor.close()
            if not page:
                return
            yield from page
            after = (page[-1].number, page[-1].part)

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records are, in one transaction."""
        key = (job_id.bytes,)
        with self.connections.transaction() as connection:
            states = dict(connection.execute(SQL["records_by_state"], key).fetchall())
            outputs = dict(connection.execute(SQL["records_by_output"], key).fetchall())
            processed, rejected = connection.execute(SQL["records_processed"], key).fetchone()
            (missing,) = connection.execute(SQL["missing_payloads"], key).fetchone()
            row = connection.execute("SELECT record_count FROM jobs WHERE id = ?", key).fetchone()
        return Accounts(
            uploaded=(row and row[0]) or 0,
            queued=states.get(SliceState.QUEUED, 0),
            running=states.get(SliceState.RUNNING, 0),
            failed=states.get(SliceState.FAILED, 0),
            processed=processed,
            rejected=rejected,
            outputs=outputs,
            missing_payloads=missing,
        )

    def progress(self, job_id: UUID) -> Progress:
        """Return how far a job is, without reading its slices."""
        with self.connections.reading() as connection:
            processed, rejected = connection.execute(SQL["records_processed"], (job_id.bytes,)).fetchone()
            (failed,) = connection.execute(SQL["failed_count"], (job_id.bytes,)).fetchone()
        return Progress(processed, failed, rejected)

    def statistics(self, job_id: UUID) -> dict[str, int]:
        """Add up what the code of a job counted."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["statistics"], (job_id.bytes,)).fetchall()
        counted: Counter[str] = Counter()
        for (text,) in rows:
            counted.update(json.loads(text))
        return dict(counted)

    def failed_slice(self, job_id: UUID, record_number: int) -> SliceRow | None:
        """Return the failed slice that holds a record of the main input."""
        values = {"job_id": job_id.bytes, "record": record_number}
        with self.connections.reading() as connection:
            row = connection.execute(SQL["failed_slice_of"], values).fetchone()
        return None if row is None else SliceRow._make((*row[:3], SliceState(row[3]), *row[4:]))

    def failed_payload(self, row: SliceRow, job_id: UUID) -> bytes | None:
        """Return the payload of a failed slice."""
        with self.connections.reading() as connection:
            found = connection.execute(SQL["failed_payload"], _as_it_was(row, job_id)).fetchone()
        return None if found is None else bytes(found[0])

    def edit_failed_slice(self, row: SliceRow, job_id: UUID, payload: bytes) -> bool:
        """Put another payload in the place of a failed slice's."""
        with self.connections.transaction() as connection:
            values = {**_as_it_was(row, job_id), "payload": payload}
            return connection.execute(SQL["edit_failed_payload"], values).rowcount > 0

    def pass_failed_record(self, row: SliceRow, job_id: UUID, output: NewOutput | None, *, by: str) -> bool:
        """Pass the record at which a failed slice stopped."""
        with self.connections.transaction(Topic.WORK) as connection:
            if not connection.execute(SQL["pass_failed_record"], _as_it_was(row, job_id)).rowcount:
                return False
            if output is not None:
                place = output.place or (row.number, row.done)
                told = (job_id.bytes, output.category, *place, output.record_count, output.payload)
                connection.execute(SQL["insert_output"], told)
            connection.execute(SQL["add_progress"], (job_id.bytes, by, 1, 0 if output is None else 1))
            if connection.execute(SQL["drop_done_slice"], (row.slice_id,)).rowcount:
                connection.execute(SQL["delete_payload"], (row.slice_id,))
            connection.execute(SQL["refresh_runnable"], {"id": job_id.bytes, "now": to_micros(clock.now())})
            return True

    def take_back_rejects(self, job_id: UUID, category: str, places: Sequence[tuple[int, int]], *, by: str) -> int:
        """Remove rejected records, as if they had not been processed yet."""
        with self.connections.transaction() as connection:
            keys = [(job_id.bytes, category, number, part) for number, part in places]
            taken = connection.executemany(SQL["drop_output"], keys).rowcount if keys else 0
            connection.execute(SQL["add_progress"], (job_id.bytes, by, -taken, -taken))
            return taken


def _up_to(rows: Iterable[tuple[Any, ...]], most: int) -> list[OutputRow]:
    """Return the first rows, up to so many bytes of payload, but one at least."""
    taken = []
    size = 0
    for row in map(OutputRow._make, rows):
        taken.append(row)
        size += len(row.payload)
        if size >= most:
            break
    return taken


def _as_it_was(row: SliceRow, job_id: UUID) -> dict[str, object]:
    return {
        "slice_id": row.slice_id,
        "job_id": job_id.bytes,
        "number": row.number,
        "attempt": row.attempt,
        "done": row.done,
    }
