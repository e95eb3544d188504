"""Download: output slices back into one file, in input order."""

import json
import os
from collections.abc import Callable, Iterator
from os import PathLike
from typing import IO, Any

from pydantic_core import to_jsonable_python

from penstock.batch.categories import OutputCategory
from penstock.batch.job import BatchJob
from penstock.errors import ConfigurationError, JobIncomplete
from penstock.records import decode_records, text_of
from penstock.states import State, SubState
from penstock.store import Store, current_store
from penstock.store.rows import OutputRow
from penstock.streams import open_writer

Target = str | PathLike[str] | IO[bytes]
FLUSH_BYTES = 1 << 16


class Output:
    """An output of a job. Iterating gives its slices, in input order; read in short transactions."""

    def __init__(self, job: BatchJob, category: OutputCategory) -> None:
        self._job = job
        self._category = category

    def __getitem__(self, name: str) -> "Output":
        """Return another output of the job."""
        return Output(self._job, self._job.output_category(name))

    def __iter__(self) -> Iterator["OutputSlice"]:
        """Yield the slices that there are so far."""
        for row in current_store().outputs(self._job.id, self._category.name):
            yield OutputSlice(row)

    def records(self) -> Iterator[Any]:
        """Yield the records of all slices, with their types."""
        for output in self:
            yield from output


class OutputSlice:
    """The results of one input slice, or of a part of it."""

    def __init__(self, row: OutputRow) -> None:
        self._row = row

    @property
    def number(self) -> int:
        """The number of the input slice, from 1."""
        return self._row.number

    def __len__(self) -> int:
        """Return the number of records."""
        return self._row.record_count

    def __iter__(self) -> Iterator[Any]:
        """Yield the records, with their types."""
        return iter(decode_records(self._row.payload))


def download_output(
    job: BatchJob,
    target: Target | None,
    category: str | None,
    *,
    partial: bool,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write an output to a file; see `BatchJob.download`. `progress` is told the records written so far."""
    store = current_store()
    _refuse_incomplete(store, job, partial=partial)
    chosen = job.output_category(category)
    destination = target if target is not None else chosen.file_name
    if destination is None:
        raise ConfigurationError(f"download() of output {chosen.name!r} was given no target and remembers none")
    with open_writer(destination) as stream:
        count = write_outputs(stream, store.outputs(job.id, chosen.name), progress)
    if isinstance(destination, str | PathLike):
        _remember(store, job, chosen, os.path.abspath(destination))
    return count


def write_outputs(
    stream: IO[bytes], outputs: Iterator[OutputRow], progress: Callable[[int], None] | None = None
) -> int:
    """Write output slices to an open file, a line for each record; returns the number of records."""
    count = 0
    for row in outputs:
        text = text_of(row.payload)
        stream.write(text if text is not None else b"".join(map(render_line, decode_records(row.payload))))
        count += row.record_count
        if progress:
            progress(count)
    return count


def render_line(record: Any) -> bytes:
    """Return a record as a line: text as it is, None as an empty line, other values as JSON."""
    if isinstance(record, str):
        return record.encode("utf-8", "surrogatepass") + b"\n"
    if record is None:
        return b"\n"
    if isinstance(record, bytes):
        return record + b"\n"
    value = to_jsonable_python(record, bytes_mode="base64", inf_nan_mode="constants")
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode() + b"\n"


def _refuse_incomplete(store: Store, job: BatchJob, *, partial: bool) -> None:
    row = store.job(job.id)
    if row is None:
        raise JobIncomplete(
            f"job {job.id} is gone: it was destroyed, on completion unless its class says destroy_on_complete = False"
        )
    after = row.state is State.RUNNING and row.sub_state is SubState.AFTER
    if row.state is not State.COMPLETED and not after and not partial:
        raise JobIncomplete(f"job {job.id} is {row.state}: its output is not whole; partial=True writes what there is")


def _remember(store: Store, job: BatchJob, category: OutputCategory, path: str) -> None:
    if category.file_name != path:
        category.file_name = path
        job.output_categories = job.output_categories or [category]
        dumped = [category.model_dump(mode="json") for category in job.output_categories]
        store.update_job(job.id, {"fields": {"output_categories": dumped}})
