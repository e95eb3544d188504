"""Upload: records into slices, all of them or none. Where they come from is told by `penstock.batch.sources`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penstock import faults
from penstock.batch.categories import MAIN, InputCategory, Lines, Uploaded
from penstock.batch.job import BatchJob
from penstock.batch.payloads import Payloads, place_of_input
from penstock.config import settings
from penstock.errors import InvalidMove, JobNotFound, RecordTooLarge, UnstorableValue
from penstock.model.storing import joined
from penstock.records import encode_records, position_of_unstorable, size_of
from penstock.states import FINAL, State, SubState
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import JobRow, NewSlice

STORE_AT_BYTES = 4 << 20
"""Slices are stored together in transactions of about this size, so that others get their turn."""


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """How an input is read."""

    streams: Sequence[str] | None = None
    """The pipeline, outermost last, as `["gz"]`. None: by the file name's extensions."""
    encoding: str = "utf-8"
    """The text encoding of the file."""
    encoding_errors: str = "refuse"
    """What is done about bytes that are not text: `refuse`, `replace` (with U+FFFD) or `clean` (drop them, and
    control characters)."""
    delimiter: bytes | None = None
    """What ends a line. None: whichever of CRLF, LF and CR comes first in the file."""
    file_name: str | None = None
    """The name under which records are named in messages. None: that of the file."""
    progress: Callable[[int], None] | None = None
    """Called now and then with the number of records stored so far."""
    stream_options: Mapping[str, Mapping[str, Any]] | None = None
    """Options of streams that the file's name asks for, as `{"zip": {"entry": "a.csv"}}`."""
    scheme_options: Mapping[str, Any] | None = None
    """Options of the scheme of a URL, as credentials and endpoints."""
    on_first: Callable[[str], None] | None = None
    """Called with the first line of a file, which is then no record; without a format that has a header."""
    columns: Sequence[str] | None = None
    """Of a query: which columns are uploaded. None: what the query selects, of models their primary key."""
    map: Callable[[Any], Any] | None = None
    """Makes the record to be stored of what the source gives."""
    connection: Any = None
    """A connection of the caller's, as `save` takes it: the records are stored if and only if its transaction is
    committed. A new job is saved with the same one, in the same transaction."""
    run_on: Any = None
    """Where a query of SQLAlchemy is run: a connection or a session. None: on `connection`."""


class RecordWriter:
    """Takes records one by one and stores them in slices."""

    def __init__(self, upload: "Upload") -> None:
        self._upload = upload
        self._records: list[Any] = []
        self._error: BaseException | None = None

    def write(self, record: Any) -> None:
        """Add a record.

        Raises:
            UnstorableValue: its type cannot be stored; the whole upload is undone when this leaves the block.
        """
        self._records.append(record)
        if len(self._records) >= self._upload.job.slice_size:
            self.flush()

    def flush(self) -> None:
        """Close the slice that is being filled."""
        records, self._records = self._records, []
        try:
            if records:
                self._upload.add_records(records)
        except BaseException as error:
            self._error = error
            raise

    def finish(self) -> None:
        """Close the last slice; what was refused before is refused again, if the block has passed over it."""
        if self._error is not None:
            raise self._error
        self.flush()


@contextmanager
def writing_records(job: BatchJob, options: UploadOptions) -> Iterator[RecordWriter]:
    """Yield a writer; what it was given is stored when the block ends, and dropped when it raises."""
    with joined(current_store(), options.connection), uploading(job, options, options.file_name) as upload:
        writer = RecordWriter(upload)
        yield writer
        writer.finish()


@contextmanager
def uploading(job: BatchJob, options: UploadOptions, file_name: str | None) -> Iterator["Upload"]:
    """Make what is added in the block part of the job's input, or nothing of it."""
    upload = Upload(current_store(), job, options)
    upload.begin()
    try:
        yield upload
        upload.finish(options.file_name or file_name)
    except BaseException:
        upload.undo()
        raise


