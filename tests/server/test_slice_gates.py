"""What holds slices of a running batch job back: its own number of workers, and a rate limit."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock import BatchJob
from penstock.batch.rates import seconds_per_record
from penstock.errors import ConfigurationError
from penstock.states import SliceState, State

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.driver import Driver  # noqa: E402


class Throttled(BatchJob, kind="tests.server.gates.Throttled"):
    slice_size = 10
    collect_output = True
    destroy_on_complete = False

    def perform(self, record):
        return record


class Limited(Throttled, kind="tests.server.gates.Limited"):
    rate_limit = "10/second"


class Other(Throttled, kind="tests.server.gates.Other"):
    pass


def stored(cls=Throttled, count=100, **values):
    job = cls(**values)
    job.upload(range(1, count + 1))
    return job.save()


@pytest.fixture
def driver(configured_store, clock):
    """A server of eight slots, at a standing clock."""
    return Driver(configured_store, slots=8)


def running(driver, job):
    return driver.store.slice_counts(job.id).get(SliceState.RUNNING, 0)


def finish(driver, *jobs):
    """Perform all there is, letting time pass where that is waited for."""
    driver.run()
    assert [driver.row(job.id).state for job in jobs] == [State.COMPLETED] * len(jobs)
    for job in jobs:
        assert list(job.reload().output.records()) == list(range(1, job.record_count + 1))


# throttle_running_workers -------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_more_slices_are_worked_on_at_once_than_the_job_says(driver, most):
    job = stored(throttle_running_workers=most, count=200)
    seen = []
    for _ in range(3):
        driver.turn()
        seen.append(running(driver, job))
        task = driver.take()
        driver.perform(task)
        driver.turn()
        seen.append(running(driver, job))
    assert set(seen) == {most}
    finish(driver, job)


def test_slices_of_all_servers_count(configured_store, clock):
    first, second = Driver(configured_store, "server-1", slots=8), Driver(configured_store, "server-2", slots=8)
    job = stored(throttle_running_workers=3)
    first.turn()
    second.turn()
    assert running(first, job) == 3
    assert second.take() is None
    first.die()
    assert running(first, job) == 0
    second.run()
    assert job.reload().state is State.COMPLETED


def test_it_may_be_changed_while_the_job_runs(driver):
    job = stored(throttle_running_workers=2, count=300)
    driver.turn()
    assert running(driver, job) == 2
    for most in (5, 1, None):
        job.reload()
        job.throttle_running_workers = most
        job.save()
        for _ in range(5):
            driver.perform(driver.take())
            driver.turn()
        assert running(driver, job) == (most or 8)
    finish(driver, job)


def test_a_failed_slice_does_not_count(driver):
    class Failing(Throttled):
        def perform(self, record):
            if record == 1:
                raise ValueError("bad")
            return record

    job = stored(Failing, throttle_running_workers=1)
    driver.run()
    assert driver.store.accounts(job.id).processed == 90


def test_a_slice_whose_worker_died_gives_its_place_back(driver):
    job = stored(throttle_running_workers=1)
    driver.crash(driver.take())
    finish(driver, job)


def test_it_holds_back_nothing_but_the_job_itself(driver):
    first, second = stored(throttle_running_workers=1, priority=1), stored(Other, priority=90)
    driver.turn()
    assert (running(driver, first), running(driver, second)) == (1, 7)
    finish(driver, first, second)


def test_many_jobs_at_their_limit_do_not_hide_those_behind_them(configured_store, clock):
    busy, free = Driver(configured_store, "server-1", slots=60), Driver(configured_store, "server-2", slots=1)
    jobs = [stored(throttle_running_workers=1, count=20) for _ in range(40)]
    busy.turn()
    assert {running(busy, job) for job in jobs} == {1}
    last = stored(Other, count=10)
    free.turn()
    assert running(free, last) == 1


# rate_limit ---------------------------------------------------------------------------------------


def test_records_begin_no_faster_than_the_class_allows(driver, clock):
    job = stored(Limited)
    began = clock.now()
    for slices in range(1, 11):
        driver.run()
        assert driver.store.accounts(job.id).processed == slices * 10
        row = driver.row(job.id)
        if row.state is State.RUNNING:
            assert row.throttled_by == "its rate limit"
            assert row.held_until == began + timedelta(seconds=slices)
            clock.advance(0.999)
            driver.run()
            assert driver.store.accounts(job.id).processed == slices * 10
            clock.advance(0.001)
    finish(driver, job)
    assert clock.now() - began == timedelta(seconds=9)


def test_all_jobs_of_a_kind_share_it_and_others_are_free(driver, clock):
    first, second, other = stored(Limited), stored(Limited), stored(Other)
    driver.run()
    processed = [driver.store.accounts(job.id).processed for job in (first, second, other)]
    assert processed == [10, 0, 100]
    for _ in range(19):
        clock.advance(1)
        driver.run()
    finish(driver, first, second)


def test_it_holds_for_all_servers_together(configured_store, clock):
    first, second = Driver(configured_store, "server-1", slots=8), Driver(configured_store, "server-2", slots=8)
    job = stored(Limited)
    for _ in range(5):
        first.run()
        second.run()
        clock.advance(1)
    assert configured_store.accounts(job.id).processed == 50


def test_what_was_not_used_is_not_saved_up(driver, clock):
    job = stored(Limited)
    driver.run()
    clock.advance(60)
    driver.run()
    assert driver.store.accounts(job.id).processed == 20


def test_small_slices_are_taken_several_at_once_for_a_tenth_of_a_second(driver, clock):
    class Quick(Throttled):
        rate_limit = "1000/second"

    job = stored(Quick, slice_size=10, count=1000)
    driver.turn()
    assert running(driver, job) <= 10
    turns = 0
    while driver.row(job.id).state is not State.COMPLETED:
        driver.run()
        clock.advance(0.05)
        turns += 1
        assert turns < 100
    assert 15 <= turns <= 25
    finish(driver, job)


def test_the_next_turn_is_due_when_it_may_go_on(driver, clock):
    stored(Limited)
    driver.run()
    driver.dispatcher._woken = False
    assert driver.dispatcher._turn() == clock.now() + timedelta(seconds=1)


def test_an_aborted_job_that_is_held_is_done_with(driver, clock):
    job = stored(Limited)
    driver.run()
    job.reload().abort()
    clock.advance(5)
    driver.run()
    assert job.reload().state is State.ABORTED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500/minute", 0.12), ("1 per second", 1.0), ("0.5 / hour", 7200.0), ("86400/day", 1.0), (" 2/second ", 0.5)],
)
def test_a_rate_is_a_number_and_a_period(text, seconds):
    assert seconds_per_record(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5/week", "-1/second", "0/second", "0.0/second", "5/seconds", "x/day"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigurationError, match="is no rate limit; write a number and a period, as 500/minute"):
        seconds_per_record(text)


def test_the_moment_is_kept_to_the_microsecond(configured_store):
    now = datetime(2026, 1, 1, 0, 0, 0, 5, UTC)
    configured_store.spend_rate("a", seconds=0.25, now=now)
    assert configured_store.next_of_rate("a") == now + timedelta(seconds=0.25)
