"""Jobs as people see them: listed, shown, checked."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from penstock.batch.categories import InputCategory
from penstock.errors import JobNotFound
from penstock.model.failure import SEALED_MESSAGE, Failure, parse_failure
from penstock.model.moves import standing_of
from penstock.model.sealing import is_sealed
from penstock.records import decode_value
from penstock.service.auditing import trail_of_job
from penstock.service.finding import QUEUED_NOW, SCHEDULED, Asked, part_of_queued, query_of
from penstock.service.holding import why_waiting
from penstock.service.times import iso_text
from penstock.states import FINAL, SliceState, State, SubState, moves_from
from penstock.store import without_password
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, SliceRow

View = dict[str, Any]
"""Something as plain data, ready to be JSON."""


SEALED = "(sealed)"
"""Shown in place of what is sealed. Nobody needs a key to look at jobs."""
_TIMES = ("created_at", "run_at", "expires_at", "started_at", "completed_at")
_MORE_TIMES = ("throttled_at", "held_until")
_MORE = (
    "worker", "attempt", "crash_count", "destroy_on_complete", "throttled_by", "throttle_group", "limit_name",
    "unique_key", "pending_hooks",
)  # fmt: skip
"""What `show_job` tells beyond a line of the list."""


def list_jobs(store: Store, asked: Asked | None = None) -> list[View]:
    """Return the jobs that are asked for, newest first by default, with why they wait and how far they are.

    Raises:
        InvalidQuery: what is asked means nothing.
    """
    rows = list(store.find_jobs(query_of(asked or Asked())))
    reasons = why_waiting(store, rows)
    return [{**view_of_job(row), "why_waiting": reasons[row.id], **progress_of(store, row)} for row in rows]


def count_jobs(store: Store, asked: Asked | None = None) -> dict[str, int]:
    """Return how many of the jobs that are asked for are in each state; of those queued, how many now and for later.

    Raises:
        InvalidQuery: what is asked means nothing.
    """
    query = query_of(asked or Asked())
    counts = store.count_by_state(query)
    told: dict[str, int] = {}
    for state in State:
        told[str(state)] = counts.get(state, 0)
        if state is State.QUEUED:
            now = store.count_jobs(part_of_queued(query, QUEUED_NOW)) if told[str(state)] else 0
            told |= {QUEUED_NOW: now, SCHEDULED: max(0, told[str(state)] - now)}
    return told


def show_job(store: Store, job_id: UUID) -> View:
    """Return everything about one job: its fields, why it waits, its slices, what may be done with it.

    Raises:
        JobNotFound: there is no such job.
    """
    row = get_job(store, job_id)
    view = view_of_everything(store, row)
    if row.batch:
        counts = store.slice_counts(job_id)
        view["slices"] = {str(state): counts.get(state, 0) for state in SliceState}
        view["failed_records"] = list(failed_records(store, row))
    view["audit"] = trail_of_job(store, job_id)
    return view


def view_of_everything(store: Store, row: JobRow) -> View:
    """Return what is told of a job without reading its slices."""
    view = {**view_of_job(row), **progress_of(store, row), "why_waiting": why_waiting(store, [row])[row.id]}
    view |= {name: getattr(row, name) for name in _MORE}
    view |= {name: iso_text(getattr(row, name)) for name in _MORE_TIMES}
    view["moves"] = [str(move) for move in moves_from(standing_of(row))]
    view["fields"] = {name: told_of_field(value) for name, value in json.loads(row.fields).items()}
    view["result"] = _result_of(row)
    failure = parse_failure(row.exception)
    view["exception"] = _view_of_failure(failure) if failure else None
    return view


def check_job(store: Store, job_id: UUID) -> View:
    """Add up where every record of a batch job is. `balanced` says whether none is missing or doubled.

    Raises:
        JobNotFound: there is no such job.
    """
    row = get_job(store, job_id, drafts=True)
    accounts = store.accounts(job_id)
    placed = accounts.queued + accounts.running + accounts.failed + accounts.processed
    uploading = row.batch and (row.record_count is None or row.uploader is not None or row.sub_state is SubState.BEFORE)
    # What an upload under way has stored counts only when it has ended, but it is there.
    uploaded = max(placed, accounts.uploaded) if uploading else accounts.uploaded
    # To abort a job is to give up its records.
    dropped = max(0, uploaded - placed) if row.state is State.ABORTED else 0
    view: View = {**accounts._asdict(), "uploaded": uploaded, "placed": placed, "dropped": dropped}
    balanced = uploaded == placed + dropped and accounts.missing_payloads == 0
    named = {"id": str(job_id), "kind": row.kind, "state": str(row.state)}
    return {**named, **view, "uploading": uploading, "balanced": balanced}


def failed_records(store: Store, row: JobRow) -> Iterator[View]:
    """Yield the record at which each failed slice stopped, with its file and line, in input order."""
    category = InputCategory.model_validate(json.loads(row.fields).get("input_category", {}))
    for failed in store.failed_slices(row.id):
        yield _view_of_failed(failed, category)


def get_job(store: Store, job_id: UUID, *, drafts: bool = False) -> JobRow:
    """Return a stored job.

    Raises:
        JobNotFound: there is none, or only a draft and `drafts` is false.
    """
    row = store.job(job_id)
    if row is None or (row.draft and not drafts):
        raise JobNotFound(
            f"there is no job {job_id} in {without_password(store.url)}; it may have been completed and destroyed"
        )
    return row


def view_of_job(row: JobRow) -> View:
    """Return a job as one line of a list shows it."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "state": str(row.state),
        "sub_state": row.sub_state and str(row.sub_state),
        "priority": row.priority,
        "description": told_of_field(json.loads(row.fields).get("description")),
        "batch": row.batch,
        "record_count": row.record_count,
        "failure_count": row.failure_count,
        "server": row.server,
        **{name: iso_text(getattr(row, name)) for name in _TIMES},
    }


