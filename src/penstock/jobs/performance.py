"""`Performance`: a batch job that does nothing, to measure what Penstock does about it."""

from typing import Any

from penstock.batch.categories import InputCategory, OutputCategory
from penstock.batch.job import BatchJob
from penstock.hooks import before_batch
from penstock.model.fields import field


class Performance(BatchJob):
    """Echo numbers, uploaded by itself unless records were uploaded before; kept, to be looked at.

    Records per second: `record_count / elapsed_seconds`, the upload by itself included.
    """

    priority = 5
    slice_size = 1000
    destroy_on_complete = False

    count: int = field(1_000_000, ge=0, description="Records that it uploads, where it has none.")
    seal: bool = field(False, description="Whether they are stored sealed, under the keyring.")
    pack: bool = field(False, description="Whether they are stored compressed.")

    @before_batch
    def upload_numbers(self) -> None:
        """Upload the records."""
        if not self.record_count:
            self.input_category = InputCategory(encrypt=self.seal, compress=self.pack)
            self.upload(range(self.count))
        self.output_categories = [OutputCategory(encrypt=self.seal, compress=self.pack)]

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Return the record."""
        return record
