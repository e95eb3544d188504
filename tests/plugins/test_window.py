"""Jobs that start only at certain times."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob, Cron, ProcessingWindow, State
from penstock.query import Query

HOUR = 3600
LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful(configured_store, clock):
    """It is midnight in UTC; the window of most tests is open from 12:00 to 13:00."""
    LOG.clear()


class Noon(ProcessingWindow, kind="window.Noon"):
    processing_schedule = "0 12 * * *"
    processing_duration = float(HOUR)
    destroy_on_complete = False

    def perform(self):
        LOG.append(penstock.clock.now())


def at(hour, minute=0, second=0, *, day=1, month=1):
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


def move_to(clock, moment):
    clock.advance((moment - clock.now()).total_seconds())


class TestMade:
    def test_outside_the_window_it_waits_for_the_next_opening(self, server, clock):
        job = Noon.create()
        assert job.run_at == at(12)
        move_to(clock, at(11, 59, 59))
        server.run()
        assert LOG == []
        move_to(clock, at(12))
        server.run()
        assert ([at(12)], State.COMPLETED) == (LOG, job.reload().state)

    def test_inside_the_window_it_starts_at_once(self, server, clock):
        move_to(clock, at(12, 30))
        job = Noon.create()
        assert job.run_at is None
        server.run()
        assert [at(12, 30)] == LOG

    @pytest.mark.parametrize(
        ("moment", "is_open"),
        [
            (at(11, 59, 59), False),
            (at(12), True),
            (at(12, 59, 59), True),
            (at(13), False),
        ],
    )
    def test_the_first_instant_belongs_to_it_and_the_last_does_not(self, clock, moment, is_open):
        move_to(clock, moment)
        assert Noon().is_window_open() is is_open
        assert Noon().is_window_open(moment) is is_open
        job = Noon.create()
        assert (job.run_at is None) is is_open
        if moment == at(13):
            assert job.run_at == at(12, day=2)

    def test_a_microsecond_before_and_after(self, clock):
        tick = timedelta(microseconds=1)
        edges = [(at(12) - tick, False), (at(12) + tick, True), (at(13) - tick, True), (at(13) + tick, False)]
        assert [(moment, Noon().is_window_open(moment)) for moment, _ in edges] == edges

    def test_with_a_time_of_its_own_it_waits_for_the_opening_after_that(self, clock):
        assert Noon.create(run_at=at(12, 10)).run_at == at(12, 10)
        assert Noon.create(run_at=at(14)).run_at == at(12, day=2)
        assert Noon.create(run_at=at(3)).run_at == at(12)

    def test_a_time_that_has_passed_counts_as_now(self, clock):
        move_to(clock, at(12, 30))
        assert Noon.create(run_at=at(1)).run_at == at(1)
        move_to(clock, at(14))
        assert Noon.create(run_at=at(12, 10)).run_at == at(12, day=2)

    def test_a_window_longer_than_its_period_is_always_open(self, server, clock):
        job = Noon.create(processing_duration=25.0 * HOUR)
        assert job.run_at is None
        server.run()
        assert len(LOG) == 1

    def test_the_zone_of_the_schedule_holds(self, clock):
        assert Noon.create(processing_schedule="0 12 * * * America/New_York").run_at == at(17)

    @pytest.mark.parametrize(
        "wrong",
        [{"processing_schedule": "nonsense"}, {"processing_duration": 0}, {"processing_duration": -5}],
        ids=str,
    )
    def test_what_is_no_window_is_refused_by_name(self, wrong):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Noon(**wrong)

    def test_both_must_be_given(self):
        class Bare(ProcessingWindow):
            pass

        with pytest.raises(ValidationError, match="processing_schedule"):
            Bare()


class TestStarted:
    def test_a_server_that_comes_late_holds_it_for_the_next_opening_and_says_why(self, server, clock):
        job = Noon.create()
        move_to(clock, at(20))
        server.run()
        job.reload()
        assert (LOG, job.state, job.throttled_by) == ([], State.QUEUED, "outside its processing window")
        assert job.row.held_until == at(12, day=2)
        assert (job.failure_count, job.started_at) == (0, None)
        # It is not picked up again and again meanwhile.
        assert server.run() == 0
        move_to(clock, at(12, day=2))
        server.run()
        assert [at(12, day=2)] == LOG
        assert (job.reload().state, job.throttled_by) == (State.COMPLETED, None)

    def test_one_that_has_started_goes_on_when_the_window_closes(self, server, clock):
        class Long(Noon):
            def perform(self):
                move_to(clock, at(13, 30))

        job = Long.create()
        move_to(clock, at(12, 59, 59))
        server.run()
        assert (job.reload().state, job.completed_at) == (State.COMPLETED, at(13, 30))

    def test_one_whose_worker_died_waits_for_the_window_again(self, server, clock):
        job = Noon.create()
        move_to(clock, at(12, 59))
        task = server.take()
        move_to(clock, at(13))
        server.crash(task)
        server.run()
        assert (LOG, job.reload().throttled_by) == ([], "outside its processing window")
        move_to(clock, at(12, day=2))
        server.run()
        assert job.reload().state is State.COMPLETED

    def test_a_window_edited_while_it_waits_holds(self, server, clock):
        job = Noon.create()
        move_to(clock, at(20))
        server.run()
        job.reload().update(processing_schedule="0 19 * * *", processing_duration=2.0 * HOUR)
        move_to(clock, at(12, day=2))
        server.run()
        assert LOG == []
        move_to(clock, at(19, day=2))
        server.run()
        assert [at(19, day=2)] == LOG

    def test_run_now_does_not_open_the_window(self, server, clock):
        job = Noon.create().run_now()
        server.run()
        assert (LOG, job.reload().state) == ([], State.QUEUED)

    def test_others_are_not_held_by_it(self, server, clock):
        move_to(clock, at(11))
        first = Noon.create(run_at=None, priority=1)
        server.store.update_job(first.id, {"run_at": None})
        other = Noon.create(processing_schedule="0 11 * * *")
        server.run()
        assert (first.reload().state, other.reload().state) == (State.QUEUED, State.COMPLETED)

    def test_one_that_expires_while_it_waits_is_gone(self, server, clock):
        Noon.create(expires_at=at(6))
        move_to(clock, at(12))
        server.run()
        assert (LOG, server.store.count_jobs(Query())) == ([], 0)

    def test_a_job_with_a_throttle_too_is_asked_only_when_the_window_is_open(self, server, clock):
        class Both(Noon):
            @penstock.throttle("busy", scope="job", seconds=60)
            def busy(self):
                LOG.append("asked")
                return False

        job = Both.create()
        server.store.update_job(job.id, {"run_at": None})
        server.run()
        assert LOG == []
        move_to(clock, at(12))
        server.run()
        assert ["asked", at(12)] == LOG


class TestRetried:
    def test_outside_the_window_it_waits_for_the_next_opening(self, server, clock):
        move_to(clock, at(12))
        job = Noon.create().fail("x")
        move_to(clock, at(15))
        job.retry()
        assert (job.state, job.run_at) == (State.QUEUED, at(12, day=2))
        server.run()
        assert LOG == []

    def test_inside_it_starts_at_once(self, server, clock):
        move_to(clock, at(12))
        job = Noon.create().fail("x")
        job.retry()
        server.run()
        assert [at(12)] == LOG

    def test_resumed_outside_the_window_it_waits_for_it(self, server, clock):
        move_to(clock, at(12))
        job = Noon.create().pause()
        move_to(clock, at(15))
        job.resume()
        server.run()
        assert (LOG, job.reload().state) == ([], State.QUEUED)
        move_to(clock, at(12, day=2))
        server.run()
        assert [at(12, day=2)] == LOG


class TestWithOthers:
    def test_with_a_schedule_each_run_waits_for_the_window(self, server, clock):
        class Both(ProcessingWindow, Cron):
            processing_schedule = "0 12 * * *"
            processing_duration = float(HOUR)
            cron_schedule = "30 * * * *"
            destroy_on_complete = False

            def perform(self):
                LOG.append(penstock.clock.now())

        Both.create()
        for _ in range(48 * 2 + 1):
            server.run()
            clock.advance(HOUR / 2)
        # What the schedule wants outside the window comes at its opening, once.
        assert [at(12), at(12, 30), at(12, day=2), at(12, 30, day=2)] == LOG

    def test_a_batch_job_starts_in_the_window_and_goes_on_behind_it(self, server, clock):
        class Lines(ProcessingWindow, BatchJob):
            processing_schedule = "0 12 * * *"
            processing_duration = float(HOUR)
            destroy_on_complete = False
            slice_size = 1

            def perform(self, record):
                LOG.append(record)

        job = Lines()
        job.upload([1, 2, 3])
        job.save()
        assert job.run_at == at(12)
        server.run()
        assert LOG == []
        move_to(clock, at(20))  # No server ran at noon.
        server.run()
        job.reload()
        assert (LOG, job.state, job.throttled_by) == ([], State.QUEUED, "outside its processing window")
        move_to(clock, at(12, day=2))
        server.step()
        server.step()
        move_to(clock, at(14, day=2))
        server.run()
        assert (LOG, job.reload().state) == ([1, 2, 3], State.COMPLETED)

    def test_performed_here_it_need_not_wait(self, clock):
        Noon().perform_now()
        assert [at(0)] == LOG
