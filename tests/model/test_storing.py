"""Jobs in a store: made, saved, changed, read again, removed, waited for."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from penstock import Job, State
from penstock.clock import now
from penstock.errors import InvalidMove, JobNotFound, UnknownKind, WaitTimeout
from penstock.model.job import load_job
from penstock.query import Query
from penstock.states import Move

pytestmark = pytest.mark.usefixtures("configured_store")


class Letter(Job, kind="storing.Letter"):
    to: str = "ada"
    pages: int = 1
    notes: dict[str, int] = {}  # noqa: RUF012

    def perform(self):
        return f"to {self.to}"


class Kept(Job, kind="storing.Kept"):
    destroy_on_complete = False
    collect_output = True


class TestCreating:
    def test_a_job_that_was_created_is_stored_and_queued(self):
        job = Letter.create(to="grace", priority=7)
        assert (job.state, job.is_stored, job.started_at, job.exception) == (State.QUEUED, True, None, None)
        back = Letter.query.first()
        assert back.id == job.id
        assert (back.to, back.priority, back.pages) == ("grace", 7, 1)

    def test_what_is_not_valid_is_not_stored(self):
        with pytest.raises(ValidationError):
            Letter.create(pages="many")
        assert Letter.query.count() == 0

    def test_a_job_that_is_made_but_not_saved_is_not_stored(self):
        job = Letter()
        assert not job.is_stored
        assert Letter.query.count() == 0
        assert job.save() is job
        assert Letter.query.count() == 1

    def test_ids_are_those_of_the_order_of_making(self):
        jobs = [Letter() for _ in range(5)]
        for job in reversed(jobs):
            job.save()
        assert [job.id for job in Letter.query] == [job.id for job in jobs]

    def test_an_id_and_a_creation_time_stay_as_they_are(self, clock):
        job = Letter()
        first = job.id, job.created_at
        clock.advance(5)
        job.save()
        assert (job.id, job.created_at) == first == (Letter.query.first().id, Letter.query.first().created_at)

    def test_many_are_made_from_values_or_jobs_and_stored(self):
        made = Letter.create_many([{"to": "a"}, Letter(to="b"), {}])
        assert [job.to for job in made] == ["a", "b", "ada"]
        assert {job.id for job in Letter.query} == {job.id for job in made}
        assert all(job.is_stored for job in made)

    def test_many_are_stored_all_or_none(self):
        with pytest.raises(ValidationError):
            Letter.create_many([{"to": "a"}, {"pages": "many"}])
        assert Letter.query.count() == 0

    def test_none_are_none(self):
        assert Letter.create_many([]) == []


class TestSaving:
    def test_only_what_this_copy_changed_is_written(self):
        Letter.create(to="ada", pages=1)
        mine, other = Letter.query.first(), Letter.query.first()
        mine.to = "grace"
        other.pages, other.priority = 9, 3
        other.save()
        mine.save()
        back = Letter.query.first()
        assert (back.to, back.pages, back.priority) == ("grace", 9, 3)

    def test_a_value_changed_in_place_is_written(self):
        job = Letter.create(notes={"a": 1})
        job.notes["b"] = 2
        job.save()
        assert Letter.query.first().notes == {"a": 1, "b": 2}

    def test_a_key_taken_out_of_a_dict_is_gone(self):
        job = Letter.create(notes={"a": 1, "b": 2})
        del job.notes["a"]
        job.save()
        assert Letter.query.first().notes == {"b": 2}

    def test_nothing_changed_nothing_is_written(self):
        job = Letter.create()
        assert job.changed_values() == {}
        Letter.query.first().update(to="grace")
        job.save()
        assert Letter.query.first().to == "grace"

    def test_a_job_that_somebody_removed_cannot_be_saved(self):
        job = Letter.create()
        Letter.query.first().delete()
        job.to = "grace"
        with pytest.raises(JobNotFound, match=str(job.id)):
            job.save()
        assert Letter.query.count() == 0

    def test_a_save_does_not_undo_a_move_made_meanwhile(self):
        job = Letter.create()
        Letter.query.first().pause()
        job.to = "grace"
        job.save()
        assert Letter.query.first().state is State.PAUSED

    def test_assignment_is_checked(self):
        job = Letter.create()
        with pytest.raises(ValidationError):
            job.pages = "many"
        assert job.pages == 1


class TestUpdating:
    def test_fields_are_set_and_saved(self):
        job = Letter.create()
        assert job.update(to="grace", priority=2) is job
        back = Letter.query.first()
        assert (back.to, back.priority) == ("grace", 2)

    def test_a_wrong_value_among_right_ones_changes_nothing(self):
        job = Letter.create()
        with pytest.raises(ValidationError):
            job.update(to="grace", pages="many")
        assert job.to == "ada"
        assert Letter.query.first().to == "ada"

    def test_an_unknown_field_is_refused(self):
        with pytest.raises(ValidationError, match="too"):
            Letter.create().update(too="grace")

    def test_values_are_converted_as_at_making(self):
        job = Letter.create().update(pages="5")
        assert job.pages == 5
        assert Letter.query.first().pages == 5


class TestRemoving:
    @pytest.mark.parametrize("how", ["delete", "destroy"])
    def test_a_removed_job_is_gone_and_may_be_saved_as_new(self, how):
        job = Letter.create()
        getattr(job, how)()
        assert Letter.query.count() == 0
        assert not job.is_stored
        job.save()
        assert Letter.query.count() == 1


class TestReading:
    def test_reload_brings_what_others_changed_and_drops_what_was_not_saved(self):
        job = Letter.create()
        Letter.query.first().update(pages=4)
        job.to = "unsaved"
        assert job.reload() is job
        assert (job.pages, job.to) == (4, "ada")

    def test_a_job_that_was_to_be_destroyed_on_completion_and_is_gone_is_completed(self):
        job = Letter.create()
        Letter.query.destroy()
        job.reload()
        assert (job.state, job.percent_complete) == (State.COMPLETED, 100)

    def test_a_job_that_was_to_stay_and_is_gone_is_not_found(self):
        job = Kept.create()
        Kept.query.destroy()
        with pytest.raises(JobNotFound, match=str(job.id)):
            job.reload()

    def test_a_job_that_was_never_stored_is_not_found(self):
        with pytest.raises(JobNotFound):
            Letter().reload()

    def test_a_field_that_its_class_no_longer_has_is_left_out_and_kept_in_the_store(self, configured_store):
        job = Letter.create(to="ada")
        configured_store.update_job(job.id, {"fields": {"colour": "red"}})
        back = Letter.query.first()
        assert (back.to, hasattr(back, "colour")) == ("ada", False)
        back.update(to="grace")
        assert '"colour":"red"' in configured_store.job(job.id).fields

    def test_a_field_that_its_class_has_since_got_has_its_default(self, configured_store):
        job = Letter.create()
        row = configured_store.job(job.id)
        row.fields = '{"to": "ada"}'
        assert load_job(row).pages == 1

    def test_a_job_of_a_kind_that_was_not_imported_says_so(self, configured_store):
        class Gone(Job):
            pass

        row = configured_store.job(Gone.create().id)
        row.kind = "Elsewhere"
        with pytest.raises(UnknownKind, match="Elsewhere"):
            load_job(row)

    def test_moments_come_back_exactly_and_in_any_zone_mean_the_same(self):
        moment = datetime(2026, 3, 1, 12, 0, 0, 123_457, timezone(timedelta(hours=2)))
        job = Letter.create(run_at=moment, expires_at=moment + timedelta(days=1))
        back = Letter.query.first()
        assert (back.run_at, back.expires_at) == (moment, moment + timedelta(days=1))
        assert job.changed_values() == {}
        assert back.scheduled_at == moment


class TestTimes:
    def test_a_job_for_later_cannot_be_claimed_before(self, configured_store, clock):
        job = Letter.create(run_at=clock.now() + timedelta(seconds=60))
        assert job.state is State.QUEUED
        assert configured_store.candidates([Letter.kind], limit=1) == []
        clock.advance(60)
        configured_store.release_due_jobs(clock.now())
        assert [row.id for row in configured_store.candidates([Letter.kind], limit=1)] == [job.id]

    def test_run_now_lets_it_start_at_once(self, configured_store, clock):
        job = Letter.create(run_at=clock.now() + timedelta(seconds=60))
        job.run_now()
        assert job.run_at is None
        assert [row.id for row in configured_store.candidates([Letter.kind], limit=1)] == [job.id]

    def test_run_now_of_a_job_without_a_time_does_nothing(self):
        job = Letter.create()
        assert job.run_now() is job

    def test_an_expired_job_is_told_as_such(self, configured_store, clock):
        Letter.create(expires_at=clock.now() + timedelta(seconds=60))
        (row,) = configured_store.candidates([Letter.kind], limit=1)
        assert not row.is_expired(clock.now())
        clock.advance(60)
        assert row.is_expired(clock.now())


class TestMoves:
    def test_a_move_is_stored_and_the_copy_shows_it(self, clock):
        job = Letter.create()
        assert job.pause() is job
        assert (job.state, job.completed_at) == (State.PAUSED, clock.now())
        assert Letter.query.first().state is State.PAUSED
        assert job.resume().state is State.QUEUED
        assert job.abort().state is State.ABORTED

    def test_a_move_that_does_not_apply_is_refused_and_changes_nothing(self):
        job = Letter.create()
        with pytest.raises(InvalidMove, match="cannot retry a job that is queued; what applies: start, fail, pause"):
            job.retry()
        assert Letter.query.first().state is State.QUEUED

    def test_what_the_store_says_decides_not_what_this_copy_remembers(self):
        job, other = Letter.create(), Letter.query.first()
        other.abort()
        assert job.state is State.QUEUED
        with pytest.raises(InvalidMove, match="aborted; what applies: nothing, it has ended"):
            job.pause()

    def test_failed_with_a_message_and_retried(self):
        job = Letter.create().fail("no paper")
        assert (job.state, job.failure_count) == (State.FAILED, 1)
        assert (job.exception.class_name, job.exception.message) == ("penstock.JobFailed", "no paper")
        job.retry()
        assert (job.state, job.failure_count, job.exception, job.completed_at) == (State.QUEUED, 1, None, None)

    def test_can_tells_whether_a_move_applies(self):
        job = Letter.create()
        assert {move for move in Move if job.can(move)} == {"start", "fail", "pause", "abort"}
        assert job.can("abort")
        with pytest.raises(ValueError, match="cancel"):
            job.can("cancel")

    def test_a_paused_job_is_not_claimed_until_it_is_resumed(self, configured_store):
        job = Letter.create().pause()
        assert configured_store.candidates([Letter.kind], limit=1) == []
        job.resume()
        assert len(configured_store.candidates([Letter.kind], limit=1)) == 1

    def test_a_running_job_is_paused_only_where_its_class_says_so(self, configured_store):
        class Patient(Job):
            pausable = True

        for cls, allowed in ((Letter, False), (Patient, True)):
            job = cls.create()
            configured_store.claim_jobs(configured_store.candidates([cls.kind], limit=1), server="s", now=now())
            assert job.reload().can("pause") is allowed

    def test_a_job_that_is_gone_cannot_be_moved(self):
        job = Letter.create()
        Letter.query.destroy()
        with pytest.raises(JobNotFound, match=str(job.id)):
            job.pause()

    def test_a_job_that_is_not_stored_moves_in_memory(self):
        job = Letter().fail("because")
        assert job.state is State.FAILED
        assert Letter.query.count() == 0


class TestWaiting:
    def test_a_job_that_has_ended_is_returned_at_once(self):
        job = Letter.create().abort()
        assert job.wait(timeout=0) is job

    def test_in_time_it_returns_when_the_job_ends(self):
        job = Letter.create()
        other = Letter.query.first()
        waiting = threading.Event()
        thread = threading.Thread(target=lambda: (waiting.wait(10), other.fail("x")))
        thread.start()
        start = time.monotonic()
        waiting.set()
        assert job.wait(timeout=20).state is State.FAILED
        thread.join()
        # Woken, not found by the look that `wait` takes each second.
        assert time.monotonic() - start < 5

    def test_not_in_time_is_an_error_that_names_the_state(self):
        job = Letter.create()
        with pytest.raises(WaitTimeout, match=r"still queued after 0\.01 s"):
            job.wait(timeout=0.01)
        assert issubclass(WaitTimeout, TimeoutError)

    def test_a_job_that_was_destroyed_by_its_completion_is_completed(self):
        job = Letter.create()
        Letter.query.destroy()
        assert job.wait(timeout=1).state is State.COMPLETED

    def test_a_paused_job_has_not_ended(self):
        with pytest.raises(WaitTimeout):
            Letter.create().pause().wait(timeout=0)


class TestInMemory:
    def test_perform_now_returns_what_perform_does_and_stores_nothing(self, configured_store):
        job = Letter(to="grace")
        assert job.perform_now() == "to grace"
        assert (job.state, job.percent_complete) == (State.COMPLETED, 100)
        assert job.started_at is not None
        assert configured_store.count_jobs(Query()) == 0

    def test_what_perform_raises_comes_out_and_the_job_is_failed(self):
        class Breaks(Job):
            def perform(self):
                raise ZeroDivisionError("by zero")

        job = Breaks()
        with pytest.raises(ZeroDivisionError):
            job.perform_now()
        assert (job.state, job.failure_count) == (State.FAILED, 1)
        assert job.exception.class_name == "ZeroDivisionError"
        assert job.exception.message == "by zero"
        assert any("test_storing.py" in frame for frame in job.exception.backtrace)
        assert not any("penstock/model" in frame for frame in job.exception.backtrace)

    def test_a_class_without_perform_says_so(self):
        with pytest.raises(NotImplementedError, match="Kept has no perform method"):
            Kept().perform_now()

    def test_done_once_it_is_not_done_again(self):
        job = Letter()
        job.perform_now()
        with pytest.raises(InvalidMove):
            job.perform_now()


def test_jobs_go_to_the_store_that_is_configured_when_they_are_saved(tmp_path, configured_store):
    import penstock

    job = Letter()
    penstock.configure(store=f"sqlite:///{tmp_path}/other.db")
    job.save()
    assert configured_store.count_jobs(Query()) == 0
    assert Letter.query.count() == 1


def test_a_result_comes_back_with_its_types(configured_store):
    from penstock.records import encode_value

    job = Kept.create()
    configured_store.update_job(
        job.id, {"state": State.COMPLETED, "result": encode_value((1, datetime(2026, 1, 1, tzinfo=UTC)))}
    )
    assert job.result is None
    assert job.reload().result == (1, datetime(2026, 1, 1, tzinfo=UTC))
