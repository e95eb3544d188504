"""What a store does with the records of batch jobs: their slices, their outputs, and what is kept of them."""

from collections.abc import Iterator, Sequence
from typing import Protocol
from uuid import UUID

from penstock.states import SliceState
from penstock.store.rows import (
    Accounts,
    BatchStanding,
    KeptInput,
    KeptOutput,
    NewOutput,
    NewSlice,
    OutputRow,
    Progress,
    SliceRow,
)


class SliceStore(Protocol):
    """The slices of batch jobs."""

    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are; returns the number of the last. Numbers start at 1."""

    def drop_unfinished_upload(self, job_id: UUID) -> None:
        """Remove slices of an upload that never ended: those beyond the job's `record_count`."""

    def failed_slices(self, job_id: UUID, *, after: int = 0) -> Iterator[SliceRow]:
        """Yield the failed slices in the order of their numbers, from behind `after`."""

    def slice_counts(self, job_id: UUID) -> dict[SliceState, int]:
        """Return the number of input slices of each state that has any."""

    def retry_slices(self, job_id: UUID, *, only: Sequence[int] | None = None) -> int:
        """Queue the failed slices again, or of these `only` those with the ids named; returns how many."""

    def drop_slices(self, job_id: UUID) -> None:
        """Remove all slices, outputs and progress of a job, in short transactions."""

    def standing(self, job_id: UUID) -> BatchStanding:
        """Return what is left of a job's input."""

    def first_unfinished(self, job_id: UUID) -> int | None:
        """Return the lowest number of an input slice that is not done, or None."""

    def outputs(
        self, job_id: UUID, category: str, *, after: tuple[int, int] = (0, 0), before: int | None = None
    ) -> Iterator[OutputRow]:
        """Yield output slices in input order, from behind (number, part) `after` up to the number `before`.

        Reads in short transactions, so that a slow reader holds nothing up.
        """

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records of a job are, at one moment; with the slices in a second store `uploaded` apart."""

    def progress(self, job_id: UUID) -> Progress:
        """Return how far a job is, without reading its slices."""

    def statistics(self, job_id: UUID) -> dict[str, int]:
        """Add up what the code of a job counted."""

    def failed_slice(self, job_id: UUID, record_number: int) -> SliceRow | None:
        """Return the failed slice that holds a record of the main input; None where there is none."""

    def failed_payload(self, row: SliceRow, job_id: UUID) -> bytes | None:
        """Return the payload of a failed slice; None when it is no longer as `row` says."""

    def edit_failed_slice(self, row: SliceRow, job_id: UUID, payload: bytes) -> bool:
        """Put another payload in the place of a failed slice's; False when it is no longer as `row` says."""

    def pass_failed_record(self, row: SliceRow, job_id: UUID, output: NewOutput | None, *, by: str) -> bool:
        """Pass the record at which a failed slice stopped: it counts as done, and as rejected where it is kept.

        The slice is queued to go on behind it, or goes where it is done. False when it is no longer as `row` says.

        Args:
            row: The slice.
            job_id: Its job.
            output: What is kept of the record, with its place; None where nothing is.
            by: In whose name it is noted.
        """

    def take_back_rejects(self, job_id: UUID, category: str, places: Sequence[tuple[int, int]], *, by: str) -> int:
        """Remove rejected records, as if they had not been processed yet; returns how many there were.

        Args:
            job_id: The job.
            category: Where they are.
            places: Of each the number of its slice and its offset in it.
            by: In whose name it is noted.
        """


class KeptStore(Protocol):
    """What is stored of records, to be put into another form."""

    def kept_inputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptInput]:
        """Yield the input slices whose payload begins so, or that have an exception; in short transactions."""

    def kept_outputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptOutput]:
        """Yield the output slices of all categories whose payload begins so; in short transactions."""

    def replace_payload(self, row: KeptInput | KeptOutput, payload: bytes) -> bool:
        """Put another form of a payload in its place; False when what is there is not what `row` says."""

    def replace_exception(self, row: KeptInput, exception: str) -> bool:
        """Put another form of a slice's exception in its place; False when what is there is not what `row` says."""
