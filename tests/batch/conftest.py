"""What tests of batch jobs share.

- `stored`: the numbers of rows of the tables of the configured store.
- `balanced(job)`: asserts that every record of a job is in one place, and returns its accounts.
- `driver`: a server on the configured store whose one worker is the test (`tests.driver`).
- `keys`: the path of a key file in force.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.batch.job import BatchJob
from penstock.keyring import Keyring
from penstock.service.jobs import check_job
from penstock.store import Store

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.driver import Driver  # noqa: E402
from tests.tables import counts  # noqa: E402


@pytest.fixture
def stored(configured_store: Store) -> Callable[[], dict[str, int]]:
    return partial(counts, configured_store)


@pytest.fixture
def balanced(configured_store: Store) -> Callable[[BatchJob], dict[str, Any]]:
    def check(job: BatchJob) -> dict[str, Any]:
        view = check_job(configured_store, job.id)
        assert view["balanced"], view
        assert view["rejected"] == view["outputs"].get("rejects", 0), view
        return view

    return check


@pytest.fixture
def driver(configured_store: Store) -> Driver:
    return Driver(configured_store)


@pytest.fixture
def keys(tmp_path: Path, configured_store: Store) -> Path:
    path = tmp_path / "keys.toml"
    Keyring.generate().save(path)
    penstock.configure(keyring=str(path))
    return path
