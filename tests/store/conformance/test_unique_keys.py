"""Unique keys: no two jobs that are queued, running or paused have the same."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock.clock import now
from penstock.errors import DuplicateJob, PenstockError
from penstock.query import Filter, Query
from penstock.states import State, SubState
from penstock.store.rows import JobSettlement

HOLDING = [State.QUEUED, State.RUNNING, State.PAUSED]
FREE = [State.COMPLETED, State.FAILED, State.ABORTED]
KEY = "ReportJob"


@pytest.fixture
def holder(add_job):
    """Store a job with the key."""
    return lambda state=State.QUEUED, **columns: add_job(state=state, unique_key=KEY, **columns)


def holders(store):
    return [row.id for row in store.find_jobs(Query(states=tuple(HOLDING), filters=(Filter("unique_key", "eq", KEY),)))]


class TestWhichStatesHoldIt:
    @pytest.mark.parametrize("state", HOLDING)
    def test_a_job_that_waits_or_runs_keeps_others_out(self, store, holder, new_row, state):
        first = holder(state)
        with pytest.raises(DuplicateJob, match="queued, running or paused"):
            store.insert_jobs([new_row(unique_key=KEY)])
        assert holders(store) == [first.id]

    @pytest.mark.parametrize("state", FREE)
    def test_a_job_that_has_ended_keeps_nobody_out(self, store, holder, state):
        holder(state)
        holder(state)
        second = holder()
        assert holders(store) == [second.id]

    @pytest.mark.parametrize("state", FREE)
    def test_a_job_that_has_ended_may_be_stored_beside_one_that_waits(self, store, holder, state):
        first, second = holder(), holder(state)
        assert holders(store) == [first.id]
        assert store.job(second.id).unique_key == KEY

    def test_another_kind_does_not_matter_for_the_key_says_it_all(self, holder, add_job):
        holder(kind="A")
        with pytest.raises(DuplicateJob):
            add_job("B", unique_key=KEY)

    def test_a_draft_holds_it_too(self, holder, add_job):
        holder(draft=True, uploader="u")
        with pytest.raises(DuplicateJob):
            holder()

    def test_without_a_key_any_number_may_be_stored(self, store, add_job):
        for _ in range(3):
            add_job(unique_key=None)
        assert store.count_jobs(Query()) == 3

    @pytest.mark.parametrize("keys", [("a", "A"), ("a", "a "), ("ä", "a"), ("", " "), ("1", "1.0")])
    def test_keys_are_compared_exactly(self, store, add_job, keys):
        for key in keys:
            add_job(unique_key=key)
        assert [row.unique_key for row in store.find_jobs(Query())] == list(keys)


class TestInserting:
    def test_many_are_stored_all_or_none(self, store, holder, new_row):
        first = holder()
        rows = [new_row(), new_row(unique_key="other"), new_row(unique_key=KEY), new_row()]
        with pytest.raises(DuplicateJob):
            store.insert_jobs(rows)
        assert [row.id for row in store.find_jobs(Query())] == [first.id]

    def test_two_of_the_same_insert_are_in_each_others_way(self, store, new_row):
        with pytest.raises(DuplicateJob):
            store.insert_jobs([new_row(unique_key=KEY), new_row(unique_key=KEY)])
        assert store.count_jobs(Query()) == 0

    def test_refused_in_a_transaction_the_rest_of_it_may_go_on(self, store, holder, new_row):
        first, other = holder(), new_row()
        with store.transaction():
            with pytest.raises(DuplicateJob):
                store.insert_jobs([new_row(unique_key=KEY)])
            store.insert_jobs([other])
        assert [row.id for row in store.find_jobs(Query())] == [first.id, other.id]

    def test_of_many_threads_at_once_exactly_one_succeeds(self, store, new_row):
        start, rows = threading.Barrier(8), [new_row(unique_key=KEY) for _ in range(8)]

        def insert(row):
            start.wait(10)
            try:
                store.insert_jobs([row])
            except DuplicateJob as error:
                return str(error)
            return None

        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(insert, rows))
        assert told.count(None) == 1
        assert len(set(told)) == 2
        assert holders(store) == [rows[told.index(None)].id]


class TestInsertingUnlessTaken:
    def test_where_nobody_has_the_key_it_is_stored(self, store, new_row):
        row = new_row(unique_key=KEY)
        assert store.insert_unless_taken(row)
        assert store.job(row.id) == row

    @pytest.mark.parametrize("state", HOLDING)
    def test_where_somebody_has_the_key_nothing_is_changed(self, store, holder, new_row, state):
        first = holder(state, priority=7)
        assert not store.insert_unless_taken(new_row(unique_key=KEY))
        assert [row.id for row in store.find_jobs(Query())] == [first.id]
        assert store.job(first.id) == first

    def test_where_the_id_is_there_nothing_is_changed(self, store, add_job):
        row = add_job()
        before = store.job(row.id)
        row.priority = 1
        assert not store.insert_unless_taken(row)
        assert store.job(row.id) == before

    @pytest.mark.parametrize("state", FREE)
    def test_it_is_stored_once_the_holder_has_ended(self, store, holder, new_row, state):
        first = holder()
        store.update_job(first.id, {"state": state})
        assert store.insert_unless_taken(new_row(unique_key=KEY))

    def test_without_a_key_only_the_id_counts(self, store, new_row):
        row = new_row()
        assert store.insert_unless_taken(row)
        assert store.insert_unless_taken(new_row())
        assert not store.insert_unless_taken(row)

    def test_a_row_that_can_be_no_job_is_refused_and_not_passed_over(self, store, new_row):
        with pytest.raises(PenstockError):
            store.insert_unless_taken(new_row(unique_key=KEY, state="cancelled"))
        assert store.count_jobs(Query()) == 0


class TestChanging:
    @pytest.mark.parametrize("state", HOLDING)
    @pytest.mark.parametrize("ended", FREE)
    def test_a_job_that_comes_back_beside_a_holder_is_refused_and_changed_in_nothing(self, store, holder, ended, state):
        back, _ = holder(ended), holder(state)
        before = store.job(back.id)
        for target in HOLDING:
            with pytest.raises(DuplicateJob):
                store.update_job(back.id, {"state": target, "priority": 1, "fields": {"a": 1}})
        assert store.job(back.id) == before

    def test_a_job_that_comes_back_when_the_holder_has_ended_holds_it_again(self, store, holder, new_row):
        back, other = holder(State.FAILED), holder()
        store.update_job(other.id, {"state": State.COMPLETED})
        assert store.update_job(back.id, {"state": State.QUEUED})
        assert holders(store) == [back.id]
        with pytest.raises(DuplicateJob):
            store.insert_jobs([new_row(unique_key=KEY)])

    def test_a_key_that_another_has_is_refused_and_one_that_is_free_is_taken(self, store, holder, add_job):
        holder()
        job = add_job(unique_key="mine")
        with pytest.raises(DuplicateJob):
            store.update_job(job.id, {"unique_key": KEY, "priority": 1})
        assert (store.job(job.id).unique_key, store.job(job.id).priority) == ("mine", 50)
        assert store.update_job(job.id, {"unique_key": "free"})
        add_job(unique_key="mine")

    def test_a_job_may_be_given_its_own_key_again(self, store, holder):
        job = holder()
        assert store.update_job(job.id, {"unique_key": KEY, "priority": 1})

    def test_a_refused_change_in_a_transaction_leaves_the_rest_of_it(self, store, holder, add_job):
        back, _, other = holder(State.FAILED), holder(), add_job()
        with store.transaction():
            store.update_job(other.id, {"priority": 1})
            with pytest.raises(DuplicateJob):
                store.update_job(back.id, {"state": State.QUEUED})
            store.update_job(other.id, {"worker": "w"})
        row = store.job(other.id)
        assert (row.priority, row.worker, store.job(back.id).state) == (1, "w", State.FAILED)


class TestRunning:
    @pytest.fixture
    def running(self, store, holder):
        (row,) = store.claim_jobs([holder(destroy_on_complete=False)], server="s1", now=now())
        return row

    def test_it_is_held_from_the_queue_to_the_end_of_the_run(self, store, running, new_row):
        assert not store.insert_unless_taken(new_row(unique_key=KEY))
        store.hand_back_job(running.id, 1, crashed=False)
        assert not store.insert_unless_taken(new_row(unique_key=KEY))

    @pytest.mark.parametrize("state", [None, *FREE])
    def test_a_settlement_that_ends_the_job_frees_it(self, store, running, new_row, state):
        changes = None if state is None else {"state": state, "server": None}
        assert store.settle_jobs([JobSettlement(running.id, 1, changes)]) == []
        assert store.insert_unless_taken(new_row(unique_key=KEY))

    def test_a_settlement_that_queues_the_job_again_keeps_it(self, store, running, new_row):
        assert store.settle_jobs([JobSettlement(running.id, 1, {"state": State.QUEUED, "server": None})]) == []
        assert not store.insert_unless_taken(new_row(unique_key=KEY))

    def test_a_batch_job_holds_it_through_all_its_life(self, store, new_row, clock):
        job = new_row("Lines", batch=True, unique_key=KEY)
        store.insert_jobs([job])
        store.start_batch(job.id, sub_state=SubState.BEFORE, server="s1", now=clock.now())
        for sub_state in SubState:
            store.update_job(job.id, {"sub_state": sub_state})
            assert not store.insert_unless_taken(new_row(unique_key=KEY))
        store.update_job(job.id, {"state": State.COMPLETED, "sub_state": None})
        assert store.insert_unless_taken(new_row(unique_key=KEY))

    def test_a_destroyed_job_frees_it(self, store, running, new_row):
        store.destroy_job(running.id)
        assert store.insert_unless_taken(new_row(unique_key=KEY))

    def test_the_next_of_its_key_may_be_stored_in_the_transaction_that_ends_it(self, store, running, new_row):
        following = new_row(unique_key=KEY)
        with store.transaction():
            store.settle_jobs([JobSettlement(running.id, 1, {"state": State.COMPLETED, "server": None})])
            assert store.insert_unless_taken(following)
        assert holders(store) == [following.id]
