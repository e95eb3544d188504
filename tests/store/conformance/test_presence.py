"""Signs of life, and what is cleared away after those who gave none."""

import json
from contextlib import closing
from datetime import timedelta

import pytest

from penstock.states import SliceState, State
from penstock.store import presence_name

KEPT = timedelta(hours=1)


class TestPresence:
    def test_who_appeared_is_present_until_it_is_closed(self, store):
        presence = store.appear("host:1:abcd")
        assert presence.name == "host:1:abcd"
        assert store.is_present("host:1:abcd")
        presence.close()
        presence.close()
        assert store.is_present("host:1:abcd") is False

    def test_who_never_appeared_is_not_present(self, store):
        assert store.is_present("host:2:abcd") is False

    def test_asking_does_not_end_it(self, store):
        with closing(store.appear("host:1:abcd")):
            assert store.is_present("host:1:abcd")
            assert store.is_present("host:1:abcd")

    def test_several_are_told_apart(self, store):
        first, second = store.appear("a"), store.appear("b")
        first.close()
        assert (store.is_present("a"), store.is_present("b")) == (False, True)
        second.close()

    def test_a_name_may_appear_again(self, store):
        store.appear("a").close()
        with closing(store.appear("a")):
            assert store.is_present("a")

    def test_a_name_with_a_slash_is_a_name(self, store):
        with closing(store.appear("host/1:../x")):
            assert store.is_present("host/1:../x")

    def test_a_process_keeps_one_name_and_is_present_under_it(self, store):
        assert presence_name(store) == presence_name(store)
        assert store.is_present(presence_name(store))


class TestAbandoned:
    @pytest.fixture
    def upload(self, store, add_job, make_slices):
        """Return a draft with some slices, of `uploader`."""

        def make(uploader, **columns):
            job = add_job("Lines", batch=True, draft=True, uploader=uploader, **columns)
            store.append_slices(job.id, "main", make_slices([2, 2]))
            return job

        return make

    def test_a_draft_of_a_live_process_stays_however_old(self, store, upload, clock):
        with closing(store.appear("uploader")):
            job = upload("uploader")
            clock.advance(100 * 3600)
            assert store.drop_abandoned() == 0
        assert store.job(job.id) is not None

    def test_a_draft_of_a_dead_process_is_kept_for_an_hour_and_then_dropped_whole(self, store, upload, clock):
        job = upload("gone")
        clock.advance(KEPT.total_seconds() - 1)
        assert store.drop_abandoned() == 0
        assert store.job(job.id) is not None
        clock.advance(2)
        assert store.drop_abandoned() == 1
        assert store.job(job.id) is None
        assert store.slice_counts(job.id) == {}

    def test_a_half_destroyed_job_is_removed_at_once(self, store, add_batch):
        job = add_batch([1, 1])
        store.update_job(job.id, {"draft": True, "uploader": None})
        assert store.drop_abandoned() == 1
        assert store.job(job.id) is None
        assert store.slice_counts(job.id) == {}

    def test_a_visible_job_whose_upload_broke_off_fails_with_the_reason(self, store, add_batch, clock):
        job = add_batch([1, 1], uploader="gone")
        assert store.drop_abandoned() == 1
        after = store.job(job.id)
        assert (after.state, after.uploader, after.completed_at) == (State.FAILED, None, clock.now())
        assert json.loads(after.exception)["class_name"] == "UploadInterrupted"
        assert "gone" in json.loads(after.exception)["message"]

    def test_a_visible_job_of_a_live_uploader_goes_on(self, store, add_batch):
        with closing(store.appear("uploader")):
            job = add_batch([1], uploader="uploader")
            assert store.drop_abandoned() == 0
        assert store.job(job.id).state is State.RUNNING

    def test_other_jobs_are_left_alone(self, store, add_job, add_batch, claim_slices):
        add_job()
        batch = add_batch([1])
        claim_slices(batch)
        assert store.drop_abandoned() == 0
        assert store.slice_counts(batch.id) == {SliceState.RUNNING: 1}

    def test_a_second_look_finds_nothing(self, store, add_batch):
        add_batch([1], uploader="gone")
        assert store.drop_abandoned() == 1
        assert store.drop_abandoned() == 0


def test_space_may_be_given_back_at_any_time(store, add_batch):
    store.destroy_job(add_batch([1] * 50).id)
    store.give_space_back()
    assert store.accounts(add_batch([1]).id).queued == 1
