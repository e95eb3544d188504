"""Outputs in places of their own, rejected records, failed slices that are repaired, figures, rate limits."""

import threading
from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock.states import SliceState, State
from penstock.store import Topic
from penstock.store.rows import NewOutput, OutputRow

EXCEPTION = '{"class_name": "ValueError", "message": "bad"}'


@pytest.fixture
def settle(store, settled):
    """Settle a claimed slice with these outputs."""

    def end(job, claimed, *outputs, **changes):
        settlement = settled(job, claimed, output=None)._replace(outputs=tuple(outputs), **changes)
        return store.settle_slices([settlement], server="s")

    return end


@pytest.fixture
def failed(store, add_batch, claim_slices, settled):
    """A job with one slice of five records of which two are done, failed."""

    def make(done=2, slices=(5,)):
        job = add_batch(slices)
        for claimed in claim_slices(job):
            store.settle_slices([settled(job, claimed, done=done, exception=EXCEPTION)], server="s")
        return job

    return make


class TestPlaces:
    def test_outputs_come_in_the_order_of_their_places(self, store, add_batch, claim_slices, settle):
        job = add_batch([5, 5])
        first, second = claim_slices(job)
        settle(job, second, NewOutput("main", 5, b"Te"))
        settle(
            job,
            first,
            NewOutput("main", 2, b"Tc", (1, 3)),
            NewOutput("main", 2, b"Ta", (1, 0)),
            NewOutput("rejects", 1, b"Tb", (1, 2)),
            rejected=1,
        )
        assert list(store.outputs(job.id, "main")) == [
            OutputRow(1, 0, 2, b"Ta"),
            OutputRow(1, 3, 2, b"Tc"),
            OutputRow(2, 0, 5, b"Te"),
        ]
        assert list(store.outputs(job.id, "rejects")) == [OutputRow(1, 2, 1, b"Tb")]
        assert store.progress(job.id) == (10, 0, 1)
        assert store.accounts(job.id).rejected == 1

    def test_one_place_holds_one_output(self, store, add_batch, claim_slices, settle):
        job = add_batch([1, 1])
        first, second = claim_slices(job)
        settle(job, first, NewOutput("main", 1, b"Ta", (1, 0)))
        with pytest.raises(Exception, match=r"UNIQUE|unique"):
            settle(job, second, NewOutput("main", 1, b"Tb", (1, 0)))
        assert store.accounts(job.id).processed == 1

    def test_a_refused_settlement_rejects_nothing(self, store, add_batch, claim_slices, settle):
        job = add_batch([1])
        (claimed,) = claim_slices(job)
        store.hand_back_slice(job.id, claimed, crashed=False)
        assert settle(job, claimed, NewOutput("rejects", 1, b"Ta", (1, 0)), rejected=1, statistics={"a": 1})
        assert store.progress(job.id) == (0, 0, 0)
        assert store.statistics(job.id) == {}
        assert list(store.outputs(job.id, "rejects")) == []


class TestTakingBack:
    @pytest.fixture
    def job(self, store, add_batch, claim_slices, settle):
        job = add_batch([3])
        (claimed,) = claim_slices(job)
        outputs = [NewOutput("rejects", 1, b"Tx", (1, offset)) for offset in range(3)]
        settle(job, claimed, *outputs, rejected=3)
        return job

    def test_those_named_go_and_count_as_not_processed(self, store, job):
        assert store.take_back_rejects(job.id, "rejects", [(1, 0), (1, 2)], by="me") == 2
        assert [row.part for row in store.outputs(job.id, "rejects")] == [1]
        assert store.progress(job.id) == (1, 0, 1)

    def test_those_that_are_not_there_are_not_counted(self, store, job):
        assert store.take_back_rejects(job.id, "rejects", [(1, 0), (1, 9), (2, 0)], by="me") == 1
        assert store.take_back_rejects(job.id, "rejects", [(1, 0)], by="me") == 0
        assert store.take_back_rejects(job.id, "rejects", [], by="me") == 0
        assert store.progress(job.id) == (2, 0, 2)

    def test_rolled_back_they_are_there_again(self, store, job, undone):
        with undone():
            assert store.take_back_rejects(job.id, "rejects", [(1, 0)], by="me") == 1
        assert store.progress(job.id) == (3, 0, 3)
        assert len(list(store.outputs(job.id, "rejects"))) == 3

    def test_those_of_another_job_stay(self, store, job, add_batch):
        assert store.take_back_rejects(add_batch([1]).id, "rejects", [(1, 0)], by="me") == 0
        assert len(list(store.outputs(job.id, "rejects"))) == 3

    def test_many_go_at_once(self, store, add_batch, claim_slices, settle):
        job = add_batch([5000])
        (claimed,) = claim_slices(job)
        settle(job, claimed, *(NewOutput("rejects", 1, b"Tx", (1, n)) for n in range(5000)), rejected=5000)
        assert store.take_back_rejects(job.id, "rejects", [(1, n) for n in range(5000)], by="me") == 5000
        assert store.accounts(job.id)[4:6] == (0, {})


