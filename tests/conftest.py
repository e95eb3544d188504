"""Fixtures for the whole test suite.

- `clock`: a `ManualClock` in place of the system's; `clock.advance(seconds)` moves it.
- `new_store`: makes stores: `new_store()` in memory, `new_store(tmp_path / "a.db")` in a file.
- `store`, `sqlite_file`, `sqlite_memory`, `postgres`, `split`: an empty store, opened by its URL as the package
  does it; the slices of `split` are in a second one.
  `store` runs a test once for each engine of `ENGINES`.
- `postgres_server`, `postgres_url`: a real PostgreSQL of this run's own, and the URL of an empty schema in it.
- `configured_store`: a SQLite file that `penstock.configure(store=...)` names: for tests of jobs.

After every test the settings are as they were, every store is closed, and job kinds of the test are forgotten.
`PENSTOCK_*` variables of the environment are taken away, so that they cannot change the settings.

A job class at the top of a test module keeps its kind for the whole run: name it for its module, or give it a
`kind=`, so that two modules never claim the same one. Classes inside a test may have any name.
"""

import os
import sys
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

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.postgres import drop_schema, running_postgres  # noqa: E402

# A loaded machine must not turn a slow example into a failure.
hypothesis_settings.register_profile("penstock", deadline=None)
hypothesis_settings.load_profile("penstock")

ENGINES = ("sqlite_file", "sqlite_memory", "postgres", "split")
"""Every store engine, by the name of the fixture that makes an empty one. A new engine is one more name."""


CONFIGURED = os.environ.get("PENSTOCK_TEST_STORE")
"""The engine of `configured_store` where it is not SQLite."""
OF_POSTGRES = {"configured_store", "lab", "postgres", "postgres_url", "postgres_server"}
"""The fixtures of tests that meet PostgreSQL; one that some files have of their own is named `postgres` too."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `PENSTOCK_TEST_STORE=postgres`, leave out the tests that meet no PostgreSQL: they say nothing of it."""
    if CONFIGURED == "postgres":
        config.hook.pytest_deselected(items=[item for item in items if not _meets_postgres(item)])
        items[:] = [item for item in items if _meets_postgres(item)]


def _meets_postgres(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    if spec is not None and spec.params.get("store") in ENGINES:
        return bool(spec.params["store"] == "postgres")
    named = item.path.stem.startswith(("test_postgres", "test_pgbouncer"))
    return named or not OF_POSTGRES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test settings by default, and leave no setting, store or kind behind."""
    only = request.node.get_closest_marker("sqlite")
    if only is not None and CONFIGURED == "postgres":
        pytest.skip(only.args[0])
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    known = kinds.known_kinds()
    config.reset()
    yield
    close_stores()
    config.reset()
    for kind, cls in kinds.known_kinds().items():
        # Kinds that come with Penstock are there once their module is imported, which no later test does again.
        if kind not in known and not cls.__module__.startswith("penstock."):
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a PostgreSQL that this run alone uses, and return its URL; `PENSTOCK_TEST_POSTGRES` names another one.

    Skips where the server is not installed, but never where `CI` is set.
    """
    yield from running_postgres()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Return the URL of a schema that is not there yet, and goes with the test."""
    schema = f"test_{os.urandom(6).hex()}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={schema}"
    close_stores()
    drop_schema(postgres_server, schema)


@pytest.fixture
def postgres(postgres_url: str) -> Store:
    """Return an empty store in PostgreSQL."""
    return open_store(postgres_url)


@pytest.fixture
def split(tmp_path: Path) -> Store:
    """Return an empty store in a SQLite file with its slices in another; the settings name both."""
    penstock.configure(store=f"sqlite:///{tmp_path / 'jobs.db'}", slices_store=f"sqlite:///{tmp_path / 'slices.db'}")
    return open_store(f"sqlite:///{tmp_path / 'jobs.db'}")


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest) -> Store:
    """Return an empty store of each engine in turn."""
    if request.param == "split" and request.node.get_closest_marker("one_store"):
        pytest.skip("slices in a store of their own share no transaction with jobs: see tests/store/split")
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def configured_store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """Return an empty store that the settings name, so that jobs are saved there: a SQLite file.

    With `PENSTOCK_TEST_STORE=postgres` it is one in PostgreSQL: nothing that uses it minds which. With `split` it is
    one in two files, which only tests that read tables by themselves mind.
    """
    if CONFIGURED == "split":
        penstock.configure(slices_store=f"sqlite:///{tmp_path / 'slices.db'}")
    if CONFIGURED == "postgres":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = f"sqlite:///{tmp_path / 'penstock.db'}"
    penstock.configure(store=url)
    return open_store(url)
