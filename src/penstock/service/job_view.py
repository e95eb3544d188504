"""One job as its page shows it: everything that is told of it, each part bounded however large the job is."""

import json
from itertools import islice
from typing import Any
from uuid import UUID

from penstock.batch.categories import InputCategory
from penstock.batch.job import BatchJob
from penstock.batch.statistics import nested
from penstock.model.failure import parse_failure
from penstock.model.fields import has_fact
from penstock.model.job import Job
from penstock.model.kinds import known_kinds
from penstock.model.sealing import is_sealed
from penstock.service.auditing import trail_of_job
from penstock.service.forms import describe_field
from penstock.service.jobs import View, get_job, view_of_everything
from penstock.service.listing import COUNTED
from penstock.service.moving import ACTIONS
from penstock.service.overview import pace_of
from penstock.service.people import By, may, person_of
from penstock.service.times import iso_text
from penstock.states import SliceState
from penstock.store.protocol import Store
from penstock.store.rows import JobRow
from penstock.store.trail import LINES_OF_JOB

STRIP = 120
"""Parts of a strip of slices where nobody asks for another number."""
MOST_STRIP = 500
GROUPED = 1_000
"""Failed slices that are read to group their exceptions; of more, the first."""
EXAMPLES = 5
"""Records that are named for a group."""


def view_job(store: Store, job_id: UUID, *, by: By) -> View:
    """Return everything about one job, each part bounded: where a count is `COUNTED`, there may be more.

    Raises:
        JobNotFound: there is no such job.
    """
    row = get_job(store, job_id)
    view = view_of_everything(store, row)
    view |= pace_of(store, row) if row.batch else {}
    view["actions"] = actions_on(store, row, by)
    view["fields"] = _fields(row)
    view["timeline"] = timeline_of(store, row)
    view["audit"] = trail_of_job(store, job_id)
    if row.batch:
        counts = store.slice_counts_up_to(job_id, COUNTED)
        view["slices"] = {str(state): counts.get(state, 0) for state in SliceState}
        view["rejected"] = store.progress(job_id).rejected
        view["statistics"] = nested(store.statistics(job_id))
        view["categories"] = _categories(row)
    return view


def actions_on(store: Store, row: JobRow, by: By) -> list[str]:
    """Return what this person may do to a job as it is now, of `ACTIONS` and `edit`."""
    person = person_of(by)
    named = view_moves(row)
    found = [
        action.name
        for action in ACTIONS.values()
        if may(person, action.right, row)
        and row.state in action.states
        and (action.name in named or action.name in ("destroy", "run-now"))
        and (action.name != "run-now" or bool(row.run_at or row.held_until))
    ]
    return [*found, *(["edit"] if may(person, "job.edit", row) else [])]


def view_moves(row: JobRow) -> list[str]:
    """Return the moves that apply to a job as it is."""
    from penstock.model.moves import standing_of
    from penstock.states import moves_from

    return [str(move) for move in moves_from(standing_of(row))]


def timeline_of(store: Store, row: JobRow) -> list[View]:
    """Return what happened to a job, the oldest first: moves, failures that were retried, and what people did."""
    fields = json.loads(row.fields)
    told: list[View] = [{"at": iso_text(row.created_at), "what": "created", "who": None, "detail": None}]
    told += _moment(row.started_at, "started", f"attempt {row.attempt}" if row.attempt > 1 else None)
    told += _moment(row.throttled_at, "held back", row.throttled_by)
    errors = fields.get("errors") or []
    failed_at = fields.get("failed_at_list") or []
    behind = len(failed_at) - len(errors)
    for number, moment in enumerate(failed_at[-25:], max(0, len(failed_at) - 25)):
        error = errors[number - behind] if 0 <= number - behind < len(errors) else None
        told.append({"at": moment, "what": "failed", "who": None, "detail": _plain(error)})
    told += _moment(row.completed_at, str(row.state), _reason(row))
    for line in trail_of_job(store, row.id):
        detail = line["error"] or None
        told.append({"at": line["at"], "what": line["action"], "who": line["who"], "detail": detail})
    told += _moment(row.run_at, "due", None)
    return sorted(told, key=lambda it: str(it["at"]))


def strip_of_slices(store: Store, job_id: UUID, *, parts: int = STRIP) -> list[View]:
    """Return the slices of a batch job as runs, in the order of the input; what is in no state of a run is done.

    Raises:
        JobNotFound: there is no such job.
    """
    get_job(store, job_id)
    return [
        {**part._asdict(), "state": _state_of(part)}
        for part in store.slice_strip(job_id, min(max(1, parts), MOST_STRIP))
    ]