class TestFailedSlices:
    def test_it_is_found_by_any_of_its_records(self, store, failed):
        job = failed(slices=(5, 5))
        assert [store.failed_slice(job.id, number).number for number in (1, 5, 6, 10)] == [1, 1, 2, 2]
        assert (store.failed_slice(job.id, 0), store.failed_slice(job.id, 11)) == (None, None)
        row = store.failed_slice(job.id, 3)
        assert (row.done, row.state, row.exception, row.failed_record) == (2, SliceState.FAILED, EXCEPTION, 3)
        assert store.failed_payload(row, job.id) == b"Tslice 1\n" * 5

    def test_one_that_is_not_failed_is_not_found(self, store, add_batch, claim_slices, failed):
        job = add_batch([5])
        assert store.failed_slice(job.id, 1) is None
        claim_slices(job)
        assert store.failed_slice(job.id, 1) is None
        other = failed()
        row = store.failed_slice(other.id, 1)
        store.retry_slices(other.id)
        assert store.failed_slice(other.id, 1) is None
        assert store.failed_payload(row, other.id) is None

    def test_those_of_another_category_are_not_of_the_main_input(self, store, add_batch, claim_slices, settled):
        job = add_batch([])
        from penstock.store.rows import NewSlice

        store.append_slices(job.id, "resubmitted", [NewSlice(1, 1, b"Tx\n")])
        store.settle_slices([settled(job, claim_slices(job)[0], done=0, exception=EXCEPTION, output=None)], server="s")
        assert store.failed_slice(job.id, 1) is None
        (row,) = store.failed_slices(job.id)
        assert store.failed_payload(row, job.id) == b"Tx\n"

    def test_its_payload_is_replaced_and_is_what_is_claimed_next(self, store, failed, claim_slices):
        job = failed()
        row = store.failed_slice(job.id, 3)
        assert store.edit_failed_slice(row, job.id, b"Tnew\n")
        assert store.failed_payload(row, job.id) == b"Tnew\n"
        store.retry_slices(job.id)
        assert claim_slices(job)[0].payload == b"Tnew\n"

    def test_it_is_not_edited_once_it_is_retried(self, store, failed, claim_slices, settled, add_batch):
        job = failed()
        row = store.failed_slice(job.id, 3)
        assert not store.edit_failed_slice(row, add_batch([1]).id, b"Tnew\n")
        store.retry_slices(job.id)
        assert not store.edit_failed_slice(row, job.id, b"Tnew\n")
        store.settle_slices([settled(job, claim_slices(job)[0], done=2, exception=EXCEPTION, output=None)], server="s")
        assert not store.edit_failed_slice(row, job.id, b"Tnew\n")


