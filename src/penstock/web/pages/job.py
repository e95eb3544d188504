"""The page of one job, and what is done to it."""

from typing import Any

from starlette.responses import Response

from penstock.errors import InvalidMove
from penstock.ids import parse_id
from penstock.model.kinds import known_kinds
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job
from penstock.service.jobs import View, get_job
from penstock.service.moving import ACTIONS, act_on_jobs
from penstock.service.people import LOGIN_FIELD
from penstock.service.records import resubmit_job, retry_failures
from penstock.states import FINAL, SubState
from penstock.web.confirming import ask, is_confirmed
from penstock.web.pages.jobs import IRREVERSIBLE, verb_of
from penstock.web.pages.priorities import may_set_priority
from penstock.web.routing import check_token, get, post
from penstock.web.streams import Incoming
from penstock.web.uploads import Upload
from penstock.web.visit import Visit

HIDDEN_FIELDS = frozenset({"input_category", "output_categories", "description", "errors", "failed_at_list"})
"""Fields that have a place of their own on the page."""
PARTS = {str(SubState.BEFORE): "before its slices", str(SubState.AFTER): "after its slices"}
LINES = 100


@get("/jobs/{job_id}")
def job(visit: Visit, job_id: str) -> Response:
    """Show a job."""
    found = parse_id(job_id)
    view = view_job(visit.store, found, by=visit.person)
    shown = [each for each in view["fields"] if each["name"] not in HIDDEN_FIELDS]
    has_failed = view["batch"] and view["slices"]["failed"]
    cls = known_kinds().get(view["kind"])
    pace = visit.console.live.pace(job_id)
    return visit.render(
        "job.html",
        job=view if pace is None else {**view, **_at_pace(view, pace)},
        failed=failures_of_job(visit.store, found) if has_failed else None,
        strip=strip_of_slices(visit.store, found) if view["batch"] and view["state"] not in FINAL else [],
        log=log_of_job(visit.store, found, limit=LINES),
        part=PARTS.get(str(view["sub_state"])),
        actions=[ACTIONS[name] for name in view["actions"] if name in ACTIONS],
        fields=sorted(shown, key=lambda each: (each.get("standard", True), each["value"] is None)),
        editable="edit" in view["actions"] and cls is not None and view["state"] not in FINAL,
        with_priority=may_set_priority(visit, view, _owner_of(view)),
        kind_known=cls is not None,
        reads_records=visit.may("record.read"),
        downloadable=visit.may("output.read", get_job(visit.store, found)),
        irreversible=IRREVERSIBLE,
    )


@post("/jobs/{job_id}/retry-group")
def retry_those(visit: Visit, job_id: str) -> Response:
    """Retry the slices that failed by one class of exception."""
    told = retry_failures(visit.store, parse_id(job_id), class_name=visit.text("class_name"), by=visit.person)
    noun = "slice" if told["retried"] == 1 else "slices"
    more = "; there are more of them" if told["more"] else ""
    return visit.redirect(f"/jobs/{job_id}", f"{told['retried']:,} {noun} queued again{more}.")


@post("/jobs/{job_id}/resubmit", streamed=True)
async def resubmit(visit: Visit, job_id: str) -> Response:
    """Have rejected records performed again, as they are in the file that comes."""
    upload = await Upload.begin(visit.request)
    try:
        check_token(visit, upload.fields.get("token"))
        return await upload.finish(lambda file: _resubmitted(visit, job_id, file))
    finally:
        await upload.drain()


@post("/jobs/{job_id}/{action}")
def act(visit: Visit, job_id: str, action: str) -> Response:
    """Do something to the job."""
    chosen = ACTIONS.get(action)
    if chosen is None:
        raise InvalidMove(f"there is nothing called {action!r} that can be done to a job")
    row = get_job(visit.store, parse_id(job_id))
    if action in IRREVERSIBLE and not is_confirmed(visit):
        return ask(
            visit,
            f"{verb_of(chosen)} this {row.kind}?",
            f"{chosen.meaning} This cannot be undone.",
            do=f"{verb_of(chosen)} it",
            target=f"/jobs/{job_id}/{action}",
            back=f"/jobs/{job_id}",
            message=action == "fail",
        )
    acted = act_on_jobs(visit.store, action, [row.id], by=visit.person, message=visit.text("message"))
    if acted.refused:
        raise acted.refused[0].error
    return visit.redirect(_after(visit, job_id, action), f"{row.kind} {chosen.done}.")


def _owner_of(view: View) -> Any:
    return next((each["value"] for each in view["fields"] if each["name"] == LOGIN_FIELD), None)


def _resubmitted(visit: Visit, job_id: str, file: Incoming | None) -> Response:
    """Queue the records; called in a thread, while their file still comes."""
    if file is None:
        return visit.redirect(f"/jobs/{job_id}", "No file was chosen.", "plain")
    told = resubmit_job(visit.store, parse_id(job_id), file.as_file(), by=visit.person, file_name=file.name)
    noun = "record is" if told["resubmitted"] == 1 else "records are"
    return visit.redirect(f"/jobs/{job_id}", f"{told['resubmitted']:,} {noun} performed again.")


def _after(visit: Visit, job_id: str, action: str) -> str:
    """Return where one goes on: the list or the page that one came from, unless that asked for this only."""
    if action == "destroy":
        return "/jobs"
    came = visit.came_from.partition("?")[0]
    return visit.came_from if came == "/jobs" else f"/jobs/{job_id}"


def _at_pace(view: View, pace: float) -> dict[str, Any]:
    """Return what a job's pace is and when it is done, by how it went of late."""
    from datetime import timedelta

    from penstock import clock

    left = (view["record_count"] or 0) - (view["processed"] or 0)
    if pace <= 0:
        return {"records_per_second": 0.0, "seconds_left": None, "ends_at": None}
    seconds = max(0.0, left / pace)
    ends = (clock.now() + timedelta(seconds=seconds)).isoformat() if seconds < 10**8 else None
    return {"records_per_second": pace, "seconds_left": seconds, "ends_at": ends}
