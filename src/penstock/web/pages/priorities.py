"""The priority of jobs, changed where it is shown: in a list, or on the page of a job."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from penstock.errors import PenstockError
from penstock.ids import parse_id
from penstock.model.kinds import known_kinds
from penstock.service.editing import edit_job
from penstock.states import FINAL
from penstock.web.routing import post
from penstock.web.visit import Visit

FIELD, SHOWN = "priority.", "was."
"""Before the id of a job: what it is to be, and what the page showed."""


@post("/jobs/priority")
def set_priorities(visit: Visit) -> Response:
    """Give jobs other priorities: those of the form that are not as they were shown.

    A script, which asks for nothing but that, is answered with nothing, or with the error.
    """
    wanted = _changed(visit)
    refused = []
    for job_id, priority in wanted.items():
        try:
            edit_job(visit.store, parse_id(job_id), {"priority": priority}, by=visit.person)
        except PenstockError as error:
            refused.append(error)
    if "x-live" in visit.request.headers and not refused:
        return Response(status_code=204)
    if len(refused) == len(wanted) and refused:
        raise refused[0]
    path, _, query = visit.came_from.partition("?")
    return visit.redirect(f"{path}{'?' if query else ''}{query}", _told(wanted, refused), "bad" if refused else "good")


def may_set_priority(visit: Visit, job: Mapping[str, Any], owner: Any) -> bool:
    """Tell whether this person can change the priority of a job as it is.

    Args:
        visit: The visit.
        job: A view of the job.
        owner: Its `login`.
    """
    cls = known_kinds().get(job["kind"])
    editable = cls is not None and job["state"] not in FINAL and "priority" in cls.editable_fields()
    return editable and visit.may("job.edit", {"fields": {"login": owner}})


def _changed(visit: Visit) -> dict[str, str]:
    """Return the priorities that were changed, by the ids of their jobs."""
    given = {name.removeprefix(FIELD): visit.text(name).strip() for name in visit.form if name.startswith(FIELD)}
    return {job_id: text for job_id, text in given.items() if text != visit.text(SHOWN + job_id)}


def _told(wanted: Mapping[str, str], refused: list[PenstockError]) -> str:
    done = len(wanted) - len(refused)
    text = f"{done:,} {'priority' if done == 1 else 'priorities'} changed." if done else "No priority was changed."
    return " ".join([text, *map(str, refused[:1])])