class TestPassingTheFailed:
    def output(self, place=(1, 2)):
        return NewOutput("rejects", 1, b"Tbad", place)

    def test_it_counts_as_done_and_its_slice_is_queued_behind_it(self, store, failed, claim_slices):
        job = failed()
        assert store.pass_failed_record(store.failed_slice(job.id, 3), job.id, self.output(), by="me")
        assert store.progress(job.id) == (3, 0, 1)
        assert store.slice_counts(job.id) == {SliceState.QUEUED: 1}
        assert list(store.outputs(job.id, "rejects")) == [OutputRow(1, 2, 1, b"Tbad")]
        assert [row.id for row in store.candidates(["Lines"], limit=1)] == [job.id]
        (claimed,) = claim_slices(job)
        assert (claimed.done, claimed.crash_count) == (3, 0)

    def test_of_a_job_that_does_not_run_the_slice_waits(self, store, failed):
        job = failed()
        store.update_job(job.id, {"state": State.FAILED})
        assert store.pass_failed_record(store.failed_slice(job.id, 3), job.id, self.output(), by="me")
        assert store.candidates(["Lines"], limit=1) == []

    def test_a_slice_of_which_it_was_the_last_goes(self, store, failed):
        job = failed(done=4)
        assert store.pass_failed_record(store.failed_slice(job.id, 5), job.id, self.output((1, 4)), by="me")
        assert store.slice_counts(job.id) == {}
        accounts = store.accounts(job.id)
        assert (accounts.processed, accounts.rejected, accounts.missing_payloads) == (5, 1, 0)

    def test_a_second_time_it_is_refused_and_nothing_is_stored(self, store, failed):
        job = failed()
        row = store.failed_slice(job.id, 3)
        assert store.pass_failed_record(row, job.id, self.output(), by="me")
        assert not store.pass_failed_record(row, job.id, self.output((1, 3)), by="me")
        assert store.progress(job.id) == (3, 0, 1)

    def test_one_that_is_not_kept_counts_as_processed_and_not_as_rejected(self, store, failed, claim_slices):
        job = failed()
        row = store.failed_slice(job.id, 3)
        assert store.pass_failed_record(row, job.id, None, by="me")
        assert not store.pass_failed_record(row, job.id, None, by="me")
        assert store.progress(job.id) == (3, 0, 0)
        assert list(store.outputs(job.id, "rejects")) == []
        assert claim_slices(job)[0].done == 3

    def test_a_slice_of_which_the_last_is_not_kept_goes(self, store, failed):
        job = failed(done=4)
        assert store.pass_failed_record(store.failed_slice(job.id, 5), job.id, None, by="me")
        assert store.slice_counts(job.id) == {}
        accounts = store.accounts(job.id)
        assert (accounts.processed, accounts.rejected, accounts.missing_payloads) == (5, 0, 0)

    def test_rolled_back_it_is_failed_as_before(self, store, failed, undone):
        job = failed()
        with undone():
            assert store.pass_failed_record(store.failed_slice(job.id, 3), job.id, None, by="me")
        assert store.progress(job.id) == (2, 1, 0)
        assert store.failed_slice(job.id, 3).done == 2

    def test_waiting_servers_are_woken(self, store, failed):
        job = failed()
        woken = threading.Event()
        listening = store.listen(Topic.WORK, woken.set)
        woken.clear()
        store.pass_failed_record(store.failed_slice(job.id, 3), job.id, self.output(), by="me")
        assert woken.wait(10)
        listening.close()


class TestFigures:
    def test_what_was_counted_adds_up_over_slices_and_servers(self, store, add_batch, settled):
        job, other = add_batch([1, 1, 1]), add_batch([1])
        for server, counted in (("a", {"x": 1, "y.z": 2}), ("b", {"x": 10}), ("a", {"x": 100, "w": -1})):
            (claimed,) = store.claim_slices(job.id, server=server, limit=1, max_bytes=1)
            store.settle_slices([settled(job, claimed)._replace(statistics=counted)], server=server)
        assert store.statistics(job.id) == {"x": 111, "y.z": 2, "w": -1}
        assert store.statistics(other.id) == {}

    def test_that_of_a_slice_that_failed_counts_too(self, store, add_batch, claim_slices, settled):
        job = add_batch([2])
        settlement = settled(job, claim_slices(job)[0], done=1, exception=EXCEPTION)._replace(statistics={"x": 1})
        store.settle_slices([settlement], server="s")
        assert store.statistics(job.id) == {"x": 1}

    def test_it_goes_with_the_slices(self, store, add_batch, claim_slices, settled):
        job = add_batch([1])
        store.settle_slices([settled(job, claim_slices(job)[0])._replace(statistics={"x": 1})], server="s")
        store.drop_slices(job.id)
        assert store.statistics(job.id) == {}

    def test_slices_that_somebody_holds_are_counted(self, store, add_batch, claim_slices, settled):
        job = add_batch([1] * 5)
        assert store.running_slices(job.id) == 0
        first, second, _ = claim_slices(job, limit=3)
        assert store.running_slices(job.id) == 3
        store.settle_slices([settled(job, first, done=0, exception=EXCEPTION, output=None)], server="s")
        store.hand_back_slice(job.id, second, crashed=True)
        assert store.running_slices(job.id) == 1
        store.release_server("server-1")
        assert store.running_slices(job.id) == 0


class TestRates:
    def test_nothing_is_known_of_a_rate_that_nobody_used(self, store):
        assert store.next_of_rate("a") is None

    def test_what_begins_takes_up_its_time_from_now_or_behind_what_began(self, store):
        now = penstock_clock.now()
        store.spend_rate("a", seconds=2, now=now)
        assert store.next_of_rate("a") == now + timedelta(seconds=2)
        store.spend_rate("a", seconds=1.5, now=now + timedelta(seconds=1))
        assert store.next_of_rate("a") == now + timedelta(seconds=3.5)
        store.spend_rate("a", seconds=1, now=now + timedelta(seconds=10))
        assert store.next_of_rate("a") == now + timedelta(seconds=11)
        assert store.next_of_rate("b") is None

    def test_rolled_back_it_was_not_spent(self, store, undone):
        with undone():
            store.spend_rate("a", seconds=2, now=penstock_clock.now())
        assert store.next_of_rate("a") is None
