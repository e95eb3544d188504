"""`Reseal`: what is stored sealed is sealed anew, under the active key, so that an older one can be retired."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from penstock.batch.payloads import SEALED, Payloads, place_of_input, place_of_output
from penstock.errors import SealError
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.model.sealing import resealed_failure, resealed_values
from penstock.plugins.singleton import Singleton
from penstock.query import Query
from penstock.store import Store, current_store
from penstock.store.rows import JobRow

MOST_TOLD = 20
"""Places that do not open which are named."""


class Reseal(Singleton, Job):
    """Seal all that is stored under an older key anew, under the active one: fields, records, results and messages.

    Nothing is ever unsealed in the store, and what somebody changes meanwhile stays as they changed it. Run again, it
    does what is left. It fails when something does not open, after all the rest is done.
    """

    description = "Seals under the active key"
    destroy_on_complete = False
    unique_by: ClassVar[tuple[str, ...]] = ()

    resealed: dict[str, int] = field(default_factory=dict, description="How much of what was sealed anew.")
    unopened: list[str] = field(default_factory=list, description="What does not open, and why.")

    def perform(self) -> None:
        """Go through all jobs.

        Raises:
            SealError: something does not open.
        """
        self.resealed, self.unopened = dict.fromkeys(("fields", "messages", "slices"), 0), []
        store, unopened = current_store(), 0
        for row in store.find_jobs(Query()):
            for trouble in self._reseal(store, row):
                unopened += 1
                self.unopened = [*self.unopened, trouble][:MOST_TOLD]
        if unopened:
            raise SealError(f"{unopened:,} do not open and stay as they are; the first: {self.unopened[0]}")

    def _reseal(self, store: Store, row: JobRow) -> Iterator[str]:
        """Seal what is stored of a job anew; yields why something does not open."""
        try:
            self._reseal_row(store, row.id)
        except SealError as error:
            yield f"job {row.id}: {error}"
        if row.batch:
            yield from self._reseal_inputs(store, row.id)
            yield from self._reseal_outputs(store, row.id)

    def _reseal_row(self, store: Store, job_id: UUID) -> None:
        with store.transaction():
            row = store.job(job_id)  # As it is inside the transaction.
            if row is None:
                return
            values = resealed_values(job_id, row.fields)
            exception = resealed_failure(job_id, row.exception)
            if values:
                store.update_job(job_id, {"fields": values})
            if exception is not None:
                store.update_job(job_id, {"exception": exception}, expect={"exception": row.exception})
        self._count("fields", len(values))
        self._count("messages", exception is not None)

    def _reseal_inputs(self, store: Store, job_id: UUID) -> Iterator[str]:
        payloads = Payloads(job_id)
        for kept in store.kept_inputs(job_id, SEALED):
            try:
                exception = resealed_failure(job_id, kept.exception)
                payload = payloads.reseal(kept.payload, place_of_input(kept.first_record))
            except SealError as error:
                yield str(error)
                continue
            self._count("messages", exception is not None and store.replace_exception(kept, exception))
            self._count("slices", payload is not None and store.replace_payload(kept, payload))

    def _reseal_outputs(self, store: Store, job_id: UUID) -> Iterator[str]:
        payloads = Payloads(job_id)
        for kept in store.kept_outputs(job_id, SEALED):
            try:
                payload = payloads.reseal(kept.payload, place_of_output(kept.category, kept.number, kept.part))
            except SealError as error:
                yield str(error)
                continue
            self._count("slices", payload is not None and store.replace_payload(kept, payload))

    def _count(self, what: str, number: int) -> None:
        self.resealed[what] += number
