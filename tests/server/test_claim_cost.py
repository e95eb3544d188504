"""What a whole claim reads with thousands of jobs in front of it; `python -m benchmarks claims` has millions there.

Rows by the steps of SQLite's virtual machine, pages by what its cache is asked for, and the plans of all statements.
"""

import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from penstock.bench.claims import Filled, Reads  # noqa: E402

pytestmark = pytest.mark.linux

MANY = 20_000
READY = 1000
SLOTS = 10


def usual(store):
    """Return the median of each figure of five claims: on how many pages ten jobs lie is a matter of their ids."""
    return Reads._make(map(median, zip(*(store.measure(SLOTS) for _ in range(5)), strict=True)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a store with nothing in front, what a claim of it reads, and the store once it has all in front."""
    store = Filled(tmp_path_factory.mktemp("claims") / "claims.db")
    store.add(READY, store.ready)
    before = usual(store)
    for columns in (store.future, store.completed, store.held):
        store.add(MANY, columns)
    yield before, store
    store.remove()


def test_a_claim_reads_at_most_twice_the_rows_and_pages_that_it_reads_with_nothing_in_front(filled):
    before, store = filled
    after = usual(store)
    assert after.steps <= 1.1 * before.steps, (before, after)
    assert after.pages <= 2 * before.pages, (before, after)
    assert after.cold <= 2 * before.cold, (before, after)


def test_every_statement_of_a_claim_searches_the_jobs_by_an_index(filled):
    _, store = filled
    plans = store.plans(SLOTS)
    assert len(plans) >= 5, plans
    for statement, steps in plans.items():
        assert not [step for step in steps if step.startswith("SCAN jobs")], (statement, steps)
        assert not [step for step in steps if "TEMP B-TREE" in step], (statement, steps)
