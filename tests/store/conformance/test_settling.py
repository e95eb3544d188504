"""Settlements: outputs exactly once, fenced by attempt."""

import json

import pytest

from penstock.clock import now
from penstock.errors import PenstockError
from penstock.states import SliceState, State, SubState
from penstock.store.rows import JobSettlement, NewOutput, OutputRow

SERVER = "server-1"


@pytest.fixture
def running(store, add_job):
    """Return a claimed regular job."""

    def make(**columns):
        (row,) = store.claim_jobs([add_job(**columns)], server=SERVER, now=now())
        return row

    return make


class TestJobs:
    def test_without_changes_the_job_is_gone(self, store, running):
        job = running()
        assert store.settle_jobs([JobSettlement(job.id, job.attempt, None)]) == []
        assert store.job(job.id) is None

    def test_changes_and_result_are_stored(self, store, running):
        job = running(destroy_on_complete=False)
        changes = {"state": State.COMPLETED, "completed_at": now(), "result": b"\x01", "server": None}
        assert store.settle_jobs([JobSettlement(job.id, 1, changes)]) == []
        after = store.job(job.id)
        assert (after.state, after.result, after.server) == (State.COMPLETED, b"\x01", None)

    def test_only_the_fields_handed_in_are_overwritten(self, store, running):
        job = running(fields='{"done":0,"note":"old"}')
        store.update_job(job.id, {"fields": {"note": "edited meanwhile"}})
        store.settle_jobs([JobSettlement(job.id, 1, {"state": State.COMPLETED}, {"done": 5})])
        assert json.loads(store.job(job.id).fields) == {"done": 5, "note": "edited meanwhile"}

    @pytest.mark.parametrize("changes", [None, {"state": State.COMPLETED}], ids=["destroyed", "kept"])
    def test_an_older_attempt_is_refused_and_changes_nothing(self, store, running, changes):
        job = running()
        store.hand_back_job(job.id, 1, crashed=False)
        store.claim_jobs(store.candidates(["Copy"], limit=1), server="s2", now=now())
        late = JobSettlement(job.id, 1, changes, {"a": 1})
        before = store.job(job.id)
        assert store.settle_jobs([late]) == [late]
        assert store.job(job.id) == before

    @pytest.mark.parametrize("changes", [None, {"state": State.COMPLETED}], ids=["destroyed", "kept"])
    @pytest.mark.parametrize("state", [State.ABORTED, State.QUEUED, State.PAUSED, State.FAILED])
    def test_a_job_that_a_person_moved_meanwhile_is_refused(self, store, running, state, changes):
        job = running()
        store.update_job(job.id, {"state": state})
        late = JobSettlement(job.id, 1, changes)
        assert store.settle_jobs([late]) == [late]
        assert store.job(job.id).state is state

    def test_a_destroyed_job_is_refused(self, store, running):
        job = running()
        store.destroy_job(job.id)
        late = JobSettlement(job.id, 1, {"state": State.COMPLETED})
        assert store.settle_jobs([late]) == [late]

    def test_of_many_only_the_late_ones_are_refused(self, store, running):
        jobs = [running() for _ in range(6)]
        settlements = [JobSettlement(job.id, 1 if n % 2 else 9, None) for n, job in enumerate(jobs)]
        refused = store.settle_jobs(settlements)
        assert sorted(s.id for s in refused) == sorted(job.id for job in jobs[::2])
        assert [store.job(job.id) is None for job in jobs] == [False, True] * 3


