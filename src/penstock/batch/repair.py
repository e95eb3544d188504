"""Records that failed: looked at, corrected in their slice, or rejected or deleted so that the rest can go on."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from penstock.batch.categories import MAIN, REJECTS
from penstock.batch.job import BatchJob
from penstock.batch.payloads import Payloads, place_of_input, place_of_output
from penstock.batch.rejects import Places, Rejected, payload_of_resubmitted, places_of
from penstock.errors import InputError, JobChanged
from penstock.model.failure import Failure, parse_failure
from penstock.model.sealing import opened_message
from penstock.records import decode_records, encode_records
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import NewOutput, SliceRow


class FailedRecord(NamedTuple):
    """The record at which a slice stopped."""

    record_number: int
    """In the job, from 1."""
    record: Any
    """As it is stored: the line, or the value that was uploaded."""
    failure: Failure | None
    slice_number: int


class OpenedSlice(NamedTuple):
    """A failed slice with its records."""

    slice_number: int
    slice_id: int
    record_numbers: list[int]
    records: list[Any]
    done: int
    """How many of its records are done: they are not performed again."""
    stopped_at: int
    """The number of the record that failed."""
    failure: Failure | None


class GroupedExceptions(NamedTuple):
    """Failed records that have the class of their exception in common."""

    class_name: str
    messages: dict[str, int]
    """How many records failed with each message, the most frequent first."""
    records: list[int]
    """Their numbers, in order."""


def each_failed_record(job: BatchJob) -> Iterator[FailedRecord]:
    """Yield the record at which each failed slice stopped, in input order.

    Raises:
        SealError: a slice is sealed, and does not open.
    """
    store = current_store()
    for row in store.failed_slices(job.id):
        found = _opened(store, job, row)
        if found is not None:
            at = found.stopped_at
            number = found.places.record_number(at)
            yield FailedRecord(number, found.records[at], parse_failure(row.exception), row.number)


def open_failed_slice(job: BatchJob, slice_number: int) -> OpenedSlice:
    """Return a failed slice of the main input, or of what was resubmitted, with its records.

    Raises:
        InputError: no failed slice has the number.
        SealError: it is sealed, and does not open.
    """
    store = current_store()
    row = next((row for row in store.failed_slices(job.id, after=slice_number - 1) if row.number == slice_number), None)
    found = None if row is None else _opened(store, job, row)
    if row is None or found is None:
        raise InputError(f"job {job.id}: slice {slice_number} is not failed now; `penstock jobs failed` lists them")
    numbers = [found.places.record_number(at) for at in range(row.record_count)]
    stopped = numbers[found.stopped_at]
    return OpenedSlice(
        row.number, row.slice_id, numbers, found.records, row.done, stopped, parse_failure(row.exception)
    )


def exceptions_of(store: Store, job_id: UUID) -> list[GroupedExceptions]:
    """Return the exceptions of a job's failed slices by class, the most frequent first; ties by name."""
    messages: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    records: defaultdict[str, list[int]] = defaultdict(list)
    for row in store.failed_slices(job_id):
        failure = parse_failure(row.exception)
        name = failure.class_name if failure else "unknown"
        messages[name][failure.summary if failure else ""] += 1
        number = failure.record_number if failure else None
        records[name].append(number or row.failed_record)
    groups = [
        GroupedExceptions(name, dict(sorted(told.items(), key=lambda item: -item[1])), records[name])
        for name, told in messages.items()
    ]
    return sorted(groups, key=lambda group: (-len(group.records), group.class_name))


