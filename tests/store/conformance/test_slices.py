"""Slices of a batch job: appended, dropped, added up."""

from penstock.clock import now
from penstock.states import SliceState, State, SubState
from penstock.store.rows import NewOutput, NewSlice


class TestAppending:
    def test_numbers_start_at_one_and_go_on(self, store, add_job, make_slices):
        job = add_job(batch=True)
        assert store.append_slices(job.id, "main", make_slices([1, 1])) == 2
        assert store.append_slices(job.id, "main", make_slices([1])) == 3

    def test_numbers_go_on_behind_slices_that_are_done(self, store, add_batch, claim_slices, settled, make_slices):
        job = add_batch([1, 1])
        store.settle_slices([settled(job, claimed) for claimed in claim_slices(job)], server="s")
        assert store.append_slices(job.id, "main", make_slices([1])) == 3

    def test_jobs_are_numbered_apart(self, store, add_job, make_slices):
        first, second = add_job(batch=True), add_job(batch=True)
        store.append_slices(first.id, "main", make_slices([1, 1]))
        assert store.append_slices(second.id, "main", make_slices([1])) == 1

    def test_a_payload_comes_back_byte_for_byte(self, store, add_batch, claim_slices):
        job = add_batch([])
        payload = bytes(range(256)) * 1_000
        store.append_slices(job.id, "main", [NewSlice(1, 1, payload)])
        assert claim_slices(job)[0].payload == payload


class TestDropping:
    def test_all_slices_outputs_and_progress_go_and_the_job_stays(self, store, add_batch, claim_slices, settled):
        job, other = add_batch([1] * 300), add_batch([2, 2])
        store.settle_slices([settled(job, claimed) for claimed in claim_slices(job)], server="s")
        store.settle_slices([settled(other, claim_slices(other, limit=1)[0])], server="s")
        store.drop_slices(job.id)
        assert store.slice_counts(job.id) == {}
        assert list(store.outputs(job.id, "main")) == []
        assert store.progress(job.id) == (0, 0, 0)
        assert store.job(job.id) is not None
        assert store.progress(other.id) == (2, 0, 0)
        assert store.accounts(other.id).missing_payloads == 0

    def test_an_unfinished_upload_goes_and_what_was_finished_before_it_stays(self, store, add_batch, claim_slices):
        job = add_batch([2, 3])
        store.append_slices(job.id, "main", [NewSlice(6, 2, b"Tx\ny\n"), NewSlice(8, 1, b"Tz\n")])
        store.drop_unfinished_upload(job.id)
        assert [claimed.number for claimed in claim_slices(job)] == [1, 2]
        assert store.accounts(job.id) == (5, 0, 5, 0, 0, {}, 0, 0)

    def test_an_upload_that_never_ended_goes_whole(self, store, add_job, make_slices):
        job = add_job(batch=True)
        store.append_slices(job.id, "main", make_slices([2, 2]))
        store.drop_unfinished_upload(job.id)
        assert store.slice_counts(job.id) == {}

    def test_slices_appended_after_it_are_numbered_on_and_come_in_order(self, store, add_batch, claim_slices):
        job = add_batch([2])
        store.append_slices(job.id, "main", [NewSlice(3, 2, b"Tx\ny\n")])
        store.drop_unfinished_upload(job.id)
        last = store.append_slices(job.id, "main", [NewSlice(3, 2, b"Tv\nw\n")])
        claimed = claim_slices(job)
        assert [one.payload for one in claimed] == [b"Tslice 1\n" * 2, b"Tv\nw\n"]
        assert claimed[-1].number == last


