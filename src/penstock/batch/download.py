"""Download: output slices back into one file, in input order."""

from collections.abc import Callable, Iterator
from os import PathLike
from typing import IO, Any

from penstock import faults
from penstock.batch.categories import REJECTS, OutputCategory
from penstock.batch.job import BatchJob
from penstock.batch.payloads import Payloads, place_of_output
from penstock.batch.rendering import Rendering, form_for, rendering_of, rows_for_table
from penstock.errors import ConfigurationError, JobIncomplete
from penstock.records import decode_records, text_of
from penstock.states import State, SubState
from penstock.store import Store, current_store
from penstock.store.rows import OutputRow
from penstock.streams import open_writer
from penstock.streams.places import whole_name
from penstock.tabular import TableFormat

Target = str | PathLike[str] | IO[bytes]


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
        payloads = Payloads(self._job.id)
        for row in current_store().outputs(self._job.id, self._category.name):
            yield OutputSlice(opened(row, self._category.name, payloads))

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


def opened(row: OutputRow, category: str, payloads: Payloads) -> OutputRow:
    """Return an output slice with its payload as it was before it was compressed or sealed.

    Raises:
        SealError: it does not open.
    """
    plain = payloads.open(row.payload, place_of_output(category, row.number, row.part))
    return row if plain is row.payload else row._replace(payload=plain)


def download_output(
    job: BatchJob,
    target: Target | None,
    category: str | None,
    *,
    partial: bool,
    progress: Callable[[int], None] | None = None,
    options: dict[str, Any] | None = None,
) -> int:
    """Write an output to a file; see `BatchJob.download`. `progress` is told the records written so far."""
    store = current_store()
    _refuse_incomplete(store, job, partial=partial)
    chosen = job.output_category(category)
    destination = target if target is not None else chosen.file_name
    if destination is None:
        raise ConfigurationError(f"download() of output {chosen.name!r} was given no target and remembers none")
    form = form_for(chosen, destination)
    if isinstance(form, TableFormat):
        count = _write_table(store, job, chosen, form, destination)
    else:
        with open_writer(destination, **(options or {})) as stream:
            rendering = rendering_of(job, chosen, destination)
            count = write_outputs(stream, store.outputs(job.id, chosen.name), rendering, progress)
            stream.write(rendering.end())
    if isinstance(destination, str | PathLike):
        _remember(store, job, chosen, whole_name(destination))
    return count


def write_outputs(
    stream: IO[bytes],
    outputs: Iterator[OutputRow],
    rendering: Rendering,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write output slices to an open file, a line for each record; returns the number of records."""
    count = 0
    for row in outputs:
        faults.at("in_download")
        row = opened(row, rendering.category.name, rendering.payloads)  # noqa: PLW2901
        text = text_of(row.payload)
        if rendering.begins:
            stream.write(rendering.begin(text is None, row.payload))
        if text is not None and not rendering.begins:
            stream.write(text)
        else:
            stream.write(rendering.hold(rendering.lines(decode_records(row.payload))))
        count += row.record_count
        if progress:
            progress(count)
    return count


def _write_table(store: Store, job: BatchJob, category: OutputCategory, form: TableFormat, destination: Target) -> int:
    """Write an output as a file that is a table by itself; its columns are those declared, or of the first row."""
    payloads = Payloads(job.id)
    slices = (opened(row, category.name, payloads) for row in store.outputs(job.id, category.name))
    columns, rows = rows_for_table(job, category, (decode_records(row.payload) for row in slices))
    count = 0
    with form.write(destination, columns, options=category.format_options) as table:
        for part in rows:
            table.write(part)
            count += len(part)
    return count


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
    if category.file_name == path or category.name == REJECTS:
        return
    category.file_name = path
    job.output_categories = job.output_categories or [category]
    dumped = [category.model_dump(mode="json") for category in job.output_categories]
    store.update_job(job.id, {"fields": {"output_categories": dumped}})
