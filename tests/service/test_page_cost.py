"""What the console's pages read does not grow with the store; `python -m benchmarks console` has a million jobs there.

In SQLite by the steps of its virtual machine, in PostgreSQL by the rows that its statistics count.
"""

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from benchmarks import console, console_stores  # noqa: E402
from penstock.service import job_view, listing  # noqa: E402
from penstock.store import walks  # noqa: E402

FEW, MANY = 8_000, 24_000


@pytest.fixture(autouse=True)
def _low_bounds(monkeypatch):
    """Bounds that the smaller store reaches already, so that the larger one must not read more."""
    monkeypatch.setattr(listing, "COUNTED", 100)
    monkeypatch.setattr(job_view, "COUNTED", 100)
    monkeypatch.setattr(listing, "SCANNED", 200)
    monkeypatch.setattr(listing, "SORTED", 200)
    monkeypatch.setattr(walks, "LONG_SECONDS", 0.0)


@pytest.mark.parametrize("engine", ["sqlite_file", "postgres"])
def test_no_page_reads_more_of_a_store_four_times_as_large(request, engine):
    store = request.getfixturevalue(engine)
    single, batch = console_stores.fill(store, FEW, FEW // 10)
    pages = console.pages(single, batch)
    before = {name: console.rows_read(store, page) for name, page in pages.items()}
    slices = [console_stores.NewSlice(FEW + number, 1, b"T\n") for number in range(MANY // 10)]
    store.append_slices(batch, "main", slices)
    console_stores.add_jobs(store, MANY, first=FEW + 1)
    after = {name: console.rows_read(store, page) for name, page in pages.items()}
    grown = {name: (before[name], after[name]) for name in pages if after[name] > 1.3 * before[name] + 300}
    assert grown == {}
