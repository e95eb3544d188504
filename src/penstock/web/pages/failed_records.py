"""A failed slice: the record that failed among those around it, to be corrected, rejected or deleted."""

from starlette.responses import Response

from penstock.errors import InputError, SealError
from penstock.ids import parse_id
from penstock.service.jobs import View, get_job, view_of_job
from penstock.service.records import delete_failed_record, edit_failed_text, reject_failed_record, show_failed_slice
from penstock.web.confirming import ask, is_confirmed
from penstock.web.routing import get, post
from penstock.web.visit import Visit

DELETING = (
    "No output will have it, and it cannot be resubmitted; what is behind it is performed. This cannot be undone."
)
NEAR = 20
"""Records that are shown before and behind the chosen one."""


@get("/jobs/{job_id}/failed/{number:int}")
def failed_slice(visit: Visit, job_id: str, number: int) -> Response:
    """Show a failed slice, by its number; `record` chooses another record than the one that failed."""
    record = visit.query.get("record", "")
    return _page(visit, job_id, number, int(record) if record.isdecimal() and len(record) < 16 else None)


@post("/jobs/{job_id}/failed/{number:int}/edit")
def edit(visit: Visit, job_id: str, number: int) -> Response:
    """Put what was typed in the place of a record."""
    typed, record = visit.text("text"), int(visit.text("record", "0"))
    try:
        edit_failed_text(visit.store, parse_id(job_id), record, typed, by=visit.person)
    except InputError as error:
        return _page(visit, job_id, number, record, typed=typed, error=error)
    said = f"Record {record:,} is corrected. Retry the job to have it performed."
    return visit.redirect(f"/jobs/{job_id}/failed/{number}", said, query={"record": record})


@post("/jobs/{job_id}/failed/{number:int}/reject")
def reject(visit: Visit, job_id: str, number: int) -> Response:
    """Go on without the record that failed."""
    record = int(visit.text("record", "0"))
    reject_failed_record(visit.store, parse_id(job_id), record, by=visit.person)
    said = f"Record {record:,} is rejected: it is in the output “rejects”. Retry the job to go on behind it."
    return visit.redirect(f"/jobs/{job_id}", said)


@post("/jobs/{job_id}/failed/{number:int}/delete")
def delete(visit: Visit, job_id: str, number: int) -> Response:
    """Go on without the record that failed, and keep nothing of it."""
    record = int(visit.text("record", "0"))
    if not is_confirmed(visit):
        return ask(
            visit,
            f"Delete record {record:,}?",
            DELETING,
            do="Delete it",
            target=f"/jobs/{job_id}/failed/{number}/delete",
            back=f"/jobs/{job_id}/failed/{number}",
        )
    delete_failed_record(visit.store, parse_id(job_id), record, by=visit.person)
    said = f"Record {record:,} is deleted. Retry the job to go on behind it."
    return visit.redirect(f"/jobs/{job_id}", said)


def _page(
    visit: Visit,
    job_id: str,
    number: int,
    record: int | None = None,
    *,
    typed: str | None = None,
    error: InputError | None = None,
) -> Response:
    found = parse_id(job_id)
    row = get_job(visit.store, found)
    view, trouble = _opened(visit, job_id, number)
    records = view["records"]
    wanted = view["failed_record"] if record is None else record
    at = next((index for index, each in enumerate(records) if each["record_number"] == wanted), 0)
    chosen = records[at] if records else None
    return visit.render(
        "failed_record.html",
        status=error.http_status if error else 200,
        job=view_of_job(row),
        slice=view,
        trouble=trouble,
        chosen=chosen,
        shown=records[max(0, at - NEAR) : at + NEAR + 1],
        typed=typed if typed is not None else chosen["text"] if chosen else "",
        error=str(error) if error else None,
        deleting=DELETING,
        may_retry=row.state == "failed" and visit.may("job.retry", row),
    )


def _opened(visit: Visit, job_id: str, number: int) -> tuple[View, str | None]:
    """Return a failed slice; without its records, and why, where they do not open."""
    try:
        return show_failed_slice(visit.store, parse_id(job_id), number, by=visit.person), None
    except SealError as error:
        nothing: View = {"slice": number, "failed_record": None, "error": None, "class_name": None, "backtrace": []}
        return {**nothing, "records": [], "next": None}, str(error)
