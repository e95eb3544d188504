"""Hooks that follow a committed move: due until somebody has run them, run by one at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from penstock.clock import now
from penstock.errors import DuplicateJob
from penstock.ids import new_id
from penstock.states import State
from penstock.store import Topic
from penstock.store.rows import ServerRow


@pytest.fixture
def due_job(add_job):
    """Store a job that has hooks due, taken by `server` where one is named."""

    def make(moments="after_fail", *, server=None, kind="Copy", **columns):
        columns = {"state": State.FAILED, **columns}
        return add_job(kind, pending_hooks=moments, hooks_server=server, **columns)

    return make


@pytest.fixture
def due(store):
    """Return the ids of the jobs whose hooks wait for somebody."""
    return lambda *kinds: [row.id for row in store.jobs_due_for_hooks(kinds or ("Copy",))]


class TestFindingThem:
    def test_the_oldest_come_first_as_they_are_stored(self, store, due_job):
        jobs = [due_job(f"after_{move}") for move in ("fail", "retry", "abort")]
        assert store.jobs_due_for_hooks(["Copy"]) == [store.job(job.id) for job in jobs]

    @pytest.mark.parametrize("state", list(State))
    def test_a_job_of_any_state_may_have_some(self, due_job, due, state):
        job = due_job(state=state)
        assert due() == [job.id]

    def test_jobs_without_any_are_left_out(self, add_job, due):
        add_job(state=State.FAILED)
        assert due() == []

    def test_those_that_somebody_runs_are_left_out(self, due_job, due):
        due_job(server="s1")
        assert due() == []

    def test_other_kinds_are_left_out(self, due_job, due):
        a, _, c = due_job(kind="A"), due_job(kind="B"), due_job(kind="C")
        assert due("A", "C") == [a.id, c.id]
        assert due("D") == []

    def test_without_kinds_there_are_none(self, store, due_job):
        due_job()
        assert store.jobs_due_for_hooks([]) == []

    @pytest.mark.parametrize("kind", ['"', "'", "a,b", "größe 東京", "[]", "\\"])
    def test_any_text_is_a_kind(self, due_job, due, kind):
        job = due_job(kind=kind)
        assert due(kind) == [job.id]

    def test_a_job_that_is_out_of_sight_is_left_out(self, due_job, due):
        due_job(draft=True)
        assert due() == []

    def test_there_are_a_hundred_at_most_and_the_others_next_time(self, store, new_row, due):
        rows = [new_row(state=State.FAILED, pending_hooks="after_fail") for _ in range(150)]
        store.insert_jobs(rows)
        assert due() == [row.id for row in rows[:100]]
        for row in rows[:100]:
            assert store.claim_hooks(row.id, server="s1")
        assert due() == [row.id for row in rows[100:]]

    def test_they_may_be_due_by_an_update_together_with_its_move(self, store, add_job, due):
        job = add_job()
        store.update_job(job.id, {"state": State.ABORTED, "pending_hooks": "after_abort"})
        assert due() == [job.id]


class TestTakingThem:
    def test_one_gets_them_and_others_do_not(self, store, due_job, due):
        job = due_job()
        assert store.claim_hooks(job.id, server="s1")
        assert not store.claim_hooks(job.id, server="s2")
        assert not store.claim_hooks(job.id, server="s1")
        assert due() == []
        assert (store.job(job.id).hooks_server, store.job(job.id).pending_hooks) == ("s1", "after_fail")

    def test_where_none_are_due_nobody_gets_any(self, store, add_job):
        assert not store.claim_hooks(add_job().id, server="s1")
        assert not store.claim_hooks(new_id(), server="s1")

    def test_of_many_at_once_one_gets_them(self, store, due_job):
        job, start = due_job(), threading.Barrier(4)

        def take(server):
            start.wait(10)
            return store.claim_hooks(job.id, server=server)

        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(take, "abcd")) == [False, False, False, True]

    def test_taken_in_a_transaction_that_is_rolled_back_they_are_free(self, store, due_job, due, undone):
        job = due_job()
        with undone():
            assert store.claim_hooks(job.id, server="s1")
        assert due() == [job.id]


class TestFinishingThem:
    def test_then_none_are_due_and_nobody_runs_them(self, store, due_job, due):
        job = due_job("after_fail after_retry", server="s1")
        assert store.finish_hooks(job.id, server="s1", ran="after_fail after_retry", changes={})
        assert (store.job(job.id).pending_hooks, store.job(job.id).hooks_server) == (None, None)
        assert due() == []

    def test_what_they_changed_is_stored(self, store, due_job):
        job = due_job(server="s1", fields='{"a":1,"b":2}')
        changes = {"priority": 7, "fields": {"b": 3}}
        assert store.finish_hooks(job.id, server="s1", ran="after_fail", changes=changes)
        row = store.job(job.id)
        assert (row.priority, row.fields, row.state) == (7, '{"a":1,"b":3}', State.FAILED)

    @pytest.mark.parametrize("holder", [None, "s2"])
    def test_who_does_not_have_them_is_refused_and_changes_nothing(self, store, due_job, holder):
        job = due_job(server=holder)
        before = store.job(job.id)
        assert not store.finish_hooks(job.id, server="s1", ran="after_fail", changes={"priority": 1})
        assert store.job(job.id) == before

    def test_those_of_a_job_that_is_gone_are_refused(self, store, due_job):
        job = due_job(server="s1")
        store.destroy_job(job.id)
        assert not store.finish_hooks(job.id, server="s1", ran="after_fail", changes={"priority": 1})
        assert store.job(job.id) is None

    def test_finished_twice_the_second_is_refused(self, store, due_job):
        job = due_job(server="s1")
        assert store.finish_hooks(job.id, server="s1", ran="after_fail", changes={})
        assert not store.finish_hooks(job.id, server="s1", ran="after_fail", changes={"priority": 1})
        assert store.job(job.id).priority == 50

    @pytest.mark.parametrize(
        ("pending", "ran", "left"),
        [
            ("after_fail after_retry", "after_fail", "after_retry"),
            ("after_fail after_fail", "after_fail", "after_fail"),
            ("after_fail after_retry after_abort", "after_fail after_retry", "after_abort"),
        ],
    )
    def test_those_that_became_due_meanwhile_stay_due_and_are_free(self, store, due_job, due, pending, ran, left):
        job = due_job(ran, server="s1")
        store.update_job(job.id, {"pending_hooks": pending})
        assert store.finish_hooks(job.id, server="s1", ran=ran, changes={})
        assert (store.job(job.id).pending_hooks, store.job(job.id).hooks_server) == (left, None)
        assert due() == [job.id]

    def test_who_ran_none_gives_them_back(self, store, due_job, due):
        job = due_job(server="s1")
        assert store.finish_hooks(job.id, server="s1", ran="", changes={})
        assert due() == [job.id]
        assert store.job(job.id).pending_hooks == "after_fail"

    def test_those_that_are_left_wake_who_waits_for_work(self, store, due_job):
        job, heard = due_job("after_fail after_retry", server="s1"), threading.Event()
        with closing(store.listen(Topic.WORK, heard.set)):
            store.finish_hooks(job.id, server="s1", ran="after_fail", changes={})
            assert heard.wait(10)

    def test_changes_that_the_store_refuses_leave_them_as_they_were(self, store, add_job, due_job):
        """As when a hook gives a queued job the unique key of another."""
        add_job(unique_key="k")
        job = due_job("after_retry", state=State.QUEUED, server="s1")
        before = store.job(job.id)
        with pytest.raises(DuplicateJob):
            store.finish_hooks(job.id, server="s1", ran="after_retry", changes={"priority": 1, "unique_key": "k"})
        assert store.job(job.id) == before


class TestLosingThem:
    @pytest.fixture
    def three(self, due_job):
        """Jobs whose hooks one server, another, and nobody runs."""
        return due_job(server="s1"), due_job(server="s2"), due_job()

    def test_released_they_are_free_and_those_of_others_are_not(self, store, three, due):
        store.release_hooks("s1")
        assert due() == [three[0].id, three[2].id]
        assert store.job(three[1].id).hooks_server == "s2"
        assert not store.finish_hooks(three[0].id, server="s1", ran="after_fail", changes={})

    def test_those_of_a_released_server_are_free(self, store, three, due):
        store.register_server(ServerRow("s1", "host", 1, "running", now(), 0, 2, 10))
        store.release_server("s1")
        assert due() == [three[0].id, three[2].id]

    def test_released_they_wake_who_waits_for_work(self, store, three):
        heard = threading.Event()
        with closing(store.listen(Topic.WORK, heard.set)):
            store.release_hooks("s1")
            assert heard.wait(10)

    def test_those_of_processes_that_are_gone_are_freed_with_what_else_they_left(self, store, three, due):
        with closing(store.appear("s2")):
            store.drop_abandoned()
            assert due() == [three[0].id, three[2].id]
        store.drop_abandoned()
        assert due() == [job.id for job in three]

    def test_a_process_that_appeared_keeps_what_it_took(self, store, due_job, due):
        with closing(store.appear("s1")):
            job = due_job()
            store.claim_hooks(job.id, server="s1")
            store.drop_abandoned()
            assert due() == []
            assert store.finish_hooks(job.id, server="s1", ran="after_fail", changes={})

    def test_they_go_with_their_job(self, store, three, due):
        for job in three:
            store.destroy_job(job.id)
        store.release_hooks("s1")
        store.drop_abandoned()
        assert due() == []