class TestStanding:
    def test_it_tells_queued_running_and_failed(self, store, add_batch, claim_slices, settled):
        job = add_batch([1, 1, 1])
        first, _ = claim_slices(job, limit=2)
        store.settle_slices([settled(job, first, done=0, exception="{}", output=None)], server="s")
        assert store.standing(job.id) == (True, True, 1)
        assert not store.standing(job.id).finished

    def test_nothing_left_is_finished(self, store, add_batch):
        job = add_batch([])
        assert store.standing(job.id) == (False, False, 0)
        assert store.standing(job.id).finished

    def test_the_first_unfinished_is_the_lowest_number_that_is_not_done(self, store, add_batch, claim_slices, settled):
        job = add_batch([1, 1, 1])
        first, second, third = claim_slices(job)
        assert store.first_unfinished(job.id) == 1
        store.settle_slices([settled(job, second)], server="s")
        assert store.first_unfinished(job.id) == 1
        store.settle_slices([settled(job, first, done=0, exception="{}", output=None)], server="s")
        assert store.first_unfinished(job.id) == 1
        store.retry_slices(job.id)
        store.settle_slices([settled(job, third), settled(job, claim_slices(job)[0])], server="s")
        assert store.first_unfinished(job.id) is None

    def test_counts_name_only_states_that_have_slices(self, store, add_batch, claim_slices):
        job = add_batch([1, 1, 1])
        claim_slices(job, limit=1)
        assert store.slice_counts(job.id) == {SliceState.QUEUED: 2, SliceState.RUNNING: 1}


class TestAccounts:
    def test_every_record_is_in_one_place(self, store, add_batch, claim_slices, settled):
        job = add_batch([10, 20, 30, 40, 50])
        first, second, third, _ = claim_slices(job, limit=4)
        assert third.number == 3
        store.settle_slices(
            [settled(job, first), settled(job, second, done=5, exception="{}", output=b"Tpart\n")], server="s"
        )
        assert store.accounts(job.id) == (150, 50, 70, 15, 15, {"main": 15}, 0, 0)
        accounts = store.accounts(job.id)
        assert accounts.uploaded == accounts.queued + accounts.running + accounts.failed + accounts.processed

    def test_a_retried_slice_counts_what_is_left_of_it(self, store, add_batch, claim_slices, settled):
        job = add_batch([10])
        store.settle_slices([settled(job, claim_slices(job)[0], done=4, exception="{}")], server="s")
        store.retry_slices(job.id)
        assert store.accounts(job.id)[:5] == (10, 6, 0, 0, 4)
        claim_slices(job)
        assert store.accounts(job.id)[:5] == (10, 0, 6, 0, 4)

    def test_work_of_several_servers_adds_up(self, store, add_batch, settled):
        job = add_batch([1, 2, 4])
        for server in ("a", "b", "a"):
            (claimed,) = store.claim_slices(job.id, server=server, limit=1, max_bytes=1)
            store.settle_slices([settled(job, claimed)], server=server)
        assert store.progress(job.id) == (7, 0, 0)
        assert store.accounts(job.id).processed == 7

    def test_settling_several_slices_of_several_jobs_adds_to_each(self, store, add_batch, claim_slices, settled):
        jobs = [add_batch([1, 2]), add_batch([3])]
        settlements = [settled(job, claimed) for job in jobs for claimed in claim_slices(job)]
        store.settle_slices(settlements, server="s")
        assert [store.progress(job.id).processed for job in jobs] == [3, 3]

    def test_a_job_that_is_not_there_has_nothing(self, store, new_row):
        job = new_row()
        assert store.accounts(job.id) == (0, 0, 0, 0, 0, {}, 0, 0)
        assert store.progress(job.id) == (0, 0, 0)


def test_a_batch_job_may_be_processed_while_its_upload_goes_on(store, add_job, claim_slices, settled, make_slices):
    job = add_job("Lines", batch=True, uploader="host:1", record_count=0)
    store.append_slices(job.id, "main", make_slices([1]))
    store.start_batch(job.id, sub_state=SubState.PROCESSING, server="s", now=now())
    store.settle_slices([settled(job, claim_slices(job)[0])], server="s")
    assert claim_slices(job) == []
    store.append_slices(job.id, "main", [NewSlice(2, 1, b"Tx\n")])
    assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]
    store.settle_slices([settled(job, claim_slices(job)[0])], server="s")
    store.update_job(job.id, {"record_count": 2, "uploader": None})
    # The end of the upload makes it a candidate once more, so that somebody completes it.
    assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]
    assert store.job(job.id).state is State.RUNNING
    assert [row.number for row in store.outputs(job.id, "main")] == [1, 2]


def test_outputs_of_one_record_may_go_to_a_category_of_their_own(store, add_batch, claim_slices, settled):
    job = add_batch([1])
    settlement = settled(job, claim_slices(job)[0], category="invalid")
    assert settlement.outputs == (NewOutput("invalid", 1, b"Tout\n"),)
    store.settle_slices([settlement], server="s")
    assert store.accounts(job.id).outputs == {"invalid": 1}