def failures_of_job(store: Store, job_id: UUID) -> View:
    """Return the exceptions of failed slices by class, the most frequent first, with a few of their records.

    `read` tells how many failed slices were looked at: `GROUPED` at most.

    Raises:
        JobNotFound: there is no such job.
    """
    row = get_job(store, job_id)
    category = _input_of(row)
    groups: dict[str, View] = {}
    read = 0
    for found in islice(store.failed_slices(job_id), GROUPED):
        read += 1
        failure = parse_failure(found.exception)
        name = failure.class_name if failure else "unknown"
        group = groups.setdefault(name, {"class_name": name, "count": 0, "messages": {}, "examples": []})
        group["count"] += 1
        message = failure.summary if failure else ""
        if message in group["messages"] or len(group["messages"]) < EXAMPLES:
            group["messages"][message] = group["messages"].get(message, 0) + 1
        if len(group["examples"]) < EXAMPLES:
            number = failure.record_number if failure and failure.record_number else found.failed_record
            file_name, line = category.locate(number)
            group["examples"].append({"slice": found.number, "record": number, "file": file_name, "line": line})
    ordered = sorted(groups.values(), key=lambda group: (-group["count"], group["class_name"]))
    return {"id": str(job_id), "groups": ordered, "read": read, "more": read >= GROUPED}


def log_of_job(store: Store, job_id: UUID, *, after: int = 0, limit: int = LINES_OF_JOB) -> list[View]:
    """Return the last lines that a job logged, the oldest first; with `after`, an `id`, those behind it.

    Nothing is kept of what jobs log of which anything is sealed.
    """
    lines = store.log_lines(job_id, after=after, limit=min(max(1, limit), LINES_OF_JOB))
    return [{**line._asdict(), "job_id": str(line.job_id), "at": iso_text(line.at)} for line in lines]


def _state_of(part: Any) -> str:
    if part.failed is not None:
        return "failed"
    if part.running:
        return "running"
    return "queued" if part.queued is not None else "done"


def _moment(at: Any, what: str, detail: str | None) -> list[View]:
    return [] if at is None else [{"at": iso_text(at), "what": what, "who": None, "detail": detail}]


def _reason(row: JobRow) -> str | None:
    failure = parse_failure(row.exception)
    return _plain(failure.summary) if failure else None


def _plain(text: Any) -> str | None:
    from penstock.model.failure import SEALED_MESSAGE
    from penstock.service.jobs import SEALED

    if text is None:
        return None
    return SEALED if is_sealed(text) or SEALED_MESSAGE in str(text) else str(text)


def _fields(row: JobRow) -> list[View]:
    """Return the fields of a job with what is known of them; standard ones that a person may edit are among them."""
    from penstock.service.jobs import told_of_field

    cls = known_kinds().get(row.kind)
    document = json.loads(row.fields)
    editable = set(cls.editable_fields()) if cls is not None else set()
    names = dict.fromkeys([*document, *sorted(editable)])
    return [_field(cls, row, name, told_of_field(document.get(name)), name in editable) for name in names]


def _field(cls: type[Job] | None, row: JobRow, name: str, value: Any, editable: bool) -> View:
    if hasattr(row, name):
        value = getattr(row, name)
        value = iso_text(value) if hasattr(value, "isoformat") else value
    info = cls.model_fields.get(name) if cls is not None else None
    told = describe_field(name, info) if info is not None else {"name": name}
    sealed = info is not None and has_fact(info, "encrypted")
    return {**told, "value": value, "editable": editable, "sealed": sealed}


def _categories(row: JobRow) -> View:
    fields = json.loads(row.fields)
    cls = known_kinds().get(row.kind)
    outputs = fields.get("output_categories") or []
    if not outputs and cls is not None and issubclass(cls, BatchJob):
        from penstock.model.job import load_as

        job = load_as(BatchJob, row)
        assert isinstance(job, BatchJob)
        outputs = [category.model_dump(mode="json") for category in job.stored_categories()]
    source = dict(fields.get("input_category") or {})
    uploads = source.pop("uploads", [])
    source["uploads"] = [
        {"file_name": it.get("file_name"), "first_record": it["first_record"], "record_count": it["record_count"]}
        for it in uploads[:100]
    ]
    return {"input": source, "outputs": outputs}


def _input_of(row: JobRow) -> InputCategory:
    return InputCategory.model_validate(json.loads(row.fields).get("input_category", {}))
