"""Pages as functions of a visit: `@get` and `@post` say under which path, and what a person must be allowed to."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.formparsers import FormParser
from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import Forbidden, PenstockError
from penstock.web.security import is_same_origin
from penstock.web.visit import Visit

Handler = Callable[..., Response | Awaitable[Response]]
MOST_FORM = 20 << 20
"""Bytes of a form: one record may be 16 MiB."""
TOKEN_FIELD = "token"  # noqa: S105 - it is the name of a field.


@dataclass(frozen=True, slots=True)
class Page:
    """A function that answers, with its place."""

    method: str
    path: str
    handler: Handler
    public: bool = False
    """Whether one need not have signed in."""
    streamed: bool = False
    """Whether it reads the request itself, and looks at the token of the form."""


PAGES: list[Page] = []
"""All pages, in the order in which their paths are tried."""


def get(path: str, *, public: bool = False) -> Callable[[Handler], Handler]:
    """Let a function answer GET under a path; it is called in a thread, with what is in braces by name."""
    return _page(Page("GET", path, _nothing, public))


def post(path: str, *, public: bool = False, streamed: bool = False) -> Callable[[Handler], Handler]:
    """Let a function answer POST under a path: the form is read, and is one of ours, unless it is `streamed`."""
    return _page(Page("POST", path, _nothing, public, streamed))


def _nothing(_: Visit) -> Response:
    return Response(status_code=204)


def _page(page: Page) -> Callable[[Handler], Handler]:
    def note(handler: Handler) -> Handler:
        PAGES.append(replace(page, handler=handler))
        return handler

    return note


async def answer(page: Page, visit: Visit, values: dict[str, Any]) -> Response:
    """Return the answer of a page.

    Raises:
        Forbidden: a form that is not ours.
        PenstockError: as the page raises it.
    """
    if page.method == "POST" and not page.streamed:
        visit.form = await read_form(visit.request)
        check_token(visit, visit.form.get(TOKEN_FIELD))
    if inspect.iscoroutinefunction(page.handler):
        response: Response = await page.handler(visit, **values)
    else:
        response = await run_in_threadpool(cast("Callable[..., Response]", page.handler), visit, **values)
    if page.method == "POST":
        visit.console.live.nudge()
    return response


def check_token(visit: Visit, token: object) -> None:
    """Refuse a form that no page of this session carried.

    Raises:
        Forbidden: it is not ours.
    """
    if not is_same_origin(visit.request) or not visit.console.sessions.is_token(visit.session, token):
        raise Forbidden("this form is not one of this session: go back, load the page again, and repeat it")


async def read_form(request: Request) -> FormData:
    """Return the fields of a form as browsers send those without files.

    Raises:
        PenstockError: it is larger than any form of ours, or has another type.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise BadForm("a form comes as application/x-www-form-urlencoded")

    return await FormParser(request.headers, _bounded(request)).parse()


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > MOST_FORM:
            raise FormTooLarge(f"the form is larger than {MOST_FORM >> 20} MiB")
        yield chunk


class BadForm(PenstockError):
    """A form is not as browsers send one."""

    http_status = 400


class FormTooLarge(BadForm):
    """A form is larger than any of ours."""

    http_status = 413