class TestSlices:
    def test_output_is_stored_and_the_slice_removed_together(self, store, add_batch, claim_slices, settled):
        job = add_batch([3, 2])
        first, second = claim_slices(job)
        assert store.settle_slices([settled(job, first, output=b"Ta\n")], server=SERVER) == []
        assert list(store.outputs(job.id, "main")) == [OutputRow(1, 0, 3, b"Ta\n")]
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 1}
        assert store.accounts(job.id).missing_payloads == 0
        assert store.first_unfinished(job.id) == second.number

    def test_an_output_that_cannot_be_stored_leaves_the_slice_where_it_was(
        self, store, add_batch, claim_slices, settled
    ):
        job = add_batch([1, 1])
        good, bad = claim_slices(job)
        same_place_twice = (NewOutput("main", 1, b"Tx\n"), NewOutput("main", 1, b"Ty\n"))
        broken = settled(job, bad)._replace(outputs=same_place_twice)
        with pytest.raises(PenstockError):
            store.settle_slices([settled(job, good), broken], server=SERVER)
        assert list(store.outputs(job.id, "main")) == []
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 2}
        assert store.progress(job.id).processed == 0

    def test_several_categories_are_kept_apart(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        (claimed,) = claim_slices(job)
        outputs = (NewOutput("main", 1, b"Tgood\n"), NewOutput("invalid", 1, b"Tbad\n"))
        both = settled(job, claimed)._replace(outputs=outputs)
        store.settle_slices([both], server=SERVER)
        assert [row.payload for row in store.outputs(job.id, "invalid")] == [b"Tbad\n"]
        assert store.accounts(job.id).outputs == {"main": 1, "invalid": 1}

    def test_a_slice_without_output_is_done_all_the_same(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        store.settle_slices([settled(job, claim_slices(job)[0], output=None)], server=SERVER)
        assert store.slice_counts(job.id) == {}
        assert store.progress(job.id) == (2, 0, 0)

    @pytest.mark.parametrize("exception", [None, "{}"], ids=["done", "failed"])
    def test_an_older_attempt_is_refused_and_nothing_of_it_is_stored(
        self, store, add_batch, claim_slices, settled, exception
    ):
        job = add_batch([2])
        (old,) = claim_slices(job)
        store.hand_back_slice(job.id, old, crashed=False)
        (new,) = claim_slices(job)
        late = settled(job, old, exception=exception)
        assert store.settle_slices([late], server=SERVER) == [late]
        assert list(store.outputs(job.id, "main")) == []
        assert store.progress(job.id) == (0, 0, 0)
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 1}
        assert store.settle_slices([settled(job, new)], server=SERVER) == []

    def test_a_slice_handed_back_and_not_claimed_again_is_refused(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        (old,) = claim_slices(job)
        store.hand_back_slice(job.id, old, crashed=False)
        assert len(store.settle_slices([settled(job, old)], server=SERVER)) == 1
        assert store.slice_counts(job.id) == {SliceState.QUEUED: 1}

    def test_settled_twice_counts_once(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        settlement = settled(job, claim_slices(job)[0])
        assert store.settle_slices([settlement], server=SERVER) == []
        assert store.settle_slices([settlement], server=SERVER) == [settlement]
        assert len(list(store.outputs(job.id, "main"))) == 1
        assert store.progress(job.id).processed == 2

    def test_a_slice_of_a_job_that_was_destroyed_is_refused(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        late = settled(job, claim_slices(job)[0])
        store.destroy_job(job.id)
        assert store.settle_slices([late], server=SERVER) == [late]
        assert store.accounts(job.id).outputs == {}

    def test_a_late_result_never_lands_in_another_jobs_slice(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        late = settled(job, claim_slices(job)[0])
        store.destroy_job(job.id)
        other = add_batch([2])
        claim_slices(other)
        assert store.settle_slices([late], server=SERVER) == [late]
        assert store.slice_counts(other.id) == {SliceState.RUNNING: 1}


class TestFailedSlices:
    def test_outputs_before_the_failed_record_are_stored(self, store, add_batch, claim_slices, settled):
        job = add_batch([5])
        failed = settled(job, claim_slices(job)[0], done=2, exception='{"class_name": "X"}', output=b"Ta\nb\n")
        assert store.settle_slices([failed], server=SERVER) == []
        (row,) = store.failed_slices(job.id)
        assert (row.done, row.failure_count, row.failed_record, row.exception) == (2, 1, 3, '{"class_name": "X"}')
        assert list(store.outputs(job.id, "main")) == [OutputRow(1, 0, 2, b"Ta\nb\n")]

    def test_a_retry_goes_on_behind_what_was_done_and_appends_a_part(self, store, add_batch, claim_slices, settled):
        job = add_batch([5, 1])
        first, second = claim_slices(job)
        store.settle_slices([settled(job, first, done=2, exception="{}", output=b"Ta\nb\n")], server=SERVER)
        assert store.retry_slices(job.id) == 1
        (again,) = claim_slices(job)
        assert (again.number, again.done, again.attempt, again.payload) == (1, 2, 2, first.payload)
        store.settle_slices([settled(job, second, output=b"Tz\n"), settled(job, again, output=b"Tc\n")], server=SERVER)
        assert [row[:3] for row in store.outputs(job.id, "main")] == [(1, 0, 2), (1, 2, 3), (2, 0, 1)]
        assert store.progress(job.id) == (6, 0, 0)
        assert list(store.failed_slices(job.id)) == []

    def test_failing_at_the_first_record_twice_leaves_one_whole_output(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        for _ in range(2):
            (claimed,) = claim_slices(job)
            assert store.settle_slices([settled(job, claimed, done=0, exception="{}", output=None)], server="s") == []
            store.retry_slices(job.id)
        (claimed,) = claim_slices(job)
        assert claimed.attempt == 3
        store.settle_slices([settled(job, claimed)], server=SERVER)
        assert [row[:3] for row in store.outputs(job.id, "main")] == [(1, 0, 2)]

    def test_a_failed_slice_is_not_claimed_until_it_is_retried(self, store, add_batch, claim_slices, settled):
        job = add_batch([1])
        store.settle_slices([settled(job, claim_slices(job)[0], done=0, exception="{}", output=None)], server=SERVER)
        assert claim_slices(job) == []
        assert store.standing(job.id) == (False, False, 1)
        assert store.standing(job.id).finished
        store.retry_slices(job.id)
        store.update_job(job.id, {"state": State.RUNNING, "sub_state": SubState.PROCESSING})
        assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]
        assert len(claim_slices(job)) == 1

    def test_failed_slices_come_in_order_and_all_of_them(self, store, add_batch, settled):
        job = add_batch([1] * 1_100)
        claimed = store.claim_slices(job.id, server=SERVER, limit=1_100, max_bytes=1 << 30)
        store.settle_slices(
            [settled(job, one, done=0, exception="{}", output=None) for one in reversed(claimed)], server=SERVER
        )
        assert [row.number for row in store.failed_slices(job.id)] == list(range(1, 1_101))
        assert store.progress(job.id).failed_slices == 1_100

    def test_only_failed_slices_are_retried(self, store, add_batch, claim_slices):
        job = add_batch([1, 1])
        claim_slices(job, limit=1)
        assert store.retry_slices(job.id) == 0
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 1, SliceState.QUEUED: 1}


class TestOutputs:
    @pytest.fixture
    def job(self, store, add_batch, settled):
        """A job of 150 slices, settled in a mixed order."""
        job = add_batch([1] * 150)
        claimed = store.claim_slices(job.id, server=SERVER, limit=150, max_bytes=1 << 20)
        for one in sorted(claimed, key=lambda one: one.number * 37 % 151):
            store.settle_slices([settled(job, one, output=b"T%d\n" % one.number)], server=SERVER)
        return job

    def test_order_is_that_of_the_input_whatever_the_order_of_settling(self, store, job):
        assert [row.payload for row in store.outputs(job.id, "main")] == [b"T%d\n" % n for n in range(1, 151)]

    def test_reading_goes_on_behind_a_place_and_stops_before_another(self, store, job):
        numbers = [row.number for row in store.outputs(job.id, "main", after=(20, 0), before=100)]
        assert numbers == list(range(21, 100))

    def test_a_category_without_output_is_empty(self, store, job):
        assert list(store.outputs(job.id, "invalid")) == []

    def test_a_slow_reader_holds_no_writer_up(self, store, job, add_job):
        reader = store.outputs(job.id, "main")
        next(reader)
        written = add_job()
        assert store.job(written.id) is not None
        assert len(list(reader)) == 149
