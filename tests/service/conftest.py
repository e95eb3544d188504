"""What the tests of the service share.

- `add_job`: stores a regular job in `store`; `add_server`: registers a server there that shows a sign of life.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock import clock
from penstock.ids import new_id
from penstock.store import Store
from penstock.store.rows import JobRow, ServerRow


@pytest.fixture
def add_job(store: Store) -> Callable[..., JobRow]:
    """Return a function that stores a job with these columns and returns it as it is stored."""

    def add(kind: str = "Copy", **columns: Any) -> JobRow:
        row = JobRow(**{"id": new_id(), "kind": kind, "batch": False, "created_at": clock.now(), **columns})
        store.insert_jobs([row])
        return row

    return add


@pytest.fixture
def add_server(store: Store) -> Iterator[Callable[..., ServerRow]]:
    """Return a function that registers a server; it lives to the end of the test unless it is not `alive`."""
    presences = []

    def add(name: str = "s1", kinds: Any = (), *, alive: bool = True, **columns: Any) -> ServerRow:
        told = kinds if isinstance(kinds, dict) else {kind: {"limit": None, "depends_on": []} for kind in kinds}
        row = ServerRow(name, "here", 1, "running", clock.now(), 0, 2, 10, kinds=json.dumps(told))
        row = row._replace(**columns)
        store.register_server(row)
        if alive:
            presences.append(store.appear(name))
        return row

    yield add
    for presence in presences:
        presence.close()