def line_of_job(row: JobRow) -> View:
    """Return a job as the console lists it: with whose it is, and how it failed in a line."""
    failure = parse_failure(row.exception)
    login = told_of_field(json.loads(row.fields).get("login"))
    return {**view_of_job(row), "login": login, "error": failure.summary if failure else None}


def progress_of(store: Store, row: JobRow) -> View:
    """Return how far a job is: `percent_complete` and, of a batch job, how many records are `processed`.

    Both are None where that means nothing: the records of an aborted job are gone.
    """
    if not row.batch:
        return {"percent_complete": row.percent_complete}
    if row.state in FINAL:
        completed = row.state is State.COMPLETED
        return {"percent_complete": 100 if completed else None, "processed": row.record_count if completed else None}
    processed = store.progress(row.id).processed
    return {"percent_complete": 100 * processed // row.record_count if row.record_count else 0, "processed": processed}


def told_of_field(value: Any) -> Any:
    """Return the value of a field as people may see it: what is sealed is not told."""
    return SEALED if is_sealed(value) else value


def _result_of(row: JobRow) -> Any:
    if row.result is None:
        return None
    return to_jsonable_python(decode_value(row.result), bytes_mode="base64", inf_nan_mode="strings", fallback=str)


def _view_of_failure(failure: Failure) -> View:
    message = SEALED if failure.message.startswith(SEALED_MESSAGE) else failure.message
    return {**asdict(failure), "message": message}


def _view_of_failed(failed: SliceRow, category: InputCategory) -> View:
    failure = parse_failure(failed.exception)
    number = failure.record_number if failure and failure.record_number else failed.failed_record
    file_name, line = category.locate(number)
    return {
        "record": number,
        "file": file_name,
        "line": line,
        "slice": failed.number,
        "error": failure.summary if failure else None,
        "backtrace": failure.backtrace if failure else [],
    }
