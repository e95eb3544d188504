"""`penstock store check` and `stats`: what does not add up is named, with what to do; the rest is counted."""

from uuid import UUID

import pytest

import penstock
from penstock.clock import now
from penstock.service import upkeep
from penstock.service.upkeep import check_store, store_sizes
from penstock.states import SliceState, State, SubState
from penstock.store import open_store
from penstock.store.rows import JobRow, NewOutput, NewSlice, SliceSettlement

OLD = UUID("01900000-0000-7000-8000-000000000001")
"""Of a job that was made in June 2024."""


@pytest.fixture(params=["sqlite_file", "split", "postgres"])
def store(request):
    return request.getfixturevalue(request.param)


def slices_of(store):
    """Return the store that the slices are in."""
    return getattr(store, "_slices", store)


def add_batch(store, *, job_id=OLD, records=2, **columns):
    row = JobRow(job_id, "Lines", batch=True, created_at=now(), record_count=records, **columns)
    store.insert_jobs([row])
    store.append_slices(row.id, "main", [NewSlice(n, 1, b"Tone\n") for n in range(1, records + 1)])
    return row


def told(store, **options):
    return [(found["what"], found["job_id"]) for found in check_store(store, **options)["findings"]]


def test_a_store_in_which_all_adds_up_has_no_findings(store):
    add_batch(store)
    view = check_store(store)
    assert (view["batch_jobs"], view["findings"]) == (1, [])


def test_slices_without_a_job_are_named_and_removed_when_asked(split):
    row = add_batch(split)
    split._jobs.destroy_job(row.id)
    assert told(split) == [("orphan", str(OLD))]
    assert told(split) == [("orphan", str(OLD))]
    assert check_store(split, mend=True)["mended"] == 1
    assert told(split) == []
    assert list(split.slice_owners()) == []


def test_slices_of_a_job_that_may_be_about_to_be_stored_are_left_alone(split, monkeypatch):
    row = add_batch(split)
    split._jobs.destroy_job(row.id)
    monkeypatch.setattr(upkeep, "ORPHAN_SECONDS", 1e12)
    assert told(split, mend=True) == []
    assert list(split.slice_owners()) == [OLD]


def test_a_job_whose_slices_are_missing_is_named_and_stays(store):
    row = add_batch(store)
    slices_of(store).drop_slices(row.id)
    assert told(store, mend=True) == [("missing", str(OLD))]
    (found,) = check_store(store)["findings"]
    assert "2 of its 2 records are nowhere" in found["told"]


def test_what_an_aborted_job_left_is_dropped(store):
    row = add_batch(store, state=State.ABORTED)
    assert told(store) == [("left over", str(OLD))]
    assert check_store(store, mend=True)["mended"] == 1
    assert list(store.slice_owners()) == []
    assert store.job(row.id) is not None


def test_a_completed_job_with_slices_to_go_goes_on(store):
    row = add_batch(store, state=State.COMPLETED)
    assert told(store) == [("stuck", str(OLD))]
    assert check_store(store, mend=True)["mended"] == 1
    after = store.job(row.id)
    assert (after.state, after.sub_state) == (State.RUNNING, SubState.PROCESSING)
    assert store.slice_counts(row.id) == {SliceState.QUEUED: 2}


def test_sizes_name_the_tables_with_rows_and_bytes(store):
    row = add_batch(store, records=3)
    store.start_batch(row.id, sub_state=SubState.PROCESSING, server="s", now=now())
    (claimed,) = store.claim_slices(row.id, server="s", limit=1, max_bytes=1)
    output = NewOutput("main", 1, b"T" + b"x" * 100_000)
    done = SliceSettlement(row.id, claimed.slice_id, "main", claimed.number, claimed.attempt, 0, 1, (output,))
    store.settle_slices([done], server="s")
    view = store_sizes(store)
    in_slices = {table["table"]: table for table in view["tables"] if table["store"] == view["tables"][-1]["store"]}
    assert (in_slices["slices"]["rows"], in_slices["output_slices"]["rows"]) == (2, 1)
    assert in_slices["output_slices"]["bytes"] > 8_000
    assert view["bytes"] == sum(table["bytes"] for table in view["tables"])


def test_urls_are_shown_without_their_password(tmp_path):
    assert "secret" not in store_sizes(open_store(f"sqlite:///{tmp_path / 'a.db'}"))["tables"][0]["store"]
    assert penstock.store.without_password("postgresql://u:secret@h/d") == "postgresql://u@h/d"
