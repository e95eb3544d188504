"""Rejected records that were corrected: they are performed again, and their results go where they belong."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from penstock.batch.categories import REJECTS
from penstock.batch.job import BatchJob
from penstock.batch.payloads import Payloads, place_of_input, place_of_output
from penstock.batch.rejects import payload_of_resubmitted
from penstock.batch.rows import FALLBACK
from penstock.batch.written import Written
from penstock.errors import InputError, InvalidMove
from penstock.model.moves import move_stored
from penstock.records import decode_records
from penstock.states import Move, State, SubState
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import JobRow, NewSlice
from penstock.streams import cut_lines, open_reader
from penstock.streams.places import Place, name_of
from penstock.tabular import TableFormat, format_named, format_of

CATEGORY = "resubmitted"
"""Under which input slices of such records are stored."""

_MOVES = {State.COMPLETED: Move.RESUBMIT, State.FAILED: Move.RETRY}
"""What takes a job on that has ended."""

_Entry = tuple[int, int, int, Any]
"""The number of the slice, the offset in it, the number of the record, and the record."""


def corrected_in(
    source: Place, *, file_name: str | None = None, streams: Sequence[str] | None = None
) -> dict[int, Any]:
    """Return the records in a file of rejects, by their numbers in the job.

    Args:
        source: A path, or an open file, which is read once.
        file_name: What an open file is called; its name tells the format, which is csv where it tells none.
        streams: As for `open_reader`; None takes what the name says.

    Raises:
        InputError: it cannot be read, has no columns `record_number` and `record`, or names a record twice.
    """
    name = file_name or name_of(source)
    found: dict[int, Any] = {}
    for position, row in enumerate(_rows_in(source, name, streams), 1):
        if row is None:
            continue
        try:
            number, record = int(row["record_number"]), row["record"]
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{name}, row {position}: there is no record_number, or no record; download it anew"
            ) from None
        if number in found:
            raise InputError(f"{name}, row {position}: record {number} stands there twice; take one of them out")
        found[number] = Written(record)
    return found


def _rows_in(source: Place, name: str, streams: Sequence[str] | None) -> Iterator[dict[str, Any] | None]:
    form = format_named(format_of(name) or FALLBACK)
    if isinstance(form, TableFormat):
        with form.read(source) as table:
            yield from (dict(zip(table.columns, cells, strict=True)) for cells in table)
        return
    columns: list[str] = []
    first = (lambda line: columns.extend(form.names(str(line, "utf-8")))) if form.has_header else None
    with open_reader(source, streams=streams) as stream:
        cut = cut_lines(stream, name=name, records_per_slice=1000, quoted=form.quotes_line_ends, on_first=first)
        for lines in cut:
            texts = lines.lines if lines.lines is not None else (lines.text or b"").split(b"\n")[:-1]
            yield from form.parse([str(text, "utf-8") for text in texts], columns or None)


def resubmit_records(job: BatchJob, corrected: Mapping[int, Any]) -> int:
    """Queue rejected records again, each as it is now; returns how many.

    A job that is completed, or failed, goes on with them; one that runs takes them up. All of them, or none.

    Args:
        job: The job, which is stored.
        corrected: Records by their number in the job.

    Raises:
        InputError: one of them is not among those that are rejected now.
        InvalidMove: the job is aborted, or in its own hooks.
        JobNotFound: it is gone.
        UnstorableValue: a record cannot be stored.
    """
    store = current_store()
    job.reload()
    _refuse_where_nothing_is_taken(job.row)
    entries = _entries(store, job, corrected)
    if entries and not _appended(store, job, entries):
        return resubmit_records(job, corrected)  # It has ended meanwhile.
    return len(entries)


def _appended(store: Store, job: BatchJob, entries: list[_Entry]) -> bool:
    """Queue records; False where the job, which was under way, is so no more."""

    def append() -> None:
        me = presence_name(store)
        taken = store.take_back_rejects(job.id, REJECTS, [entry[:2] for entry in entries], by=me)
        if taken != len(entries):
            raise InputError(f"job {job.id}: some of these records were resubmitted by somebody else; look again")
        store.append_slices(job.id, CATEGORY, list(_slices(job, entries)))

    move = _MOVES.get(job.state)
    if move is not None:
        move_stored(store, job, move, along=append)
        return True
    with store.transaction():
        present = store.job(job.id)
        if present is None or present.state in _MOVES:
            return False
        _refuse_where_nothing_is_taken(present)
        append()
    return True


def rejected_now(store: Store, job: BatchJob) -> dict[int, tuple[int, int, Any]]:
    """Return by the number of each rejected record the number of its slice, its offset in that, and the record."""
    payloads = Payloads(job.id)
    found = {}
    for row in store.outputs(job.id, REJECTS):
        for told in decode_records(payloads.open(row.payload, place_of_output(REJECTS, row.number, row.part))):
            found[int(told["record_number"])] = (row.number, row.part, told["record"])
    return found


def _refuse_where_nothing_is_taken(row: JobRow) -> None:
    if row.state is State.ABORTED:
        raise InvalidMove(f"job {row.id} is aborted: its records were dropped")
    if row.state is State.RUNNING and row.sub_state is not SubState.PROCESSING:
        raise InvalidMove(f"job {row.id} is in its {row.sub_state}_batch; resubmit when that has ended")


def _entries(store: Store, job: BatchJob, corrected: Mapping[int, Any]) -> list[_Entry]:
    known = rejected_now(store, job)
    unknown = sorted(corrected.keys() - known.keys())
    if unknown:
        raise InputError(
            f"record {unknown[0]} of job {job.id} is not rejected now{_and_others(len(unknown) - 1)}; "
            "download the rejects anew"
        )
    entries = []
    for number in sorted(corrected):
        slice_number, offset, rejected = known[number]
        record = corrected[number]
        if isinstance(record, Written):
            record = record.like(rejected, f"record {number} of job {job.id}")
        entries.append((slice_number, offset, number, record))
    return entries


def _and_others(count: int) -> str:
    return f", nor {'are' if count > 1 else 'is'} {count} of the others" if count else ""


def _slices(job: BatchJob, entries: list[_Entry]) -> Iterator[NewSlice]:
    payloads, wraps = Payloads(job.id), job.payload_wrapping(job.input_category)
    remaining = iter(entries)
    while run := list(islice(remaining, job.slice_size)):
        payload, first_record = payload_of_resubmitted(run), run[0][2]
        if wraps:
            payload = payloads.wrap(payload, place_of_input(first_record), **wraps)
        yield NewSlice(first_record, len(run), payload)
