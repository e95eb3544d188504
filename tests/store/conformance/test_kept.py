"""Payloads and exceptions of slices, read and put into another form, on every engine."""

import json

import pytest

from penstock.store.rows import NewOutput, NewSlice

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def job(store, add_job):
    row = add_job(batch=True, record_count=40)
    store.append_slices(row.id, "main", [NewSlice(n, 1, (b"S" if n % 2 else b"P") + b"%d" % n) for n in range(1, 41)])
    return row


def test_input_slices_are_yielded_that_begin_so(store, job):
    kept = list(store.kept_inputs(job.id, b"S"))
    assert [(row.number, row.first_record, row.payload) for row in kept] == [
        (n, n, b"S%d" % n) for n in range(1, 41, 2)
    ]
    assert len(list(store.kept_inputs(job.id, b""))) == 40
    assert list(store.kept_outputs(job.id, b"")) == []


def test_a_payload_is_replaced_only_where_it_is_still_the_same(store, job):
    kept = next(store.kept_inputs(job.id, b"P"))
    assert store.replace_payload(kept, b"new")
    assert not store.replace_payload(kept, b"newer")
    assert [row.number for row in store.kept_inputs(job.id, b"new")] == [kept.number]


def test_outputs_are_yielded_and_replaced_the_same_way(store, add_batch, claim_slices, settled):
    row = add_batch([1] * 20)
    claimed = claim_slices(row, limit=20)
    told = [
        settled(row, each)._replace(outputs=[NewOutput("main", 1, b"S%d" % each.number), NewOutput("other", 1, b"P")])
        for each in claimed
    ]
    assert store.settle_slices(told, server="s1") == []
    kept = list(store.kept_outputs(row.id, b"S"))
    assert [(each.category, each.number, each.part) for each in kept] == [("main", n, 0) for n in range(1, 21)]
    assert len(list(store.kept_outputs(row.id, b""))) == 40
    assert store.replace_payload(kept[3], b"new")
    assert not store.replace_payload(kept[3], b"newer")
    assert [each.payload for each in store.outputs(row.id, "main")][3] == b"new"


def test_an_exception_is_replaced_only_where_it_is_still_the_same(store, add_batch, claim_slices, settled):
    row = add_batch([1])
    (claimed,) = claim_slices(row)
    text = json.dumps({"class_name": "E", "message": "m", "backtrace": []})
    store.settle_slices([settled(row, claimed, exception=text)], server="s1")
    (kept,) = store.kept_inputs(row.id, b"never")
    assert kept.exception == text
    assert store.replace_exception(kept, "{}")
    assert not store.replace_exception(kept, "[]")
    (failed,) = store.failed_slices(row.id)
    assert failed.exception == "{}"
