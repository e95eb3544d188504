"""`penstock store stats` and `check`."""

import json

import pytest

from penstock.clock import now
from penstock.ids import new_id
from penstock.store import open_store
from penstock.store.rows import JobRow, NewSlice


@pytest.fixture
def batch(url):
    """A stored batch job of two records."""
    store = open_store(url)
    row = JobRow(new_id(), "Lines", batch=True, created_at=now(), record_count=2)
    store.insert_jobs([row])
    store.append_slices(row.id, "main", [NewSlice(1, 2, b"Tone\ntwo\n")])
    return row


def test_stats_show_rows_and_bytes_of_each_table(call, url, batch):
    code, out, _ = call("store", "stats")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.split()[0] == "slices"] == ["1"]
    tables = json.loads(call("store", "stats", "--json")[1])["tables"]
    assert {table["table"]: table["rows"] for table in tables}["jobs"] == 1
    assert {type(table["bytes"]) for table in tables} == {int}


def test_check_says_that_all_adds_up(call, batch):
    code, out, _ = call("store", "check")
    assert (code, out.endswith(": 1 batch jobs, all add up\n")) == (0, True)


def test_check_names_what_does_not_add_up_and_what_to_do_and_exits_1(call, url, batch):
    open_store(url).drop_slices(batch.id)
    code, out, _ = call("store", "check", "--mend")
    first, second = out.splitlines()
    assert (code, first) == (1, f"missing: {batch.id}: Lines, queued: 2 of its 2 records are nowhere")
    assert f"penstock jobs download {batch.id} --partial" in second
