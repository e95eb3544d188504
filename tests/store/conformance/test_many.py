"""Many jobs claimed and settled in one call: each on its own merits, however many go together."""

import pytest

from penstock.clock import now
from penstock.states import State
from penstock.store.rows import JobSettlement

COUNT = 613
"""More than any engine changes by one statement, and no round number of these."""


@pytest.fixture
def jobs(store, new_row):
    rows = [new_row() for _ in range(COUNT)]
    store.insert_jobs(rows)
    return rows


def claimed(store):
    with store.transaction():
        return store.claim_jobs(store.candidates(["Copy"], limit=COUNT + 10), server="s", now=now())


def gone(row, attempt=None):
    return JobSettlement(row.id, row.attempt if attempt is None else attempt, None)


def test_all_are_claimed_in_their_order_each_at_its_next_attempt(store, jobs):
    won = claimed(store)
    assert [row.id for row in won] == [row.id for row in jobs]
    for row in (won[0], won[-1], store.job(jobs[0].id), store.job(jobs[300].id), store.job(jobs[-1].id)):
        assert (row.state, row.attempt, row.server, row.limit_name) == (State.RUNNING, 1, "s", None)
    assert claimed(store) == []


def test_those_that_somebody_moved_meanwhile_are_not_won_and_all_others_are(store, jobs):
    seen = store.candidates(["Copy"], limit=COUNT)
    for lost in (0, 250, COUNT - 1):
        store.update_job(jobs[lost].id, {"state": State.PAUSED})
    won = store.claim_jobs(seen, server="s", now=now())
    assert [row.id for row in won] == [row.id for row in jobs if row not in (jobs[0], jobs[250], jobs[COUNT - 1])]
    assert store.job(jobs[250].id).state is State.PAUSED


def test_what_was_won_are_the_very_rows_that_were_given(store, jobs):
    seen = store.candidates(["Copy"], limit=COUNT)
    store.update_job(jobs[3].id, {"state": State.PAUSED})
    won = store.claim_jobs(seen, server="s", now=now())
    assert list(map(id, won)) == [id(row) for row in seen if row.id != jobs[3].id]


def test_a_claim_that_was_undone_is_made_again(store, jobs, undone):
    with undone():
        assert len(claimed(store)) == COUNT
    assert len(claimed(store)) == COUNT


def test_jobs_at_different_attempts_and_limits_are_claimed_together(store, new_row):
    rows = [new_row(attempt=number % 3) for number in range(COUNT)]
    store.insert_jobs(rows)
    with store.transaction():
        found = store.candidates(["Copy"], limit=COUNT)
        for number, row in enumerate(found):
            row.limit_name = "Copy" if number % 2 else None
        won = store.claim_jobs(found, server="s", now=now())
    assert len(won) == COUNT
    for number in (0, 1, 5, COUNT - 1):
        stored = store.job(rows[number].id)
        assert (stored.attempt, stored.limit_name) == (number % 3 + 1, "Copy" if number % 2 else None)
    with store.transaction():
        assert store.limits() == {"Copy": COUNT // 2}


def test_all_that_are_done_go_at_once(store, jobs):
    assert store.settle_jobs([gone(row) for row in claimed(store)]) == []
    assert all(store.job(row.id) is None for row in (jobs[0], jobs[300], jobs[-1]))


def test_only_those_are_refused_whose_attempt_is_no_longer_the_running_one(store, jobs):
    won = claimed(store)
    store.update_job(jobs[5].id, {"state": State.ABORTED})
    settlements = [gone(row) for row in won]
    settlements[400] = gone(won[400], attempt=2)
    refused = store.settle_jobs(settlements)
    assert {one.id for one in refused} == {jobs[5].id, jobs[400].id}
    assert store.job(jobs[400].id).state is State.RUNNING
    assert store.job(jobs[401].id) is None


def test_limits_are_left_by_all_that_go_at_once(store, jobs):
    with store.transaction():
        found = store.candidates(["Copy"], limit=COUNT)
        for row in found:
            row.limit_name = "Copy"
        won = store.claim_jobs(found, server="s", now=now())
    with store.transaction():
        assert store.limits() == {"Copy": COUNT}
    assert store.settle_jobs([gone(row) for row in won]) == []
    with store.transaction():
        assert store.limits() == {}


def test_those_that_the_claiming_transaction_itself_has_moved_are_not_won(store, jobs):
    with store.transaction():
        seen = store.candidates(["Copy"], limit=COUNT)
        store.update_job(jobs[7].id, {"state": State.PAUSED})
        won = store.claim_jobs(seen, server="s", now=now())
    assert [row.id for row in won] == [row.id for row in jobs if row is not jobs[7]]
    with store.transaction():
        seen = [store.job(row.id) for row in won[:80]]
        assert store.claim_jobs(seen, server="s", now=now()) == []


def test_of_many_at_the_same_attempt_those_are_refused_that_were_moved(store, jobs):
    won = claimed(store)
    for lost in (0, COUNT - 1):
        store.update_job(jobs[lost].id, {"state": State.ABORTED})
    settlements = [gone(row) for row in won]
    refused = store.settle_jobs(settlements)
    assert refused == [settlements[0], settlements[-1]]
    assert store.settle_jobs(settlements) == settlements
