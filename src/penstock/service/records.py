"""Records of batch jobs that failed or were rejected, as people see and mend them."""

from collections.abc import Callable, Collection
from typing import IO, Any
from uuid import UUID

from penstock.batch.categories import InputCategory
from penstock.batch.job import BatchJob
from penstock.batch.repair import delete_failed, edit_record, exceptions_of, open_failed_slice, reject_failed
from penstock.batch.resubmit import corrected_in, resubmit_records
from penstock.errors import ConfigurationError, InvalidMove, SealError
from penstock.model.failure import parse_failure
from penstock.model.job import load_as
from penstock.model.kinds import known_kinds
from penstock.model.moves import move_job
from penstock.service.auditing import acting, target_of_job
from penstock.service.blame import told_of_user_code
from penstock.service.escapes import escaped, restored
from penstock.service.jobs import SEALED, View, get_job
from penstock.service.people import By, may, person_of
from penstock.service.uploads import opened_upload, refuse_path
from penstock.states import Move, State
from penstock.store.protocol import Store
from penstock.store.rows import SliceRow

RETRIED = 10_000
"""Failed slices that are queued again at once."""
NOT_SHOWN = "(for editors)"
"""Stands in place of a record that a person may not read."""


def failed_of_job(store: Store, job_id: UUID, *, by: By) -> View:
    """Return what went wrong in a batch job: its exceptions by class, and the record at which each slice stopped.

    Records are in the order of the input, each with file, line and the record, where `by` may read it
    and it can be opened.

    Raises:
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
    """
    job = _batch_job(store, job_id)
    groups = [group._asdict() for group in exceptions_of(store, job_id)]
    return {"id": str(job_id), "exceptions": groups, "failed": _failed_records(store, job, by)}


def show_failed_slice(store: Store, job_id: UUID, slice_number: int, *, by: By) -> View:
    """Return a failed slice with its records as text that can be edited; `previous` and `next` lead to the others.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job, or the keyring is missing that it takes.
        InputError: the slice is not failed.
        SealError: it does not open.
    """
    with acting(store, by, "record.read", target_of_job(job_id)) as act:
        job = _batch_job(store, job_id)
        found = open_failed_slice(job, slice_number)
        act.note(after={"slice": slice_number})
    failure, category = found.failure, job.input_category
    # A slice of what was resubmitted has records from anywhere.
    records = []
    for at, (number, record) in enumerate(zip(found.record_numbers, found.records, strict=True)):
        file_name, line = category.locate(number)
        records.append(
            {
                "record_number": number,
                "text": escaped(record),
                "type": type(record).__name__,
                "file": file_name,
                "line": line,
                "done": at < found.done,
                "failed": number == found.stopped_at,
            }
        )
    behind = next((row.number for row in store.failed_slices(job_id, after=slice_number)), None)
    return {
        "id": str(job_id),
        "slice": found.slice_number,
        "failed_record": found.stopped_at,
        "error": failure.summary if failure else None,
        "class_name": failure.class_name if failure else None,
        "backtrace": failure.backtrace if failure else [],
        "records": records,
        "next": behind,
    }


def retry_failures(
    store: Store, job_id: UUID, *, by: By, class_name: str | None = None, numbers: Collection[int] = ()
) -> View:
    """Queue failed slices of a batch job again: those with this class of exception, or with these numbers.

    The others stay failed. A job that has failed runs again for them, and fails again when they are through.

    Returns:
        How many slices were `retried`: `RETRIED` at most at once; `more` tells whether some are left.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        InvalidMove: no such slice is failed, or the job is neither failed nor running.
    """
    row = store.job(job_id)
    with acting(store, by, "job.retry", target_of_job(job_id), job=row) as act:
        row = get_job(store, job_id)
        found = [it.slice_id for it in store.failed_slices(job_id) if _is_among(it, class_name, numbers)]
        chosen = found[:RETRIED]
        if not chosen:
            raise InvalidMove(f"job {job_id}: no slice is failed with {class_name or sorted(numbers)}; look again")
        told = {"slices": len(chosen), "class_name": class_name, "numbers": sorted(numbers)[:100] or None}
        if row.state is State.RUNNING:
            with store.transaction():
                done = store.retry_slices(job_id, only=chosen)
                act.note(after=told)
        else:
            with told_of_user_code(row.kind):
                move_job(store, job_id, Move.RETRY, along=lambda: act.note(after=told), slices=chosen)
            done = len(chosen)
    return {"id": str(job_id), "retried": done, "more": len(found) > len(chosen)}


def _is_among(row: SliceRow, class_name: str | None, numbers: Collection[int]) -> bool:
    if class_name is None:
        return row.number in numbers
    failure = parse_failure(row.exception)
    return (failure.class_name if failure else "unknown") == class_name


