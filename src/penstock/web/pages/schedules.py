"""Schedules: what comes back, when it runs next, in words and in times."""

from typing import Any

from starlette.responses import Response

from penstock.errors import PenstockError
from penstock.ids import parse_id
from penstock.service.jobs import get_job
from penstock.service.moving import ACTIONS, act_on_jobs
from penstock.service.schedule_words import schedule_in_words
from penstock.service.schedules import (
    edit_schedule,
    list_schedules,
    next_times,
    run_schedule_now,
    schedule_of_job,
    view_of_schedule,
)
from penstock.web.routing import get, post
from penstock.web.visit import Visit

TIMES = 3


@get("/schedules")
def schedules(visit: Visit) -> Response:
    """Show all schedules."""
    found = [{**view, **_told(view["schedule"])} for view in list_schedules(visit.store)]
    return visit.render("schedules.html", schedules=found)


@get("/schedules/{job_id}/edit")
def edit(visit: Visit, job_id: str) -> Response:
    """Show the form for a schedule, with the next times of what was typed."""
    return _form(visit, job_id, visit.query.get("text") or None, None)


@post("/schedules/{job_id}/edit")
def save(visit: Visit, job_id: str) -> Response:
    """Give a schedule another text."""
    text = visit.text("text")
    try:
        view = edit_schedule(visit.store, parse_id(job_id), text, by=visit.person)
    except PenstockError as error:
        return _form(visit, job_id, text, error)
    return visit.redirect("/schedules", f"{view['kind']} runs {_told(view['schedule'])['words']}.")


@post("/schedules/{job_id}/{action}")
def act(visit: Visit, job_id: str, action: str) -> Response:
    """Run a schedule now, pause it, or let it go on."""
    found = parse_id(job_id)
    if action == "run-now":
        kind = run_schedule_now(visit.store, found, by=visit.person)["kind"]
    else:
        kind = get_job(visit.store, found).kind
        acted = act_on_jobs(visit.store, action if action in ACTIONS else "pause", [found], by=visit.person)
        if acted.refused:
            raise acted.refused[0].error
    return visit.redirect("/schedules", f"{kind} {ACTIONS[action].done}.")


def _form(visit: Visit, job_id: str, text: str | None, error: PenstockError | None) -> Response:
    row = get_job(visit.store, parse_id(job_id))
    now = schedule_of_job(visit.store, row.id)
    told = _told(text or now)
    return visit.render(
        "edit_schedule.html",
        status=error.http_status if error else 200,
        schedule=view_of_schedule(row),
        text=text if text is not None else now,
        words=told["words"],
        upcoming=told["upcoming"],
        error=str(error) if error else told["trouble"],
    )


def _told(text: str) -> dict[str, Any]:
    """Return a schedule in words, and its next times; neither where the text means nothing any more."""
    try:
        upcoming = next_times(text, TIMES)
        return {"words": schedule_in_words(text), "upcoming": upcoming, "trouble": None}
    except (PenstockError, OverflowError) as error:
        return {"words": text, "upcoming": [], "trouble": str(error)}
