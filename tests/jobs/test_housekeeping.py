"""`Housekeeping`: what it removes, and what it keeps."""

import pytest

from penstock import BatchJob, Job, before_destroy
from penstock.jobs import Housekeeping
from penstock.jobs import housekeeping as module
from penstock.states import State

DAY = 86_400


class Plain(Job, kind="tests.jobs.housekeeping.Plain"):
    destroy_on_complete = False

    def perform(self):
        return None


class Lines(BatchJob, kind="tests.jobs.housekeeping.Lines"):
    collect_output = True
    destroy_on_complete = False

    def perform(self, line):
        return line


class Guarded(Job, kind="tests.jobs.housekeeping.Guarded"):
    guarded: bool = False

    @before_destroy
    def refuse(self):
        if self.guarded:
            raise ValueError("not yet")


@pytest.fixture
def clean(driver, clock):
    """Return a function that cleans up now, and tells what was removed."""

    def run(**values):
        job = Housekeeping.create(cron_schedule=None, destroy_on_complete=False, run_at=clock.now(), **values)
        driver.run()
        job.reload()
        assert job.state == State.COMPLETED, job.exception
        return {state: count for state, count in job.removed.items() if count}

    return run


def in_state(state, cls=Plain):
    job = cls.create()
    match state:
        case "aborted":
            job.abort()
        case "failed":
            job.fail("x")
        case "paused":
            job.pause()
    return job


@pytest.mark.parametrize(("state", "days"), [("aborted", 7), ("failed", 14)])
def test_each_state_has_its_days(clean, clock, state, days):
    job = in_state(state)
    clock.advance(days * DAY - 60)
    assert clean() == {}
    clock.advance(61)
    assert clean() == {state: 1}
    assert not Plain.query.where(id=job.id).exists()


def test_completed_jobs_stay_for_a_week(clean, driver, clock):
    Plain.create()
    driver.run()
    clock.advance(7 * DAY - 60)
    assert clean() == {}
    clock.advance(61)
    assert clean() == {"completed": 1}


@pytest.mark.parametrize("state", ["paused", "queued"])
def test_what_is_still_to_be_done_is_never_removed_unless_somebody_says_so(clean, clock, state):
    job = in_state(state)
    job.update(run_at=clock.now().replace(year=2040))
    clock.advance(1000 * DAY)
    assert clean() == {}
    assert clean(**{f"{state}_days": 1}) == {state: 1}


def test_none_keeps_for_ever(clean, clock):
    in_state("failed")
    clock.advance(1000 * DAY)
    assert clean(failed_days=None) == {}


def test_a_batch_job_goes_with_its_slices_and_outputs(clean, driver, clock, configured_store):
    job = Lines()
    job.upload(["a", "b"])
    job.save()
    driver.run()
    clock.advance(8 * DAY)
    assert clean() == {"completed": 1}
    assert list(configured_store.outputs(job.id, "main")) == []


def test_jobs_go_by_chunks_each_in_a_transaction_of_its_own(clean, clock, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 3)
    for _ in range(8):
        in_state("aborted")
    clock.advance(8 * DAY)
    assert clean() == {"aborted": 8}


class TestPace:
    def test_less_at_once_after_a_long_transaction_and_more_after_a_short_one(self, clock, monkeypatch):
        rested = []
        monkeypatch.setattr(module.time, "sleep", rested.append)
        pace = module.Pace()
        sizes = []
        for seconds in (0.001, 0.008, 0.04, 0.04):
            with pace.kept():
                clock.advance(seconds)
            sizes.append(pace.size)
        assert sizes == [151, 151, 100, 100]
        assert rested == pytest.approx([0.002, 0.016, 0.08, 0.08])

    def test_it_never_takes_very_few_or_very_many(self, clock, monkeypatch):
        monkeypatch.setattr(module.time, "sleep", lambda _: None)
        pace = module.Pace()
        for seconds, size in ((1.0, module.AT_ONCE), (0.0, module.MOST_AT_ONCE)):
            for _ in range(30):
                with pace.kept():
                    clock.advance(seconds)
            assert pace.size == size


def test_one_that_is_retried_meanwhile_stays(clean, clock, configured_store, monkeypatch):
    job = in_state("failed")
    clock.advance(20 * DAY)
    original = module._remove_some

    def retried_first(store, rows, state):
        Plain.query.failed.retry()
        Plain.query.queued.update(run_at=clock.now().replace(year=2040))
        return original(store, rows, state)

    monkeypatch.setattr(module, "_remove_some", retried_first)
    assert clean() == {}
    assert job.reload().state == State.QUEUED


def test_hooks_of_classes_that_are_known_run_and_may_refuse(clean, clock):
    for guarded in (True, False):
        Guarded(guarded=guarded).save().abort()
    clock.advance(8 * DAY)
    assert clean() == {"aborted": 1}
    assert [job.guarded for job in Guarded.query] == [True]


def test_jobs_of_kinds_that_nobody_knows_go_too(clean, clock):
    from penstock.model import kinds

    class Gone(Job):
        pass

    Gone.create().abort()
    kinds.forget("Gone")
    clock.advance(8 * DAY)
    assert clean() == {"aborted": 1}


def test_it_comes_back_every_quarter_of_an_hour_and_there_is_one(driver, clock):
    Housekeeping.ensure()
    Housekeeping.ensure()
    clock.advance(900)
    driver.run()
    (job,) = Housekeeping.query
    assert (job.run_at - clock.now()).total_seconds() == 900
