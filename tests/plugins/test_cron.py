"""Jobs that come back by a schedule: when the next one is made, from what, and that there is exactly one."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob, Cron, Job, Retry, State, field
from penstock.errors import DuplicateJob

HOUR = 3600
DAY = 24 * HOUR
LOG: list = []
BROKEN: set = set()


@pytest.fixture(autouse=True)
def _forgetful(configured_store, clock):
    LOG.clear()
    BROKEN.clear()


class Nightly(Cron, kind="cron.Nightly"):
    cron_schedule = "0 1 * * *"
    destroy_on_complete = False
    customer: str = field("ada", copy_on_restart=True)
    note: str = ""

    def perform(self):
        LOG.append(penstock.clock.now())
        if "perform" in BROKEN:
            raise ValueError("broken")
        if "abort" in BROKEN:
            self.abort()


class RetryFirst(Retry, Nightly, kind="cron.RetryFirst"):
    retry_limit = 2

    def retry_delay(self, failures):
        return 60


class CronFirst(Nightly, Retry, kind="cron.CronFirst"):
    retry_limit = 2

    def retry_delay(self, failures):
        return 60


class NightlyLines(Cron, BatchJob, kind="cron.NightlyLines"):
    cron_schedule = "0 1 * * *"
    destroy_on_complete = False
    collect_output = True
    slice_size = 2

    def before_batch(self):
        self.upload(["a", "b", "c"])

    def perform(self, record):
        LOG.append(record)
        if record in BROKEN:
            raise ValueError(record)
        return record


def at(hour, minute=0, *, day=1, month=1):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def queued(cls):
    """Return the one job of the class that waits."""
    (job,) = cls.query.queued
    return job


class TestFirst:
    def test_a_new_job_is_for_the_next_time_of_its_schedule(self, clock):
        job = Nightly.create()
        assert (job.run_at, job.state) == (at(1), State.QUEUED)
        assert Nightly.query.first().run_at == at(1)

    def test_at_that_very_moment_it_is_for_the_time_after(self, clock):
        clock.advance(HOUR)
        assert Nightly.create().run_at == at(1, day=2)

    def test_a_zone_in_the_schedule_holds_and_without_one_that_of_the_setting(self, clock):
        assert Nightly.create(cron_schedule="0 1 * * * America/New_York").run_at == at(6)
        penstock.configure(timezone="Europe/Berlin")
        assert Nightly.create(cron_schedule="0 2 * * *").run_at == at(1)

    def test_run_at_set_by_hand_wins(self, clock):
        job = Nightly.create(run_at=at(5))
        assert job.run_at == at(5)
        assert job.save().run_at == at(5)

    def test_without_a_schedule_it_is_an_ordinary_job(self, server, clock):
        job = Nightly.create(cron_schedule=None)
        assert job.run_at is None
        server.run()
        assert (job.reload().state, Nightly.query.count()) == (State.COMPLETED, 1)

    @pytest.mark.parametrize("wrong", ["", "nonsense", "0 25 * * *", "* * * *", "0 1 * * * Nowhere/City"])
    def test_what_is_no_schedule_is_refused_by_name_and_nothing_stored(self, wrong):
        with pytest.raises(ValidationError, match="cron_schedule"):
            Nightly.create(cron_schedule=wrong)
        job = Nightly.create()
        with pytest.raises(ValidationError, match="cron_schedule"):
            job.update(cron_schedule=wrong)
        assert queued(Nightly).cron_schedule == "0 1 * * *"

    def test_many_at_once_are_each_planned(self, clock):
        jobs = Nightly.create_many([{"cron_schedule": "0 1 * * *"}, {"cron_schedule": "0 2 * * *"}])
        assert [job.run_at for job in jobs] == [at(1), at(2)]


class TestNext:
    def test_it_does_not_run_before_its_time_and_then_the_next_is_queued(self, server, clock):
        first = Nightly.create(note="first")
        clock.advance(HOUR - 1)
        server.run()
        assert LOG == []
        clock.advance(1)
        server.run()
        assert [at(1)] == LOG
        following = queued(Nightly)
        assert (following.run_at, following.cron_schedule) == (at(1, day=2), "0 1 * * *")
        first.reload()
        assert (first.state, first.cron_schedule, first.succeeded_by) == (State.COMPLETED, None, following.id)

    def test_it_goes_on_and_on(self, server, clock):
        Nightly.create()
        for _ in range(5 * 24):
            clock.advance(HOUR)
            server.run()
        assert [at(1, day=day) for day in range(1, 6)] == LOG
        assert Nightly.query.counts() == {State.COMPLETED: 5, State.QUEUED: 1}

    def test_the_next_has_the_copied_fields_and_nothing_else(self, server, clock):
        Nightly.create(customer="grace", note="secret", priority=7, description="by night", timeout=60)
        clock.advance(HOUR)
        server.run()
        job = queued(Nightly)
        assert (job.customer, job.note, job.priority, job.description, job.timeout) == (
            "grace", "", 7, "by night", 60,
        )  # fmt: skip
        assert (job.started_at, job.completed_at, job.failure_count, job.succeeded_by) == (None, None, 0, None)

    def test_one_that_is_destroyed_when_it_completes_leaves_the_next(self, server, clock):
        Nightly.create(destroy_on_complete=True)
        clock.advance(HOUR)
        server.run()
        assert Nightly.query.counts() == {State.QUEUED: 1}
        assert queued(Nightly).destroy_on_complete

    def test_after_a_failure_the_failed_one_stays_without_a_schedule_and_the_next_is_queued(self, server, clock):
        BROKEN.add("perform")
        job = Nightly.create()
        clock.advance(HOUR)
        server.run()
        job.reload()
        assert (job.state, job.cron_schedule, job.exception.message) == (State.FAILED, None, "broken")
        assert queued(Nightly).run_at == at(1, day=2)

    def test_a_failed_one_that_is_retried_runs_once_and_makes_no_other(self, server, clock):
        BROKEN.add("perform")
        job = Nightly.create()
        clock.advance(HOUR)
        server.run()
        BROKEN.clear()
        job.reload().retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert Nightly.query.queued.count() == 1

    def test_a_failed_one_that_fails_again_makes_no_other(self, server, clock):
        BROKEN.add("perform")
        job = Nightly.create()
        clock.advance(HOUR)
        server.run()
        for _ in range(3):
            job.reload().retry()
            server.run()
        assert Nightly.query.counts() == {State.FAILED: 1, State.QUEUED: 1}

    @pytest.mark.parametrize("by", ["a person", "itself"])
    def test_after_an_abort_the_next_is_queued(self, server, clock, by):
        job = Nightly.create()
        clock.advance(HOUR)
        if by == "itself":
            BROKEN.add("abort")
            server.run()
        else:
            job.abort()
        assert (job.reload().state, job.cron_schedule) == (State.ABORTED, None)
        assert queued(Nightly).run_at == at(1, day=2)

    def test_after_a_person_failed_it_the_next_is_queued(self, clock):
        Nightly.create().fail("no")
        assert queued(Nightly).run_at == at(1)

    def test_after_a_person_without_the_class_moved_it_a_server_queues_the_next(self, server, clock):
        from penstock.model import kinds
        from penstock.model.moves import move_job
        from penstock.states import Move

        job = Nightly.create()
        kinds.forget(Nightly.kind)
        move_job(server.store, job.id, Move.ABORT)
        kinds.register(Nightly, ())
        assert Nightly.query.queued.count() == 0
        server.run()
        assert queued(Nightly).run_at == at(1)

    def test_one_that_is_paused_holds_the_schedule_until_it_is_resumed(self, server, clock):
        job = Nightly.create().pause()
        clock.advance(3 * DAY)
        server.run()
        assert (LOG, Nightly.query.count()) == ([], 1)
        job.resume()
        server.run()
        assert ([at(0, day=4)], at(1, day=4)) == (LOG, queued(Nightly).run_at)

    def test_one_that_is_destroyed_ends_the_schedule(self, server, clock):
        Nightly.create().destroy()
        clock.advance(DAY)
        server.run()
        assert Nightly.query.count() == 0

    def test_one_that_was_killed_with_its_worker_for_good_hands_the_schedule_on(self, server, clock):
        job = Nightly.create()
        clock.advance(HOUR)
        for _ in range(3):
            server.crash(server.take())
        server.run()
        assert (job.reload().state, job.cron_schedule) == (State.FAILED, None)
        assert queued(Nightly).run_at == at(1, day=2)

    def test_what_has_expired_has_no_next(self, server, clock):
        job = Nightly.create(expires_at=at(1, 30))
        clock.advance(HOUR)
        task = server.take()
        clock.advance(HOUR)
        server.perform(task)
        server.run()
        assert (job.reload().state, Nightly.query.count()) == (State.COMPLETED, 1)

    def test_one_that_expired_before_it_started_is_gone_without_a_next(self, server, clock):
        Nightly.create(expires_at=at(0, 30))
        clock.advance(HOUR)
        server.run()
        assert (LOG, Nightly.query.count()) == ([], 0)

    def test_times_missed_while_no_server_ran_come_once(self, server, clock):
        Nightly.create()
        clock.advance(10 * DAY + 5 * HOUR)
        server.run()
        assert [at(5, day=11)] == LOG
        assert queued(Nightly).run_at == at(1, day=12)

    def test_a_run_that_takes_longer_than_the_period_delays_the_next_and_none_are_made_up_for(self, server, clock):
        Nightly.create(cron_schedule="*/5 * * * *")
        clock.advance(5 * 60)
        task = server.take()
        clock.advance(12 * 60)
        server.perform(task)
        server.run()
        assert queued(Nightly).run_at == at(0, 20)

    def test_scheduled_at_tells_the_time_that_was_meant(self, server, clock):
        job = Nightly.create()
        clock.advance(5 * HOUR)
        server.run()
        assert job.reload().scheduled_at == at(1)


class TestKilled:
    def test_between_its_end_and_the_next_instance_there_is_exactly_one_next(self, server, clock):
        Nightly.create()
        clock.advance(HOUR)
        server.step()
        assert Nightly.query.counts() == {State.COMPLETED: 1}
        server.crash(server.take())
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}

    def test_after_the_next_instance_is_stored_and_before_anybody_knows_there_is_exactly_one_next(self, server, clock):
        job = Nightly.create()
        clock.advance(HOUR)
        server.step()
        task = server.take()
        server._performer.run(task)  # Stored by the worker; what it says of it is lost with it.
        assert Nightly.query.queued.count() == 1
        server.crash(task)
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}
        assert job.reload().succeeded_by == queued(Nightly).id

    def test_with_its_server_there_is_exactly_one_next(self, server, clock, configured_store):
        from tests.driver import Driver

        Nightly.create()
        clock.advance(HOUR)
        server.step()
        server.die()
        Driver(configured_store, "server-2").run()
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}
        assert len(LOG) == 1

    def test_one_to_be_destroyed_is_there_until_the_next_is(self, server, clock):
        Nightly.create(destroy_on_complete=True)
        clock.advance(HOUR)
        server.step()
        assert Nightly.query.counts() == {State.COMPLETED: 1}
        server.crash(server.take())
        server.run()
        assert Nightly.query.counts() == {State.QUEUED: 1}

    def test_in_the_midst_of_its_work_it_runs_again_and_has_one_next(self, server, clock):
        Nightly.create()
        clock.advance(HOUR)
        server.crash(server.take())
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}


class TestAfterStart:
    def test_the_next_is_queued_when_it_starts_so_that_runs_may_overlap(self, server, clock):
        job = Nightly.create(cron_schedule="*/5 * * * *", cron_after_start=True)
        clock.advance(5 * 60)
        task = server.take()
        server._performer.run(task)  # It runs, and has not come back.
        following = queued(Nightly)
        assert (following.run_at, following.cron_after_start) == (at(0, 10), True)
        assert job.reload().cron_schedule is None
        clock.advance(5 * 60)
        server.perform(task)
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 2, State.QUEUED: 1}

    @pytest.mark.parametrize("broken", ["perform", "abort", ""])
    def test_however_it_ends_there_is_one_next(self, server, clock, broken):
        BROKEN.add(broken)
        Nightly.create(cron_after_start=True)
        clock.advance(HOUR)
        server.run()
        assert queued(Nightly).run_at == at(1, day=2)
        assert Nightly.query.count() == 2

    def test_one_that_is_killed_and_runs_again_has_one_next(self, server, clock):
        Nightly.create(cron_after_start=True)
        clock.advance(HOUR)
        task = server.take()
        server._performer.run(task)
        server.crash(task)
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}

    def test_a_batch_job_hands_on_when_it_starts_too(self, server, clock):
        NightlyLines.create(cron_after_start=True)
        clock.advance(HOUR)
        server.step()
        assert queued(NightlyLines).run_at == at(1, day=2)
        server.run()
        assert NightlyLines.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}


class TestEdits:
    def test_another_schedule_plans_it_anew(self, clock):
        job = Nightly.create()
        job.update(cron_schedule="30 2 * * *")
        assert queued(Nightly).run_at == at(2, 30)

    def test_another_schedule_and_a_time_by_hand_the_time_wins(self, clock):
        job = Nightly.create()
        job.update(cron_schedule="30 2 * * *", run_at=at(7))
        assert queued(Nightly).run_at == at(7)

    def test_a_time_by_hand_alone_wins_and_the_schedule_goes_on_afterwards(self, server, clock):
        job = Nightly.create()
        job.update(run_at=at(0, 30))
        clock.advance(HOUR / 2)
        server.run()
        assert [at(0, 30)] == LOG
        assert queued(Nightly).run_at == at(1)

    def test_an_edit_of_something_else_leaves_the_time(self, clock):
        job = Nightly.create()
        clock.advance(2 * HOUR)
        job.update(priority=3)
        assert queued(Nightly).run_at == at(1)

    def test_run_now_starts_it_at_once_and_the_schedule_goes_on(self, server, clock):
        Nightly.create().run_now()
        server.run()
        assert [at(0)] == LOG
        assert queued(Nightly).run_at == at(1)

    def test_an_edit_while_it_runs_holds_for_the_next(self, server, clock):
        job = Nightly.create()
        clock.advance(HOUR)
        task = server.take()
        job.update(cron_schedule="30 2 * * *", customer="grace")
        server.perform(task)
        server.run()
        assert (queued(Nightly).run_at, queued(Nightly).customer) == (at(2, 30), "grace")

    def test_the_schedule_taken_away_ends_it_after_this_run(self, server, clock):
        job = Nightly.create()
        job.update(cron_schedule=None)
        clock.advance(HOUR)
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 1}

    def test_a_schedule_given_to_an_ordinary_job_starts_one(self, server, clock):
        job = Nightly.create(cron_schedule=None, run_at=at(3))
        job.update(cron_schedule="0 1 * * *")
        assert job.run_at == at(1)

    def test_edits_by_a_query_plan_anew_too(self, clock):
        Nightly.create_many([{"cron_schedule": "0 1 * * *"}, {"cron_schedule": "0 2 * * *"}])
        assert Nightly.query.where(cron_schedule="0 2 * * *").update(cron_schedule="0 3 * * *") == 1
        assert sorted(job.run_at for job in Nightly.query) == [at(1), at(3)]


class TestSingleton:
    def test_only_one_waits_or_runs_with_the_same_schedule(self, clock):
        job = Nightly.create()
        with pytest.raises(DuplicateJob, match=str(job.id)):
            Nightly.create(customer="grace")
        Nightly.create(cron_schedule="0 2 * * *")

    def test_spaces_make_no_other_schedule(self, clock):
        Nightly.create()
        with pytest.raises(DuplicateJob):
            Nightly.create(cron_schedule=" 0  1 * * *")

    def test_other_classes_have_their_own(self, clock):
        class Other(Nightly):
            pass

        Nightly.create()
        Other.create()

    def test_jobs_without_a_schedule_are_not_counted(self, clock):
        Nightly.create_many([{"cron_schedule": None}] * 3)

    def test_it_may_be_switched_off(self, server, clock):
        Nightly.create_many([{"cron_singleton": False}] * 3)
        clock.advance(HOUR)
        server.run()
        assert Nightly.query.counts() == {State.COMPLETED: 3, State.QUEUED: 3}

    def test_failed_completed_and_aborted_ones_are_not_counted(self, server, clock):
        BROKEN.add("perform")
        Nightly.create()
        clock.advance(HOUR)
        server.run()
        with pytest.raises(DuplicateJob):
            Nightly.create()
        queued(Nightly).destroy()
        Nightly.create()

    def test_where_somebody_made_the_next_already_there_is_no_second(self, server, clock):
        job = Nightly.create()
        clock.advance(HOUR)
        server.step()
        Nightly.create(customer="by hand")
        server.run()
        assert (job.reload().state, job.cron_schedule) == (State.COMPLETED, None)
        assert queued(Nightly).customer == "by hand"

    def test_fields_of_ones_own_may_decide_instead(self, server, clock):
        class PerCustomer(Nightly):
            unique_by = ("customer",)

        PerCustomer.create(customer="ada")
        PerCustomer.create(customer="grace")
        with pytest.raises(DuplicateJob):
            PerCustomer.create(customer="ada", cron_schedule="0 2 * * *")
        clock.advance(HOUR)
        server.run()
        assert sorted(job.customer for job in PerCustomer.query.queued) == ["ada", "grace"]

    def test_ensure_is_safe_on_every_deploy(self, server, clock):
        for _ in range(3):
            Nightly.ensure(customer="ada")
        clock.advance(HOUR)
        server.run()
        Nightly.ensure(customer="ada")
        assert Nightly.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}


class TestWithRetry:
    @pytest.mark.parametrize("cls", [RetryFirst, CronFirst])
    def test_while_it_is_tried_again_there_is_no_next_and_after_the_last_try_there_is_one(self, server, clock, cls):
        BROKEN.add("perform")
        job = cls.create()
        clock.advance(HOUR)
        for tries in (1, 2):
            server.run()
            job.reload()
            assert (job.state, job.cron_schedule, len(LOG)) == (State.QUEUED, "0 1 * * *", tries)
            assert cls.query.count() == 1
            clock.advance(60)
        server.run()
        job.reload()
        assert (job.state, job.cron_schedule, len(LOG)) == (State.FAILED, None, 3)
        assert queued(cls).run_at == at(1, day=2)
        assert queued(cls).failed_at_list == []

    @pytest.mark.parametrize("cls", [RetryFirst, CronFirst])
    def test_one_that_succeeds_at_the_second_try_has_one_next(self, server, clock, cls):
        BROKEN.add("perform")
        cls.create()
        clock.advance(HOUR)
        server.run()
        BROKEN.clear()
        clock.advance(60)
        server.run()
        assert cls.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}
        assert queued(cls).run_at == at(1, day=2)

    @pytest.mark.parametrize("cls", [RetryFirst, CronFirst])
    def test_one_that_a_person_fails_is_not_retried_and_has_one_next(self, server, clock, cls):
        cls.create().fail("no")
        server.run()
        assert cls.query.counts() == {State.FAILED: 1, State.QUEUED: 1}

    @pytest.mark.parametrize("first", ["cron", "retry"])
    def test_a_batch_job_whose_slices_fail_is_retried_first_and_then_handed_on(self, server, clock, first):
        bases = (NightlyLines, Retry) if first == "cron" else (Retry, NightlyLines)
        body = {"__module__": __name__, "retry_limit": 1, "retry_delay": lambda self, failures: 60}
        cls = type(Job)("Both", bases, body)
        BROKEN.add("b")
        job = cls.create()
        clock.advance(HOUR)
        server.run()
        assert (job.reload().state, cls.query.count()) == (State.RUNNING, 1)
        assert job.exception.class_name == "SlicesFailed"
        clock.advance(60)
        server.run()
        assert (job.reload().state, job.cron_schedule) == (State.FAILED, None)
        assert queued(cls).run_at == at(1, day=2)
        assert LOG == ["a", "b", "c", "b"]


class TestBatch:
    def test_it_uploads_performs_and_comes_back(self, server, clock):
        job = NightlyLines.create()
        for _ in range(2):
            clock.advance(DAY)
            server.run()
        assert LOG == ["a", "b", "c"] * 2
        assert list(job.reload().output.records()) == ["a", "b", "c"]
        following = queued(NightlyLines)
        assert (following.record_count, following.input_category.uploads) == (None, [])
        assert (following.slice_size, following.collect_output) == (2, True)

    def test_one_that_fails_hands_on_and_retried_does_not_again(self, server, clock):
        BROKEN.add("b")
        job = NightlyLines.create()
        clock.advance(HOUR)
        server.run()
        assert (job.reload().state, queued(NightlyLines).run_at) == (State.FAILED, at(1, day=2))
        BROKEN.clear()
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert NightlyLines.query.queued.count() == 1

    def test_one_whose_upload_fails_hands_on(self, server, clock):
        class Broken(NightlyLines):
            def before_batch(self):
                raise OSError("no file")

        job = Broken.create()
        clock.advance(HOUR)
        server.run()
        assert (job.reload().state, queued(Broken).run_at) == (State.FAILED, at(1, day=2))


class TestHere:
    """`perform_now` stores nothing, so there is no next instance of it."""

    @pytest.mark.parametrize("broken", ["", "perform", "abort"])
    @pytest.mark.parametrize("after_start", [False, True])
    def test_performed_here_nothing_is_made_and_the_stored_job_is_as_it_was(self, clock, broken, after_start):
        BROKEN.add(broken)
        job = Nightly.create(cron_after_start=after_start)
        try:
            job.perform_now()
        except ValueError:
            assert broken == "perform"
        back = queued(Nightly)
        assert (back.id, back.cron_schedule, back.run_at, back.succeeded_by) == (job.id, "0 1 * * *", at(1), None)
        assert Nightly.query.count() == 1

    def test_a_new_one_performed_here_is_not_stored(self, clock):
        Nightly().perform_now()
        assert Nightly.query.count() == 0


def test_the_next_run_is_told_by_run_at_in_utc(clock):
    job = Nightly.create(cron_schedule="0 12 * * * America/New_York")
    assert job.run_at == at(17)
    assert job.run_at.utcoffset() == timedelta(0)


def test_a_hook_that_refuses_the_next_is_recorded_on_the_one_that_ended(server, clock):
    class Picky(Nightly, kind="cron.Picky"):
        def after_validation(self):
            if LOG:
                raise ValueError("no more")

    job = Picky.create()
    clock.advance(HOUR)
    server.run()
    job.reload()
    assert (job.state, job.exception.message) == (State.COMPLETED, "no more")
    # Still with its schedule: it has not been handed on.
    assert job.cron_schedule == "0 1 * * *"
    assert Picky.query.count() == 1