def edit_failed_text(store: Store, job_id: UUID, record_number: int, text: str, *, by: By) -> View:
    """Put an edited text, escaped as `show_failed_slice` gave it, in the place of a record; types stay as they were.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
        InputError: no failed slice holds the record, it is done, or the text cannot be what it was.
        JobChanged: the slice was retried or edited meanwhile.
    """
    which = f"record {record_number} of job {job_id}"
    return _edit(store, job_id, record_number, by, lambda before: restored(text, before, which))


def edit_failed_record(store: Store, job_id: UUID, record_number: int, record: str, *, by: By) -> View:
    """Put another record in the place of one that a failed slice has not done. `retry` then performs it.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
        InputError: no failed slice holds the record, it is done, or it was no text.
        JobChanged: the slice was retried or edited meanwhile.
    """
    return _edit(store, job_id, record_number, by, lambda _: record)


def _edit(store: Store, job_id: UUID, record_number: int, by: By, make: Callable[[Any], Any]) -> View:
    with acting(store, by, "record.edit", target_of_job(job_id)) as act, store.transaction():
        job = _batch_job(store, job_id)
        before, after = edit_record(job, record_number, make)
        old, new = (SEALED, SEALED) if job.seals_anything else (before, after)
        act.note({"record_number": record_number, "record": old}, {"record": new})
    return {"id": str(job_id), "record": record_number}


def reject_failed_record(store: Store, job_id: UUID, record_number: int, *, by: By) -> View:
    """Reject the record at which a slice stopped, so that `retry` goes on behind it.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
        InputError: no failed slice stopped at the record.
        JobChanged: the slice was retried or edited meanwhile.
    """
    with acting(store, by, "record.reject", target_of_job(job_id)) as act, store.transaction():
        reject_failed(_batch_job(store, job_id), record_number)
        act.note({"record_number": record_number})
    return {"id": str(job_id), "record": record_number}


def delete_failed_record(store: Store, job_id: UUID, record_number: int, *, by: By) -> View:
    """Drop the record at which a slice stopped, so that `retry` goes on behind it. Only the audit keeps it.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
        InputError: no failed slice stopped at the record.
        JobChanged: the slice was retried or edited meanwhile.
    """
    with acting(store, by, "record.delete", target_of_job(job_id)) as act, store.transaction():
        job = _batch_job(store, job_id)
        record = delete_failed(job, record_number)
        act.note({"record_number": record_number, "record": SEALED if job.seals_anything else record})
    return {"id": str(job_id), "record": record_number}


def resubmit_job(
    store: Store, job_id: UUID, source: "str | IO[bytes]", *, by: By, file_name: str | None = None
) -> View:
    """Have rejected records performed again, corrected in the file that was downloaded.

    Args:
        store: The store, which must be the current one.
        job_id: The job.
        source: The file: a path, or an open file, which is read once as it comes.
        by: Who resubmits.
        file_name: What an open file is called; its name tells its format and how it is compressed.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job.
        InputError: the file cannot be read, or a record is not among those that are rejected now.
        InvalidMove: the job is aborted, or in its own hooks.
    """
    with acting(store, by, "record.resubmit", target_of_job(job_id)) as act:
        job = _batch_job(store, job_id)
        if act.person.remote and isinstance(source, str):
            refuse_path(source)
        with opened_upload(source, file_name) as (opened, options):
            corrected = corrected_in(opened, **options)
        with store.transaction():
            done = resubmit_records(job, corrected)
            act.note(after={"resubmitted": done})
    return {"id": str(job_id), "resubmitted": done, "state": str(job.state)}


def _batch_job(store: Store, job_id: UUID) -> BatchJob:
    row = get_job(store, job_id)
    if not row.batch:
        raise ConfigurationError(f"job {job_id} is no batch job: it has no records")
    with told_of_user_code(row.kind):
        job = load_as(known_kinds().get(row.kind, BatchJob), row)
    assert isinstance(job, BatchJob)
    return job


def _failed_records(store: Store, job: BatchJob, by: By) -> list[View]:
    allowed = may(person_of(by), "record.read")
    try:
        records: dict[int, Any] = (
            {found.record_number: found.record for found in job.each_failed_record()} if allowed else {}
        )
    except (SealError, ConfigurationError):  # Nobody needs a key to look at jobs.
        records = {}
    category: InputCategory = job.input_category
    told = []
    for row in store.failed_slices(job.id):
        number = row.failed_record
        failure = parse_failure(row.exception)
        file_name, line = category.locate(number)
        told.append(
            {
                "record_number": number,
                "file": file_name,
                "line": line,
                "error": failure.summary if failure else None,
                "record": records.get(number, SEALED if allowed else NOT_SHOWN),
            }
        )
    return told
