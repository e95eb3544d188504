"""Slices that rest: not through and not failed, queued again to go on where they stopped."""

import threading
from contextlib import closing

import pytest

from penstock.states import SliceState, State
from penstock.store import Topic
from penstock.store.rows import OutputRow

SERVER = "server-1"


@pytest.fixture
def rest(store, settled):
    """Settle a slice as resting after so many records."""

    def settle(job, claimed, *, done, output=b"Tout\n", attempt=None):
        settlement = settled(job, claimed, done=done, output=output)._replace(rests=True)
        if attempt is not None:
            settlement = settlement._replace(attempt=attempt)
        return store.settle_slices([settlement], server=SERVER), settlement

    return settle


def test_it_is_queued_again_and_goes_on_behind_what_was_done(store, add_batch, claim_slices, rest):
    job = add_batch([5])
    (first,) = claim_slices(job)
    refused, _ = rest(job, first, done=2)
    assert refused == []
    assert store.slice_counts(job.id) == {SliceState.QUEUED: 1}
    (again,) = claim_slices(job)
    assert (again.number, again.done, again.attempt, again.crash_count) == (1, 2, 2, 0)
    assert (again.payload, again.record_count) == (first.payload, 5)


def test_outputs_of_all_its_parts_come_in_order_and_each_record_is_counted_once(
    store, add_batch, claim_slices, settled, rest
):
    job = add_batch([5, 1])
    first, second = claim_slices(job)
    rest(job, first, done=2, output=b"Ta\nb\n")
    store.settle_slices([settled(job, second, output=b"Tz\n")], server=SERVER)
    (again,) = claim_slices(job)
    rest(job, again, done=3, output=b"Tc\n")
    (last,) = claim_slices(job)
    store.settle_slices([settled(job, last, output=b"Td\ne\n")], server=SERVER)
    assert list(store.outputs(job.id, "main")) == [
        OutputRow(1, 0, 2, b"Ta\nb\n"),
        OutputRow(1, 2, 1, b"Tc\n"),
        OutputRow(1, 3, 2, b"Td\ne\n"),
        OutputRow(2, 0, 1, b"Tz\n"),
    ]
    assert store.progress(job.id) == (6, 0, 0)
    assert store.slice_counts(job.id) == {}


def test_it_is_no_failure(store, add_batch, claim_slices, settled, rest):
    job = add_batch([5])
    rest(job, claim_slices(job)[0], done=2)
    assert list(store.failed_slices(job.id)) == []
    assert store.standing(job.id) == (True, False, 0)
    store.settle_slices([settled(job, claim_slices(job)[0], done=3, exception="{}")], server=SERVER)
    (failed,) = store.failed_slices(job.id)
    assert (failed.failure_count, failed.done) == (1, 3)


def test_an_earlier_failure_no_longer_shows(store, add_batch, claim_slices, settled, rest):
    job = add_batch([5])
    store.settle_slices([settled(job, claim_slices(job)[0], done=1, exception='{"a": 1}')], server=SERVER)
    store.retry_slices(job.id)
    rest(job, claim_slices(job)[0], done=2)
    store.settle_slices([settled(job, claim_slices(job)[0], done=2, exception="{}", output=None)], server=SERVER)
    (failed,) = store.failed_slices(job.id)
    assert (failed.exception, failed.failure_count) == ("{}", 2)


def test_one_that_did_nothing_rests_where_it_began(store, add_batch, claim_slices, rest):
    job = add_batch([5])
    rest(job, claim_slices(job)[0], done=0, output=None)
    (again,) = claim_slices(job)
    assert (again.done, again.attempt) == (0, 2)
    assert list(store.outputs(job.id, "main")) == []
    assert store.progress(job.id).processed == 0


def test_an_older_attempt_is_refused_and_nothing_of_it_stored(store, add_batch, claim_slices, rest):
    job = add_batch([5])
    (first,) = claim_slices(job)
    store.hand_back_slice(job.id, first, crashed=False)
    claim_slices(job)
    refused, settlement = rest(job, first, done=2)
    assert refused == [settlement]
    assert store.slice_counts(job.id) == {SliceState.RUNNING: 1}
    assert list(store.outputs(job.id, "main")) == []


def test_a_job_whose_last_slice_rests_is_a_candidate_again(store, add_batch, claim_slices, rest):
    """Others may have found meanwhile that it had no queued slices."""
    job = add_batch([5])
    (first,) = claim_slices(job)
    assert claim_slices(job) == []
    assert store.candidates(["Lines"], limit=9) == []
    rest(job, first, done=2)
    assert [row.id for row in store.candidates(["Lines"], limit=9)] == [job.id]


def test_a_slice_that_rests_wakes_who_waits_for_work(store, add_batch, claim_slices, rest):
    job, heard = add_batch([5]), threading.Event()
    (first,) = claim_slices(job)
    with closing(store.listen(Topic.WORK, heard.set)):
        rest(job, first, done=2)
        assert heard.wait(10)


@pytest.mark.parametrize("state", [State.PAUSED, State.FAILED])
def test_a_slice_that_rests_does_not_make_a_job_claimable_that_somebody_moved(
    store, add_batch, claim_slices, rest, state
):
    job = add_batch([5, 5])
    first, _ = claim_slices(job)
    store.update_job(job.id, {"state": state})
    assert rest(job, first, done=2)[0] == []
    assert store.candidates(["Lines"], limit=9) == []


def test_records_are_in_one_place_each(store, add_batch, claim_slices, rest):
    job = add_batch([5, 4])
    rest(job, claim_slices(job, limit=1)[0], done=2, output=b"Ta\nb\n")
    accounts = store.accounts(job.id)
    assert (accounts.uploaded, accounts.processed, accounts.queued, accounts.running) == (9, 2, 7, 0)
    assert accounts.outputs == {"main": 2}
    assert accounts.missing_payloads == 0
