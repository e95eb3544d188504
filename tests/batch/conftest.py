"""What tests of batch jobs share.

- `stored`: the numbers of rows of the tables of the configured store.
- `balanced(job)`: asserts that every record of a job is in one place, and returns its accounts.
"""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.batch.job import BatchJob
from penstock.service.jobs import check_job
from penstock.store import Store

TABLES = ("jobs", "slices", "slice_payloads", "output_slices", "progress")


@pytest.fixture
def stored(configured_store: Store) -> Callable[[], dict[str, int]]:
    def count() -> dict[str, int]:
        with configured_store.connections.reading() as connection:  # type: ignore[attr-defined]
            return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}

    return count


@pytest.fixture
def balanced(configured_store: Store) -> Callable[[BatchJob], dict[str, Any]]:
    def check(job: BatchJob) -> dict[str, Any]:
        view = check_job(configured_store, job.id)
        assert view["balanced"], view
        return view

    return check
