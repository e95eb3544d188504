"""Jobs as people see them: listed, shown, checked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.batch.categories import InputCategory
from penstock.errors import JobNotFound
from penstock.model.failure import parse_failure
from penstock.model.moves import standing_of
from penstock.query import Query
from penstock.states import SliceState, State, SubState, moves_from
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, SliceRow

View = dict[str, Any]
"""Something as plain data, ready to be JSON."""


def list_jobs(
    store: Store, *, states: Sequence[str] = (), kinds: Sequence[str] = (), limit: int | None = None
) -> list[View]:
    """Return jobs, newest first.

    Raises:
        ValueError: there is no such state.
    """
    query = Query(kinds=tuple(kinds), states=tuple(map(State, states)), newest_first=True, limit=limit)
    return [view_of_job(row) for row in store.find_jobs(query)]


def show_job(store: Store, job_id: UUID) -> View:
    """Return everything about one job: its fields, its slices, what may be done with it.

    Raises:
        JobNotFound: there is no such job.
    """
    row = get_job(store, job_id)
    view = view_of_job(row)
    view["moves"] = [str(move) for move in moves_from(standing_of(row))]
    view["fields"] = json.loads(row.fields)
    failure = parse_failure(row.exception)
    view["exception"] = asdict(failure) if failure else None
    if row.batch:
        counts = store.slice_counts(job_id)
        view["slices"] = {str(state): counts.get(state, 0) for state in SliceState}
        view["processed"] = store.progress(job_id).processed
        view["failed_records"] = list(failed_records(store, row))
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
        raise JobNotFound(f"there is no job {job_id} in {store.url}; it may have been completed and destroyed")
    return row


def view_of_job(row: JobRow) -> View:
    """Return a job as one line of a list shows it."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "state": str(row.state),
        "sub_state": row.sub_state and str(row.sub_state),
        "priority": row.priority,
        "description": json.loads(row.fields).get("description"),
        "batch": row.batch,
        "record_count": row.record_count,
        "failure_count": row.failure_count,
        "server": row.server,
        **{
            name: _text(getattr(row, name))
            for name in ("created_at", "run_at", "expires_at", "started_at", "completed_at")
        },
    }


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


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