def edit_record(job: BatchJob, record_number: int, make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Put another record in the place of one of a failed slice that is not done yet; `retry` then performs it.

    `make` is given the record that is there. Returns both.

    Raises:
        InputError: no failed slice holds it, or it is done.
        JobChanged: the slice was retried or edited meanwhile.
        UnstorableValue: it cannot be stored.
    """
    store = current_store()
    row, places, records, at = _failed_slice(store, job, record_number)
    before = records[at]
    records[at] = make(before)
    if places.scattered:
        edited = payload_of_resubmitted([(*entry, it) for entry, it in zip(places.entries, records, strict=True)])
    else:
        edited = encode_records(records)
    wraps = job.payload_wrapping(job.input_category)
    if wraps:
        edited = Payloads(job.id).wrap(edited, place_of_input(row.first_record), **wraps)
    if not store.edit_failed_slice(row, job.id, edited):
        raise _changed(job, record_number)
    return before, records[at]


def reject_failed(job: BatchJob, record_number: int) -> None:
    """Reject the record at which a slice stopped: the output goes on without it, and it can be resubmitted.

    Raises:
        InputError: no failed slice stopped at it.
        JobChanged: the slice was retried or edited meanwhile.
    """
    store = current_store()
    row, places, records, at = _stopped_at(store, job, record_number, "reject")
    rejected = Rejected(record_number, _reason(job, row), records[at])
    place = places.place(at)
    kept = encode_records([rejected.value(job)])
    if job.seals_anything:
        kept = Payloads(job.id).wrap(kept, place_of_output(REJECTS, *place), compress=False, encrypt=True)
    output = NewOutput(REJECTS, 1, kept, place)
    with store.transaction():
        # What was rejected is nowhere else, and this may be the last record that the job waits for.
        store.update_job(job.id, {"destroy_on_complete": False})
        if not store.pass_failed_record(row, job.id, output, by=presence_name(store)):
            raise _changed(job, record_number)


def delete_failed(job: BatchJob, record_number: int) -> Any:
    """Drop the record at which a slice stopped: the output goes on without it, and nothing of it is kept.

    It counts as processed, so that the records still add up to those that were uploaded. Returns it.

    Raises:
        InputError: no failed slice stopped at it.
        JobChanged: the slice was retried or edited meanwhile.
    """
    store = current_store()
    row, _, records, at = _stopped_at(store, job, record_number, "delete")
    if not store.pass_failed_record(row, job.id, None, by=presence_name(store)):
        raise _changed(job, record_number)
    return records[at]


class _Opened(NamedTuple):
    """A failed slice, and what is in it."""

    row: SliceRow
    places: Places
    records: list[Any]
    at: int = 0
    """Which of its records it is about."""

    @property
    def stopped_at(self) -> int:
        """Which of its records failed: the first that is not done, unless it begins again before that."""
        row, failure = self.row, parse_failure(self.row.exception)
        for at in range(row.done, row.record_count):
            if failure is not None and self.places.record_number(at) == failure.record_number:
                return at
        return min(row.done, row.record_count - 1)


def _opened(store: Store, job: BatchJob, row: SliceRow) -> _Opened | None:
    """Return a failed slice with its records; None when it is failed no more."""
    stored = store.failed_payload(row, job.id)
    if stored is None:
        return None
    payload = Payloads(job.id).open(stored, place_of_input(row.first_record))
    places = places_of(payload, row.number, row.first_record)
    return _Opened(row, places, decode_records(payload) if places.records is None else places.records)


def _failed_slice(store: Store, job: BatchJob, record_number: int) -> _Opened:
    """Return the failed slice that has a record still to do, those that came back before all others."""
    rows = [row for row in store.failed_slices(job.id) if row.category != MAIN]
    rows += filter(None, [store.failed_slice(job.id, record_number)])
    for row in rows:
        found = _opened(store, job, row)
        numbers = found.places.numbers if found and found.places.scattered else None
        if found is None or (numbers is not None and record_number not in numbers):
            continue
        at = record_number - row.first_record if numbers is None else numbers.index(record_number)
        if at < row.done:
            stopped = found.places.record_number(min(row.done, row.record_count - 1))
            raise InputError(f"job {job.id}: record {record_number} is done; its slice stopped at {stopped}")
        return found._replace(at=at)
    raise InputError(f"job {job.id}: no failed slice holds record {record_number}; `penstock jobs failed` lists them")


def _stopped_at(store: Store, job: BatchJob, record_number: int, act: str) -> _Opened:
    """Return the failed slice that stopped at a record of which, and of those before it, all is settled.

    Raises:
        InputError: no failed slice stopped at it, or the slice begins again before it.
    """
    found = _failed_slice(store, job, record_number)
    row, places = found.row, found.places
    if found.at != found.stopped_at:
        stopped = places.record_number(found.stopped_at)
        raise InputError(f"job {job.id}: slice {row.number} stopped at record {stopped}; {act} that one")
    if found.at != row.done:
        begins = places.record_number(row.done)
        raise InputError(
            f"job {job.id}: slice {row.number} begins again at record {begins}, of which there is no result yet; "
            f"correct record {record_number} instead"
        )
    return found


def _reason(job: BatchJob, row: SliceRow) -> str:
    """Return why a slice stopped in clear text: what is rejected is sealed as a whole where anything of the job is."""
    failure = parse_failure(row.exception)
    if failure is None:
        return ""
    return ": ".join(filter(None, (failure.class_name, opened_message(job.id, failure.message))))


def _changed(job: BatchJob, record_number: int) -> JobChanged:
    return JobChanged(f"job {job.id}: the slice of record {record_number} was retried or edited meanwhile; look again")
