"""Windows in which slices run, and a priority that falls with the size of a job."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob, LowerPriority, State, ThrottleWindows
from penstock.service.holding import why_waiting

LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful(configured_store, clock):
    """It is midnight in UTC."""
    LOG.clear()


class Nightly(ThrottleWindows, BatchJob, kind="throttles.Nightly"):
    slice_size = 2
    destroy_on_complete = False
    primary_schedule = "0 1 * * *"
    primary_duration = 3600.0

    def perform(self, record):
        LOG.append((penstock.clock.now(), record))


def at(hour, minute=0, second=0, *, day=1):
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


def move_to(clock, moment):
    clock.advance((moment - clock.now()).total_seconds())


def uploaded(cls, *records, **values):
    job = cls(**values)
    job.upload(records)
    return job.save()


class TestWindows:
    def test_outside_them_a_job_starts_and_its_slices_wait_for_the_opening(self, server, clock, configured_store):
        job = uploaded(Nightly, "a", "b", "c")
        server.run()
        assert (job.reload().state, LOG) == (State.RUNNING, [])
        assert job.row.held_until == at(1)
        assert "outside the windows of its slices" in why_waiting(configured_store, [job.row])[job.id]
        move_to(clock, at(0, 59, 59))
        server.run()
        assert LOG == []
        move_to(clock, at(1))
        server.run()
        assert (job.reload().state, LOG) == (State.COMPLETED, [(at(1), "a"), (at(1), "b"), (at(1), "c")])

    def test_one_that_has_started_rests_between_two_slices_when_they_close(self, server, clock):
        move_to(clock, at(1, 59, 59))
        job = uploaded(Nightly, *"abcd")
        server.step()
        clock.advance(1)
        server.run()
        assert [record for _, record in LOG] == ["a", "b"]
        assert job.reload().row.held_until == at(1, day=2)
        move_to(clock, at(1, day=2))
        server.run()
        assert [record for _, record in LOG] == list("abcd")
        assert job.reload().state is State.COMPLETED

    def test_the_secondary_window_is_as_good(self, server, clock):
        job = uploaded(Nightly, "a", secondary_schedule="30 0 * * *", secondary_duration=60.0)
        server.run()
        assert job.reload().row.held_until == at(0, 30)
        move_to(clock, at(0, 30))
        server.run()
        assert [(at(0, 30), "a")] == LOG

    def test_without_a_primary_schedule_slices_always_run(self, server):
        uploaded(Nightly, "a", primary_schedule=None, primary_duration=None)
        server.run()
        assert len(LOG) == 1

    def test_a_schedule_that_is_none_or_lacks_its_duration_is_refused(self):
        with pytest.raises(ValidationError, match="primary_schedule and primary_duration go together"):
            Nightly(primary_duration=None)
        with pytest.raises(ValidationError):
            Nightly(primary_schedule="at noon")


class Heavy(LowerPriority, BatchJob, kind="throttles.Heavy"):
    lower_priority_count = 10
    destroy_on_complete = False

    def perform(self, record):
        LOG.append(record)


class TestLowerPriority:
    @pytest.mark.parametrize(("records", "priority"), [(9, 50), (10, 51), (35, 53), (2000, 100)])
    def test_it_falls_by_one_for_each_so_many_records_down_to_the_least(self, server, records, priority):
        job = uploaded(Heavy, *range(records))
        server.run()
        assert (job.reload().priority, len(LOG)) == (priority, records)

    def test_smaller_jobs_that_came_later_go_first(self, server):
        uploaded(Heavy, *range(20))
        uploaded(Heavy, "small")
        server.run()
        assert LOG[0] == "small"


def test_run_now_opens_what_is_held_until_a_moment_to_come_which_is_then_asked_again(server, configured_store):
    job = uploaded(Nightly, "a")
    server.run()
    assert job.reload().row.held_until == at(1)
    job.run_now()
    assert configured_store.job(job.id).held_until is None
    job.update(primary_schedule=None, primary_duration=None)
    server.run()
    assert [record for _, record in LOG] == ["a"]
