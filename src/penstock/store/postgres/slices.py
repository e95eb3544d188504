"""Slices in PostgreSQL."""

import json
from collections.abc import Iterator, Sequence
from uuid import UUID

from penstock.errors import JobNotFound
from penstock.states import SliceState
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import PAYLOAD_TYPES
from penstock.store.postgres.place import Place
from penstock.store.protocol import Topic
from penstock.store.rows import Accounts, BatchStanding, NewSlice, OutputRow, Progress, SliceRow

OUTPUTS_AT_ONCE = 500
OUTPUT_BYTES_AT_ONCE = 4 << 20
SLICES_AT_ONCE = 500
FOREVER = 1 << 62


class PostgresSlices:
    """The slices of batch jobs."""

    connections: Connections
    place: Place
    sql: dict[str, str]

    @again
    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are."""
        with self.connections.transaction(Topic.WORK) as session:
            counted = session.fetch(self.sql["count_slices"], {"job_id": job_id, "added": len(slices)})
            if not counted:
                raise JobNotFound(f"job {job_id} was destroyed while records were uploaded to it")
            ((count,),) = counted
            first = count - len(slices) + 1
            values = {
                "job_id": job_id,
                "category": category,
                "numbers": list(range(first, count + 1)),
                "firsts": [new.first_record for new in slices],
                "counts": [new.record_count for new in slices],
                "sizes": [len(new.payload) for new in slices],
            }
            if slices:
                ids = session.fetch(self.sql["insert_slices"], values)
                payloads = [(slice_id, slices[number - first].payload) for number, slice_id in ids]
                session.copy(self.sql["copy_payloads"], payloads, PAYLOAD_TYPES)
            return int(count)

    @again
    def drop_unfinished_upload(self, job_id: UUID) -> None:
        """Remove slices beyond the job's `record_count`."""
        with self.connections.transaction() as session:
            session.execute(self.sql["drop_unfinished"], {"job_id": job_id})

    def failed_slices(self, job_id: UUID, *, after: int = 0) -> Iterator[SliceRow]:
        """Yield the failed slices in the order of their numbers."""
        while True:
            values = {"job_id": job_id, "after": after, "limit": SLICES_AT_ONCE}
            page = self.connections.fetch(self.sql["failed_slices"], values)
            for row in page:
                yield SliceRow._make((*row[:3], SliceState(row[3]), *row[4:]))
            if len(page) < SLICES_AT_ONCE:
                return
            after = page[-1][2]

    def slice_counts(self, job_id: UUID) -> dict[SliceState, int]:
        """Return the number of input slices of each state that has any."""
        rows = self.connections.fetch(self.sql["slice_counts"], (job_id,))
        return {SliceState(state): count for state, count in rows}

    @again
    def retry_slices(self, job_id: UUID, *, only: Sequence[int] | None = None) -> int:
        """Queue the failed slices again."""
        with self.connections.transaction(Topic.WORK) as session:
            if only is not None:
                places = [(job_id, slice_id) for slice_id in sorted(only)]
                return sum(session.change_each(self.sql["retry_some_slices"], places)) if places else 0
            return session.change(self.sql["retry_slices"], (job_id,))

    def standing(self, job_id: UUID) -> BatchStanding:
        """Return what is left of a job's input; near the end, within a transaction, others wait for its end."""
        found = self._standing(job_id)
        if self.connections.joined is None or found.queued:
            return found
        self.connections.fetch(self.sql["lock_job"], (job_id,))
        return self._standing(job_id)

    def first_unfinished(self, job_id: UUID) -> int | None:
        """Return the lowest number of an input slice that is not done."""
        ((number,),) = self.connections.fetch(self.sql["first_unfinished"], (job_id,))
        return None if number is None else int(number)

    def outputs(
        self, job_id: UUID, category: str, *, after: tuple[int, int] = (0, 0), before: int | None = None
    ) -> Iterator[OutputRow]:
        """Yield output slices in input order, a page at a time."""
        end = FOREVER if before is None else before
        while True:
            values = {
                "job_id": job_id,
                "category": category,
                "number": after[0],
                "part": after[1],
                "before": end,
                "limit": OUTPUTS_AT_ONCE,
                "max_bytes": OUTPUT_BYTES_AT_ONCE,
            }
            page = self.connections.fetch(self.sql["outputs"], values)
            if not page:
                return
            yield from map(OutputRow._make, page)
            after = (page[-1][0], page[-1][1])

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records are, at one moment."""
        ((uploaded, by_state, processed, rejected, by_category, missing),) = self.connections.fetch(
            self.sql["accounts"], {"job_id": job_id}
        )
        states = json.loads(by_state or "{}")
        return Accounts(
            uploaded=uploaded or 0,
            queued=states.get(SliceState.QUEUED, 0),
            running=states.get(SliceState.RUNNING, 0),
            failed=states.get(SliceState.FAILED, 0),
            processed=processed,
            outputs=json.loads(by_category or "{}"),
            missing_payloads=missing,
            rejected=rejected,
        )

    def progress(self, job_id: UUID) -> Progress:
        """Return how far a job is, without reading its slices."""
        return Progress._make(self.connections.fetch(self.sql["progress"], {"job_id": job_id})[0])

    def _standing(self, job_id: UUID) -> BatchStanding:
        ((queued, running, failed),) = self.connections.fetch(self.sql["standing"], {"job_id": job_id})
        return BatchStanding(queued, running, failed)
