"""What belongs to the frame of all pages: light or dark."""

from starlette.responses import Response

from penstock.web.routing import post
from penstock.web.visit import THEME_COOKIE, THEMES, Visit

YEAR = 365 * 24 * 3600


@post("/theme", public=True)
def theme(visit: Visit) -> Response:
    """Show pages light or dark from now on."""
    chosen = visit.text("to")
    response = visit.redirect(visit.came_from)
    if chosen in THEMES:
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR, path=f"{visit.root}/", samesite="lax")
    return response
