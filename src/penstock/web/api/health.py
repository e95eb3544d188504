"""Whether work is done, for those who watch from outside; and figures for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from penstock.errors import NotSignedIn, PenstockError
from penstock.service.health import figures_text, progress_made
from penstock.service.tokens import person_of_token
from penstock.store.protocol import Store
from penstock.web.api.answering import failure

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def health_routes(store: Callable[[], Store], *, open_figures: bool = True) -> list[BaseRoute]:
    """Return routes for `/healthz` and `/metrics`.

    Args:
        store: Gives the store.
        open_figures: Whether figures need no token: counts of jobs and servers, and nothing of what is in them.
    """

    async def healthz(_: Request) -> Response:
        try:
            told: Mapping[str, Any] = await run_in_threadpool(lambda: progress_made(store()))
        except PenstockError as error:
            told = {"ok": False, "reason": type(error).__name__}
        return JSONResponse(told, status_code=200 if told["ok"] else 503, headers={"cache-control": "no-store"})

    async def metrics(request: Request) -> Response:
        try:
            if not open_figures:
                await run_in_threadpool(_recognised, store, request)
            return PlainTextResponse(await run_in_threadpool(lambda: figures_text(store())), media_type=TEXT)
        except PenstockError as error:
            return failure(error)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/metrics", metrics, methods=["GET"])]


def _recognised(store: Callable[[], Store], request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotSignedIn("send a token, as `Authorization: Bearer …`")
    person_of_token(store(), token.strip(), origin=None)
