"""The JSON API under `/api/v1`, for programs in any language: the functions of `service`, and nothing of its own.

`api_routes(store)` and `health_routes(store)` are routes to be mounted; `api_app(store)` is an application with
nothing else.
"""

from collections.abc import Callable

from penstock.store.protocol import Store

__all__ = ["api_app", "api_routes", "health_routes"]

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from penstock.web.api.answering import routes_of
from penstock.web.api.health import health_routes
from penstock.web.api.table import OPERATIONS

GetStore = Callable[[], Store]


def api_routes(store: GetStore) -> list[BaseRoute]:
    """Return the routes of the API. Every request but that for the description needs a token."""
    return routes_of(OPERATIONS, store)


def api_app(store: GetStore) -> Starlette:
    """Return an application with the API, health and figures, and no pages."""
    return Starlette(routes=[*api_routes(store), *health_routes(store)])
