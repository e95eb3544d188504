"""Signing in and out, with a password of the users file."""

from starlette.responses import Response

from penstock.errors import Forbidden
from penstock.web.authentication import UsersFile, address_of
from penstock.web.routing import get, post
from penstock.web.visit import Visit


@get("/sign-in", public=True)
def form(visit: Visit) -> Response:
    """Show the form."""
    if not visit.console.authentication.signs_in:
        return visit.redirect("/")
    return visit.render("sign_in.html", login="", error=None, to=visit.query.get("to", ""))


@post("/sign-in", public=True)
def sign_in(visit: Visit) -> Response:
    """Look at the password."""
    users = visit.console.authentication
    if not isinstance(users, UsersFile):
        raise Forbidden("nobody signs in here")
    login, to = visit.text("login").strip(), visit.text("to")
    wait = users.sign_in(visit.session, login, visit.text("password"), address_of(visit.request))
    if wait is None:
        return visit.redirect(_local(to))
    error = f"Too many wrong passwords: try again in {wait:.0f} s." if wait else "The login or the password is wrong."
    status = 429 if wait else 401
    response = visit.render("sign_in.html", status=status, login=login, error=error, to=to)
    if wait:
        response.headers["retry-after"] = str(int(wait) + 1)
    return response


@post("/sign-out", public=True)
def sign_out(visit: Visit) -> Response:
    """Forget who it was."""
    visit.session.sign_out()
    return visit.redirect("/sign-in" if visit.console.authentication.signs_in else "/")


def _local(path: str) -> str:
    """Return a path of ours; never another site, which `//elsewhere` and `/\\elsewhere` would be."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours else "/"
