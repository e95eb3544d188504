"""Lists of jobs: by state, searched, filtered, sorted, page by page; and what is done to several at once."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.responses import Response

from penstock.errors import InvalidQuery, PenstockError
from penstock.ids import parse_id
from penstock.model.kinds import known_kinds
from penstock.query import COLUMNS, OPERATORS
from penstock.service.finding import STATES, Asked
from penstock.service.listing import ListAsked, page_of_jobs
from penstock.service.moving import ACTIONS, Acted, Action, act_on_all, act_on_jobs, count_applicable
from penstock.states import State
from penstock.store.browsing import Listing
from penstock.web.confirming import is_confirmed
from penstock.web.pages.priorities import may_set_priority
from penstock.web.routing import get, post
from penstock.web.visit import Visit

ROWS = 25
WHEN: Mapping[str, tuple[str, str]] = {
    "running": ("started_at", "Started"),
    "queued_now": ("created_at", "Queued"),
    "scheduled": ("run_at", "Runs"),
    "completed": ("completed_at", "Completed"),
    "failed": ("completed_at", "Failed"),
    "aborted": ("completed_at", "Aborted"),
    "paused": ("completed_at", "Paused"),
}
"""Which moment the list of a state shows, and its title."""
ROW_ACTIONS = ("run-now", "pause", "resume", "retry")
"""What stands in a row; the rest is on the page of the job, or done to those selected."""
IRREVERSIBLE = ("abort", "destroy", "fail")
MOST_TOLD = 3
"""Refusals that are told one by one."""


@get("/jobs")
def jobs(visit: Visit) -> Response:
    """Show a list of jobs."""
    asked = _asked(visit.request.query_params)
    found = _exactly(visit, asked.search or "")
    if found is not None:
        return visit.redirect(f"/jobs/{found}")
    error = None
    try:
        listed = page_of_jobs(visit.store, asked)
    except InvalidQuery as refusal:
        listed, error = {"jobs": [], "next": None, "notes": []}, str(refusal)
    return visit.render("jobs.html", status=400 if error else 200, **_context(visit, asked, listed, error))


@post("/jobs/act")
def act(visit: Visit) -> Response:
    """Do something to the jobs that were selected, or to all that match."""
    action = ACTIONS.get(visit.text("action"))
    if action is None:
        raise InvalidQuery(f"there is no action {visit.text('action')!r}; known: {', '.join(ACTIONS)}")
    everything = visit.text("everything") == "yes"
    ids = [parse_id(text) for text in visit.texts("id")]
    asked = _asked(visit.form)
    back = _narrowed(asked)
    if not everything and not ids:
        return visit.redirect("/jobs", "Nothing was selected.", "plain", back)
    matching = _all_that_match(asked)
    if (everything or action.name in IRREVERSIBLE) and not is_confirmed(visit):
        return _ask(visit, action, ids, matching if everything else None, back)
    message = visit.text("message")
    acted = (
        act_on_all(visit.store, action.name, matching, by=visit.person, message=message)
        if everything
        else act_on_jobs(visit.store, action.name, ids, by=visit.person, message=message)
    )
    return visit.redirect("/jobs", told(action, acted), "bad" if acted.refused else "good", back)


def told(action: Action, acted: Acted) -> str:
    """Return what came of an action, in a sentence or two."""
    noun = "job" if acted.done == 1 else "jobs"
    text = f"{acted.done:,} {noun} {action.done}." if acted.done or not acted.refused else ""
    reasons = list(dict.fromkeys(refusal.reason for refusal in acted.refused))
    more = f" … and {len(reasons) - MOST_TOLD} more" if len(reasons) > MOST_TOLD else ""
    return f"{text} {'; '.join(reasons[:MOST_TOLD])}{more}".strip()


def _ask(visit: Visit, action: Action, ids: Sequence[UUID], asked: Asked | None, back: Mapping[str, Any]) -> Response:
    count = len(ids) if asked is None else count_applicable(visit.store, action.name, asked)
    what = f"{count:,} {'job' if count == 1 else 'jobs'}"
    kept = [("action", action.name), *((name, value) for name, value in visit.form.multi_items() if name != "token")]
    return visit.render(
        "confirm.html",
        title=f"{verb_of(action)} {what}?",
        text=f"{action.meaning} This cannot be undone." if action.name in IRREVERSIBLE else action.meaning,
        do=f"{verb_of(action)} {what}",
        target="/jobs/act",
        kept=list(dict.fromkeys((name, str(value)) for name, value in kept)),
        back=visit.url("/jobs", back),
        asks_message=action.name == "fail",
    )


def verb_of(action: Action) -> str:
    """Return an action as a button says it."""
    return action.name.replace("-", " ").capitalize()


def _exactly(visit: Visit, text: str) -> UUID | None:
    """Return the id of the job that is meant where somebody searches for an id."""
    try:
        found = parse_id(text) if len(text) >= 32 else None
    except PenstockError:
        return None
    return found if found and visit.store.job(found) else None


def _asked(given: Any) -> ListAsked:
    """Return what a query or a form asks for; a condition that was just added with it."""
    where = [text for text in given.getlist("where") if text]
    if given.get("field"):
        operator = given.get("operator", "eq")
        name = given["field"] if operator == "eq" else f"{given['field']}__{operator}"
        where.append(f"{name}={given.get('value', '')}")
    return ListAsked(
        listing=given.get("state") or Listing.ALL,
        kinds=[kind for kind in given.getlist("kind") if kind],
        where=where,
        search=(given.get("search") or "").strip() or None,
        order=given.get("order") or None,
        after=given.get("after") or None,
        limit=ROWS,
    )


def _all_that_match(asked: ListAsked) -> Asked:
    """Return what is asked as a bulk action takes it. A search is in one of two places, and is not taken."""
    if asked.search:
        raise InvalidQuery("all that match a search cannot be named: narrow the list by a kind or a condition instead")
    return Asked([] if asked.listing == Listing.ALL else [asked.listing], asked.kinds, asked.where)


def _narrowed(asked: ListAsked) -> dict[str, Any]:
    """Return what is asked as the query of a URL."""
    return {
        "state": "" if asked.listing == Listing.ALL else asked.listing,
        "kind": list(asked.kinds),
        "where": list(asked.where),
        "search": asked.search or "",
        "order": asked.order or "",
    }


def _context(visit: Visit, asked: ListAsked, listed: Mapping[str, Any], error: str | None) -> dict[str, Any]:
    here = _narrowed(asked)
    state = here["state"]
    return {
        "listed": listed,
        "error": error,
        "state": state,
        "state_title": f"{state.replace('_now', '').capitalize()} jobs" if state in STATES else "All jobs",
        "asked": asked,
        "here": here,
        "when": WHEN.get(state, ("created_at", "Created")),
        "bulk": _bulk(visit, state, listed["jobs"]),
        "row_actions": {job["id"]: _row_actions(visit, job) for job in listed["jobs"]},
        "with_priority": {job["id"] for job in listed["jobs"] if may_set_priority(visit, job, job.get("login"))},
        "kinds": sorted({*known_kinds(), *asked.kinds}),
        "fields": _field_names(asked.kinds),
        "operators": OPERATORS,
        "without": {
            condition: {**here, "where": [each for each in asked.where if each != condition]}
            for condition in asked.where
        },
    }


def _bulk(visit: Visit, state: str, listed: Sequence[Mapping[str, Any]]) -> list[Action]:
    """Return what may be done to several jobs of a list: what is allowed on own jobs only, where some are own."""
    samples = ({}, *({"fields": {"login": job.get("login")}} for job in listed))
    return [
        action
        for action in ACTIONS.values()
        if _in_state(action, state) and any(visit.may(action.right, job) for job in samples)
    ]


def _in_state(action: Action, state: str) -> bool:
    if action.name == "run-now":
        return state in ("scheduled", "queued")
    plain = state.replace("_now", "").replace("scheduled", "queued")
    return not state or any(plain == each for each in action.states)


def _row_actions(visit: Visit, job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the actions that stand in the row of a job, each with its verb."""
    owned = {"fields": {"login": job.get("login")}}
    return [
        (name, verb_of(ACTIONS[name]))
        for name in ROW_ACTIONS
        if State(job["state"]) in ACTIONS[name].states
        and (name != "run-now" or job["run_at"])
        and (name != "pause" or job["batch"] or job["state"] == State.QUEUED)
        and visit.may(ACTIONS[name].right, owned)
    ]


def _field_names(kinds: Sequence[str]) -> list[str]:
    """Return the fields that conditions may name: those of the one kind that is asked for first."""
    cls = known_kinds().get(kinds[0]) if len(kinds) == 1 else None
    own = [name for name in cls.model_fields if name not in COLUMNS] if cls else []
    return [*own, *sorted(COLUMNS)]
