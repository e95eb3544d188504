"""Upload: records from a file, an iterable or a block into slices, all of them or none."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOBase
from itertools import islice
from typing import IO, Any, cast

from penstock.batch.categories import MAIN
from penstock.batch.job import BatchJob, Source
from penstock.config import settings
from penstock.errors import InvalidMove, JobNotFound, RecordTooLarge, UnstorableValue
from penstock.records import encode_records, encode_text, position_of_unstorable, size_of
from penstock.states import FINAL, SubState
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import NewSlice
from penstock.streams import cut_lines, open_reader

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


class RecordWriter:
    """Takes records one by one and stores them in slices."""

    def __init__(self, upload: "_Upload") -> None:
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


def upload_source(job: BatchJob, source: Source, options: UploadOptions) -> int:
    """Store the records of a path, an open file or an iterable; returns how many."""
    if isinstance(source, str | os.PathLike):
        return _upload_stream(job, source, os.path.abspath(source), options)
    if isinstance(source, TextIOBase):
        with uploading(job, options, _name_of(source)) as upload:
            _add_iterable(upload, (line.removesuffix("\n") for line in source))
        return upload.added
    if hasattr(source, "read"):
        return _upload_stream(job, cast("IO[bytes]", source), _name_of(source), options)
    with uploading(job, options, options.file_name) as upload:
        _add_iterable(upload, cast("Iterable[Any]", source))
    return upload.added


@contextmanager
def writing_records(job: BatchJob, options: UploadOptions) -> Iterator[RecordWriter]:
    """Yield a writer; what it was given is stored when the block ends, and dropped when it raises."""
    with uploading(job, options, options.file_name) as upload:
        writer = RecordWriter(upload)
        yield writer
        writer.finish()


@contextmanager
def uploading(job: BatchJob, options: UploadOptions, file_name: str | None) -> Iterator["_Upload"]:
    """Make what is added in the block part of the job's input, or nothing of it."""
    upload = _Upload(current_store(), job, options)
    upload.begin()
    try:
        yield upload
        upload.finish(options.file_name or file_name)
    except BaseException:
        upload.undo()
        raise


def _upload_stream(job: BatchJob, source: Any, name: str | None, options: UploadOptions) -> int:
    shown = options.file_name or name or "the input"
    # Opened before anything is stored: a missing file must leave no trace.
    with (
        open_reader(
            source,
            streams=options.streams,
            encoding=options.encoding,
            encoding_errors=options.encoding_errors,
        ) as stream,
        uploading(job, options, name) as upload,
    ):
        for lines in cut_lines(
            stream,
            name=shown,
            records_per_slice=job.slice_size,
            max_bytes=settings().max_slice,
            max_record=settings().max_record,
            delimiter=options.delimiter,
            encoding_errors=options.encoding_errors,
        ):
            if lines.text is not None:
                upload.add(lines.count, encode_text(lines.text))
            else:
                upload.add_records([str(line, "utf-8") for line in lines.lines or ()])
    return upload.added


def _add_iterable(upload: "_Upload", source: Iterable[Any]) -> None:
    records = iter(source)
    while run := list(islice(records, upload.job.slice_size)):
        upload.add_records(run)


def _name_of(source: Any) -> str | None:
    name = getattr(source, "name", None)
    return os.path.abspath(name) if isinstance(name, str) and os.path.exists(name) else None


class _Upload:
    """One upload under way."""

    def __init__(self, store: Store, job: BatchJob, options: UploadOptions) -> None:
        self.job = job
        self.added = 0
        self._store = store
        self._options = options
        self._before = job.row.record_count or 0
        self._slices: list[NewSlice] = []
        self._bytes = 0

    def begin(self) -> None:
        """Show that an upload is going on: a draft for a new job, a mark on one that is stored.

        Raises:
            InvalidMove: the job has ended.
            JobNotFound: it was destroyed.
        """
        uploader = presence_name(self._store)
        if self.job.is_stored:
            row = self._store.job(self.job.id)
            if row is not None and row.state in FINAL:
                raise InvalidMove(f"job {row.id} is {row.state}: it takes no more records")
            if not self._store.update_job(self.job.id, {"uploader": uploader}):
                raise JobNotFound(f"there is no job {self.job.id}; it may have been completed and destroyed")
            self.job.row.uploader = uploader
        else:
            self.job.store_draft(self._store, uploader)

    def add(self, count: int, payload: bytes) -> None:
        """Add a slice of `count` records."""
        self._slices.append(NewSlice(self._before + self.added + 1, count, payload))
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
        row, count = self.job.row, self._before + self.added
        category = self.job.input_category.with_upload(file_name, self._before + 1, self.added)
        changes: dict[str, Any] = {"fields": {"input_category": category.model_dump(mode="json")}}
        if not row.draft:
            changes["uploader"] = None
        if row.sub_state is not SubState.BEFORE:
            # What before_batch uploads counts when it has ended: until then a crash runs it afresh.
            changes["record_count"] = count
        if not self._store.update_job(self.job.id, changes):
            raise JobNotFound(f"job {self.job.id} was destroyed while records were uploaded to it")
        row.record_count = count
        row.uploader = changes.get("uploader", row.uploader)
        self.job.input_category = category

    def undo(self) -> None:
        """Leave nothing of it behind: of a new job the draft neither."""
        if self.job.row.draft and not self.job.input_category.uploads:
            self.job.drop_draft(self._store)
        else:
            self._store.drop_unfinished_upload(self.job.id)
            if not self.job.row.draft:
                self._store.update_job(self.job.id, {"uploader": None})
                self.job.row.uploader = None

    def _flush(self) -> None:
        if self._slices:
            self._store.append_slices(self.job.id, MAIN, self._slices)
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
