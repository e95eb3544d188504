"""The console as an ASGI application, to be mounted under any path of another, or served by `penstock web`."""

import importlib
import logging
import pkgutil
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from penstock.errors import PenstockError
from penstock.store import current_store, open_store
from penstock.store.protocol import Store
from penstock.web import pages
from penstock.web.api import api_routes, health_routes
from penstock.web.authentication import NOBODY, Authentication, EverybodyIsAdmin, UsersFile, challenge
from penstock.web.failures import failure_page
from penstock.web.live import Live
from penstock.web.routing import PAGES, Page, answer
from penstock.web.security import LOOPBACK, Guard
from penstock.web.sessions import Sessions
from penstock.web.templating import Templates
from penstock.web.visit import Visit

log = logging.getLogger("penstock.web")
STATIC = Path(__file__).parent / "static"


@dataclass
class Console:
    """What all requests share."""

    url: str | None
    authentication: Authentication
    sessions: Sessions
    templates: Templates
    live: Live
    secure_cookies: bool | None = None

    @property
    def store(self) -> Store:
        """The store that is shown; opened on first use."""
        return open_store(self.url) if self.url else current_store()


def make_console(
    *,
    store: str | None = None,
    authentication: Authentication | None = None,
    allowed_hosts: Sequence[str] = LOOPBACK,
    secret: str | None = None,
    secure_cookies: bool | None = None,
) -> Starlette:
    """Return the console as an ASGI application.

    Args:
        store: The URL of the store, which should be the one of the settings where job classes are imported; None
            takes that of the settings.
        authentication: Who somebody is: `UsersFile`, `TrustedHeader` or `AskHost`. None: everybody is admin, which is
            for consoles that only their own machine reaches.
        allowed_hosts: The names under which it answers; `"*"` leaves that to the application around it.
        secret: What cookies are signed with: the same in all processes that serve one console. None: that of the users
            file, or made anew, so that sessions end with the process.
        secure_cookies: Whether cookies travel by https only; None: where the request came so.
    """
    if secret is None and isinstance(authentication, UsersFile):
        secret = authentication.users.secret
    found = Console(
        url=store,
        authentication=authentication or EverybodyIsAdmin(),
        sessions=Sessions(secret or secrets.token_urlsafe(32)),
        templates=Templates(),
        live=Live(lambda: open_store(store) if store else current_store()),
        secure_cookies=secure_cookies,
    )
    app = Starlette(
        routes=[
            *health_routes(lambda: found.store, open_figures=authentication is None),
            *api_routes(lambda: found.store),
            *_routes(found),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Guard, hosts=allowed_hosts)],
        exception_handlers={HTTPException: partial(_no_page, found)},
    )
    app.state.console = found
    return app


def _routes(console: Console) -> list[BaseRoute]:
    for module in pkgutil.iter_modules(pages.__path__):
        importlib.import_module(f"{pages.__name__}.{module.name}")
    from penstock.web.live import live_endpoint

    return [
        *(
            Route(page.path, _endpoint(console, page), methods=[page.method])
            for page in sorted(PAGES, key=_placeholders)
        ),
        Route("/live", partial(live_endpoint, console), methods=["GET"]),
    ]


def _placeholders(page: Page) -> int:
    """Return how many parts of a path may be anything: `/jobs/new` is tried before `/jobs/{job_id}`."""
    return page.path.count("{")


def _endpoint(console: Console, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        session = console.sessions.read(request)
        visit: Visit | None = None
        try:
            person = await run_in_threadpool(console.authentication.person, request, session)
            visit = Visit(request, console, person or NOBODY, session)
            if person is None and not page.public:
                response = challenge(visit)
            else:
                response = await answer(page, visit, dict(request.path_params))
        except PenstockError as error:
            visit = visit or Visit(request, console, NOBODY, session)
            response = await run_in_threadpool(failure_page, visit, error)
        except Exception as error:
            log.exception("%s %s", request.method, request.url.path)
            visit = visit or Visit(request, console, NOBODY, session)
            response = await run_in_threadpool(failure_page, visit, error)
        secure = console.secure_cookies
        console.sessions.write(
            session,
            response,
            path=f"{visit.root}/",
            secure=request.url.scheme == "https" if secure is None else secure,
        )
        return response

    return endpoint


async def _no_page(console: Console, request: Request, error: Exception) -> Response:
    session = console.sessions.read(request)
    person = None
    with suppress(PenstockError):
        person = await run_in_threadpool(console.authentication.person, request, session)
    visit = Visit(request, console, person or NOBODY, session)
    return await run_in_threadpool(failure_page, visit, error)
