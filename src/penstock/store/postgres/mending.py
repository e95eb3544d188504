"""Failed and rejected records, what the code of jobs counts, and rate limits, in PostgreSQL."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from penstock.states import SliceState
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import OUTPUT_TYPES
from penstock.store.postgres.jobs import PostgresJobs
from penstock.store.protocol import Topic
from penstock.store.rows import NewOutput, SliceRow


class PostgresMending:
    """See the module."""

    connections: Connections
    sql: dict[str, str]

    # Records -------------------------------------------------------------------------------------

    def failed_slice(self, job_id: UUID, record_number: int) -> SliceRow | None:
        """Return the failed slice that holds a record of the main input."""
        rows = self.connections.fetch(self.sql["failed_slice_of"], {"job_id": job_id, "record": record_number})
        return SliceRow._make((*rows[0][:3], SliceState(rows[0][3]), *rows[0][4:])) if rows else None

    def failed_payload(self, row: SliceRow, job_id: UUID) -> bytes | None:
        """Return the payload of a failed slice."""
        rows = self.connections.fetch(self.sql["failed_payload"], _as_it_was(row, job_id))
        return bytes(rows[0][0]) if rows else None

    @again
    def edit_failed_slice(self, row: SliceRow, job_id: UUID, payload: bytes) -> bool:
        """Put another payload in the place of a failed slice's."""
        with self.connections.transaction() as session:
            return session.change(self.sql["edit_failed_payload"], {**_as_it_was(row, job_id), "payload": payload}) > 0

    @again
    def pass_failed_record(self, row: SliceRow, job_id: UUID, output: NewOutput | None, *, by: str) -> bool:
        """Pass the record at which a failed slice stopped."""
        with self.connections.transaction(Topic.WORK) as session:
            if not session.change(self.sql["pass_failed_record"], _as_it_was(row, job_id)):
                return False
            if output is not None:
                number, part = output.place or (row.number, row.done)
                columns = job_id, output.category, number, part, output.record_count, output.payload
                session.copy(self.sql["copy_outputs"], [columns], OUTPUT_TYPES)
            session.execute(self.sql["add_progress"], (by, [job_id], [1], [0 if output is None else 1]))
            session.execute(self.sql["drop_done_slice"], (row.slice_id,))
            assert isinstance(self, PostgresJobs)
            self.refresh_runnable(session, [job_id])
            return True

    @again
    def take_back_rejects(self, job_id: UUID, category: str, places: Sequence[tuple[int, int]], *, by: str) -> int:
        """Remove rejected records, as if they had not been processed yet."""
        numbers, parts = [number for number, _ in places], [part for _, part in places]
        with self.connections.transaction() as session:
            taken = session.change(self.sql["drop_outputs_at"], (numbers, parts, job_id, category))
            session.execute(self.sql["add_progress"], (by, [job_id], [-taken], [-taken]))
            return taken

    # Figures and limits --------------------------------------------------------------------------

    def statistics(self, job_id: UUID) -> dict[str, int]:
        """Add up what the code of a job counted."""
        counted: Counter[str] = Counter()
        for (text,) in self.connections.fetch(self.sql["statistics"], (job_id,)):
            counted.update(json.loads(text))
        return dict(counted)

    def running_slices(self, job_id: UUID) -> int:
        """Count the slices of a job that somebody holds."""
        return int(self.connections.fetch(self.sql["running_slices"], (job_id,))[0][0])

    def next_of_rate(self, name: str) -> datetime | None:
        """Return when the next record under a rate limit may begin."""
        rows = self.connections.fetch(self.sql["next_of_rate"], (name,))
        found: datetime | None = rows[0][0] if rows else None
        return found

    @again
    def spend_rate(self, name: str, *, seconds: float, now: datetime) -> None:
        """Note that records have begun which take up so much of a rate limit."""
        with self.connections.transaction() as session:
            values = {"name": name, "now": now, "taken": timedelta(seconds=seconds)}
            session.execute(self.sql["spend_rate"], values)


def _as_it_was(row: SliceRow, job_id: UUID) -> dict[str, object]:
    return {
        "slice_id": row.slice_id,
        "job_id": job_id,
        "number": row.number,
        "attempt": row.attempt,
        "done": row.done,
    }