class Upload:
    """One upload under way."""

    def __init__(self, store: Store, job: BatchJob, options: UploadOptions) -> None:
        self.job = job
        self.added = 0
        self.lines = Lines()
        """Where in its file each record begins."""
        self._store = store
        self._options = options
        self._before = job.row.record_count or 0
        self._is_first = not job.is_stored
        self._is_before = False
        """Whether it is `before_batch` that uploads."""
        self._stored_input: Any = None
        """The input as it was stored before."""
        self._slices: list[NewSlice] = []
        self._bytes = 0
        self._payloads = Payloads(job.id)
        self._wraps = job.payload_wrapping(job.input_category)

    def begin(self) -> None:
        """Show that an upload is going on: a draft for a new job, a mark on one that is stored.

        Raises:
            InvalidMove: the job takes no more records, or is taking those of somebody else.
            JobNotFound: it was destroyed.
        """
        uploader = presence_name(self._store)
        if not self.job.is_stored:
            self.job.store_draft(self._store, uploader)
            return
        with self._store.transaction():
            row = self._store.job(self.job.id)
            if row is None:
                raise JobNotFound(f"there is no job {self.job.id}; it may have been completed and destroyed")
            self._refuse_where_nothing_is_taken(row, uploader)
            self._store.update_job(row.id, {"uploader": uploader})
        self._stored_input = json.loads(row.fields).get("input_category")
        self.job.row.uploader = uploader
        self._is_before = row.state is State.RUNNING and row.sub_state is SubState.BEFORE
        # What `before_batch` has uploaded so far is only known here.
        if not self._is_before or (row.record_count or 0) > self._before:
            self._go_on_behind(row)

    def _refuse_where_nothing_is_taken(self, row: JobRow, uploader: str) -> None:
        if row.state in FINAL:
            raise InvalidMove(f"job {row.id} is {row.state}: it takes no more records")
        mine = self.job.row
        if (
            self.job.is_in_attempt
            and mine.sub_state is SubState.BEFORE
            and (row.state, row.attempt) != (mine.state, mine.attempt)
        ):
            raise InvalidMove(f"job {row.id} was moved on while its before_batch ran: what it uploads would not count")
        if row.state is State.RUNNING and row.uploader != uploader and not self._may_take(row.sub_state):
            raise InvalidMove(f"job {row.id} is in its {row.sub_state}_batch: it takes no records from elsewhere now")
        if row.uploader not in (None, uploader) and self._store.is_present(row.uploader) is not False:
            raise InvalidMove(f"job {row.id} is being uploaded by {row.uploader}; wait until that has ended")

    def _may_take(self, sub_state: SubState | None) -> bool:
        """Tell whether a running job takes records: from its `before_batch` alone as long as that runs."""
        return sub_state is SubState.PROCESSING or (sub_state is SubState.BEFORE and self.job.is_in_attempt)

    def _go_on_behind(self, row: JobRow) -> None:
        """Begin after the records that the job has now, whatever it had when this copy was read."""
        self._before = self.job.row.record_count = row.record_count or 0
        stored = InputCategory.model_validate(json.loads(row.fields).get("input_category", {}))
        self.job.input_category = self.job.input_category.model_copy(update={"uploads": stored.uploads})

    def note_input(self) -> None:
        """Store what is known of the input by now: who performs a slice, perhaps at once, needs its columns."""
        dumped = self.job.input_category.model_dump(mode="json")
        self._store.update_job(self.job.id, {"fields": {"input_category": dumped}})
        self.job.note_field_written("input_category")

    def add(self, count: int, payload: bytes) -> None:
        """Add a slice of `count` records."""
        first_record = self._before + self.added + 1
        if self._wraps:
            payload = self._payloads.wrap(payload, place_of_input(first_record), **self._wraps)
        self._slices.append(NewSlice(first_record, count, payload))
        self.added += count
        self._bytes += len(payload)
        if self._bytes >= STORE_AT_BYTES:
            self._flush()

    def add_records(self, records: list[Any]) -> None:
        """Add a slice of values, or several where they are too big for one."""
        try:
            payload = encode_records(records)
        except UnstorableValue as error:
            position, reason = position_of_unstorable(records) or (0, error)
            raise UnstorableValue(f"record {self._before + self.added + position + 1}: {reason}") from None
        self._refuse_too_large(records, payload)
        if len(payload) <= settings().max_slice or len(records) == 1:
            self.add(len(records), payload)
        else:
            middle = len(records) // 2
            self.add_records(records[:middle])
            self.add_records(records[middle:])

    def finish(self, file_name: str | None) -> None:
        """Store the rest, and the number of records: with it the upload counts."""
        self._flush()
        faults.at("after_upload")
        row, count = self.job.row, self._before + self.added
        upload = Uploaded(file_name=file_name, first_record=self._before + 1, record_count=self.added, lines=self.lines)
        category = self.job.input_category.with_upload(upload)
        changes: dict[str, Any] = {"fields": {"input_category": category.model_dump(mode="json")}}
        if not row.draft:
            changes["uploader"] = None
        if not self._is_before:
            # What before_batch uploads counts when it has ended: until then a crash runs it afresh.
            changes["record_count"] = count
        if not self._store.update_job(self.job.id, changes):
            raise JobNotFound(f"job {self.job.id} was destroyed while records were uploaded to it")
        row.record_count = count
        row.uploader = changes.get("uploader", row.uploader)
        self.job.input_category = category
        self.job.note_field_written("input_category")

    def undo(self) -> None:
        """Leave nothing of it behind: of a new job the draft neither. In a transaction that does so itself."""
        if self._options.connection is not None:
            self._forget()
        elif self.job.row.draft and not self.job.input_category.uploads:
            self.job.drop_draft(self._store)
        else:
            self._store.drop_unfinished_upload(self.job.id)
            if self._stored_input is not None:  # The columns of a file that was refused are not those of the next.
                self._store.update_job(self.job.id, {"fields": {"input_category": self._stored_input}})
            if not self.job.row.draft:
                self._store.update_job(self.job.id, {"uploader": None})
                self.job.row.uploader = None

    def _forget(self) -> None:
        if self._is_first:
            self.job.start_over()
        elif not self.job.row.draft:
            self.job.row.uploader = None

    def _flush(self) -> None:
        if self._slices:
            self._store.append_slices(self.job.id, MAIN, self._slices)
            faults.at("in_upload")
        self._slices, self._bytes = [], 0
        if self._options.progress:
            self._options.progress(self.added)

    def _refuse_too_large(self, records: list[Any], payload: bytes) -> None:
        limit = settings().max_record
        if len(payload) <= limit:
            return  # So is each of its records.
        for position, record in enumerate(records):
            size = size_of(record)
            if size > limit:
                number = self._before + self.added + position + 1
                raise RecordTooLarge(
                    f"record {number} has {size:,} bytes, more than max_record = {limit:,}; "
                    "raise that setting, or split it"
                )
