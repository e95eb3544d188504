"""What a person sees of an error: its message, its status from the class of the error, and the next step."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from penstock.errors import EntryNotFound, JobNotFound, PenstockError, ServerNotFound
from penstock.web.visit import Visit

LISTS = {JobNotFound: "/jobs", ServerNotFound: "/servers", EntryNotFound: "/dirmon"}
"""Where one goes who asked for something that there is not."""
NEXT_STEPS = {
    400: "Nothing was changed. Go back, correct it, and send it again.",
    403: "Ask somebody with that role, or sign in as another.",
    404: "It may have been completed and destroyed. The lists show what there is.",
    405: "Use the buttons of the page.",
    409: "Nothing was changed. Load the page again to see how it is now.",
    413: "Nothing was changed. Files of any size go through the form for a new job.",
    500: "Nothing of what was asked may have happened. The log of the console has the details.",
    503: "Wait a moment, and try again. `penstock store check` tells how the store is.",
    507: "Make room on the disk of the store, and try again. What was committed before is whole.",
}
UNEXPECTED = "Something went wrong that should not have."


def failure_page(visit: Visit, error: Exception) -> Response:
    """Return the page for an error; for something that there is not, the list with a message."""
    if isinstance(error, PenstockError):
        found = next((path for cls, path in LISTS.items() if isinstance(error, cls)), None)
        if found and visit.request.method == "GET" and visit.path != found:
            return visit.redirect(found, str(error), "bad")
        status, message = error.http_status, str(error)
    elif isinstance(error, HTTPException):
        status, message = (
            error.status_code,
            f"There is no page {visit.path}." if error.status_code == 404 else error.detail,
        )
    else:
        status, message = 500, UNEXPECTED
    return visit.render(
        "failure.html",
        status=status,
        code=status,
        title=_title(status),
        message=message,
        next_step=NEXT_STEPS.get(status, NEXT_STEPS[500 if status >= 500 else 400]),
        back=visit.url(visit.came_from),
    )


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
