"""Fixtures for the whole test suite.

- `clock`: a `ManualClock` in place of the system's; `clock.advance(seconds)` moves it.
- `new_store`: makes stores: `new_store()` in memory, `new_store(tmp_path / "a.db")` in a file.
- `store`, `sqlite_file`, `sqlite_memory`: an empty store, opened by its URL as the package does it.
  `store` runs a test once for each engine of `ENGINES`.
- `configured_store`: a SQLite file that `penstock.configure(store=...)` names: for tests of jobs.

After every test the settings are as they were, every store is closed, and job kinds of the test are forgotten.
`PENSTOCK_*` variables of the environment are taken away, so that they cannot change the settings.

A job class at the top of a test module keeps its kind for the whole run: name it for its module, or give it a
`kind=`, so that two modules never claim the same one. Classes inside a test may have any name.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

import penstock
from penstock import clock as penstock_clock
from penstock import config
from penstock.clock import ManualClock
from penstock.model import kinds
from penstock.store import Store, close_stores, open_store

# A loaded machine must not turn a slow example into a failure.
hypothesis_settings.register_profile("penstock", deadline=None)
hypothesis_settings.load_profile("penstock")

ENGINES = ("sqlite_file", "sqlite_memory")
"""Every store engine, by the name of the fixture that makes an empty one. A new engine is one more name."""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test settings by default, and leave no setting, store or kind behind."""
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    known = kinds.known_kinds()
    config.reset()
    yield
    close_stores()
    config.reset()
    for kind in kinds.known_kinds().keys() - known.keys():
        kinds.forget(kind)


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """Stand still at 2026-01-01 UTC until `clock.advance(seconds)`."""
    manual = ManualClock()
    with penstock_clock.use(manual):
        yield manual


@pytest.fixture
def new_store() -> Callable[[Path | None], Store]:
    """Return a function that opens the store at a path, or a store in memory without one."""

    def make(path: Path | None = None) -> Store:
        return open_store(f"sqlite:///{path}" if path else "sqlite://")

    return make


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Store:
    """Return an empty store in a SQLite file."""
    return open_store(f"sqlite:///{tmp_path / 'penstock.db'}")


@pytest.fixture
def sqlite_memory() -> Store:
    """Return an empty store in memory."""
    return open_store("sqlite://")


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest) -> Store:
    """Return an empty store of each engine in turn."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def configured_store(tmp_path: Path) -> Store:
    """Return an empty store in a SQLite file that the settings name, so that jobs are saved there."""
    url = f"sqlite:///{tmp_path / 'penstock.db'}"
    penstock.configure(store=url)
    return open_store(url)
