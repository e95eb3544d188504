"""The API asked without a socket.

- `api`: a function that sends a request with a token of these roles, and returns the answer.
- `client`: the client itself, for requests of another sort.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from penstock.service.tokens import add_token
from penstock.store import Store
from penstock.web.api import api_app


@pytest.fixture
def client(configured_store: Store) -> Iterator[TestClient]:
    """Return a client of the API over an empty store."""
    with TestClient(api_app(lambda: configured_store), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def token(configured_store: Store) -> Callable[..., str]:
    """Return a function that gives a token with these roles."""
    made: dict[tuple[str, ...], str] = {}

    def give(*roles: str, login: str = "ada") -> str:
        if (login, *roles) not in made:
            name = f"{login} {' '.join(roles)}"
            made[(login, *roles)] = add_token(configured_store, name, by="root", login=login, roles=roles)["token"]
        return made[(login, *roles)]

    return give


@pytest.fixture
def api(client: TestClient, token: Callable[..., str]) -> Callable[..., Any]:
    """Return a function that sends a request."""

    def send(method: str, path: str, role: str = "admin", *, login: str = "ada", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token(role, login=login)}", **options.pop("headers", {})}
        return client.request(method, f"/api/v1{path}", headers=headers, **options)

    return send
