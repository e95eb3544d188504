"""Schedules as people see them."""

from datetime import timedelta

import pytest

import penstock
from penstock import Job
from penstock.errors import ConfigurationError, DuplicateJob, InvalidMove, JobNotFound
from penstock.ids import new_id
from penstock.model import kinds
from penstock.plugins.cron import Cron
from penstock.plugins.schedule import InvalidSchedule
from penstock.service.schedules import edit_schedule, list_schedules, next_times, run_schedule_now, schedule_of_job

pytestmark = pytest.mark.usefixtures("clock")


class Nightly(Cron, Job, kind="tests.service.schedules.Nightly"):
    cron_schedule = "0 1 * * *"
    destroy_on_complete = False

    def perform(self):
        return None


class Once(Job, kind="tests.service.schedules.Once"):
    def perform(self):
        return None


def start(store, job, clock):
    store.claim_jobs([store.job(job.id)], server="s1", now=clock.now())


# List --------------------------------------------------------------------------------------------


def test_schedules_are_listed_with_their_next_run_the_oldest_first(configured_store, clock):
    first = Nightly.create()
    Once.create()
    second = Nightly.create(cron_schedule="0 0 2 * * * Europe/Berlin", description="the second")
    views = list_schedules(configured_store)
    assert [view["id"] for view in views] == [str(first.id), str(second.id)]
    assert views[0]["next_run_at"] == "2026-01-01T01:00:00+00:00"
    assert views[1]["schedule"] == "0 0 2 * * * Europe/Berlin"
    assert (views[1]["description"], views[1]["state"], views[1]["last"]) == ("the second", "queued", None)
    assert list_schedules(configured_store, kinds=[Once.kind]) == []


def test_a_running_one_comes_again_when_it_is_due_next_and_a_paused_one_not_at_all(configured_store, clock):
    runs, rests = Nightly.create(), Nightly.create(cron_schedule="0 2 * * *")
    rests.pause()
    clock.advance(3600)
    start(configured_store, runs, clock)
    running, paused = list_schedules(configured_store)
    assert (running["state"], running["next_run_at"]) == ("running", "2026-01-02T01:00:00+00:00")
    assert (paused["state"], paused["next_run_at"]) == ("paused", None)


def test_the_instance_before_is_told_with_how_it_ended(configured_store, clock):
    job = Nightly.create()
    clock.advance(3600)
    job.abort()
    (view,) = list_schedules(configured_store)
    assert view["id"] != str(job.id)
    assert view["last"] == {"id": str(job.id), "state": "aborted", "ended_at": clock.now().isoformat()}
    job.destroy()
    assert list_schedules(configured_store)[0]["last"] is None


def test_a_stored_text_that_means_nothing_hides_no_schedule(configured_store, clock):
    job = Nightly.create()
    start(configured_store, job, clock)
    configured_store.update_job(job.id, {"fields": {"cron_schedule": "every day"}})
    (view,) = list_schedules(configured_store)
    assert (view["schedule"], view["next_run_at"]) == ("every day", None)


# Next --------------------------------------------------------------------------------------------


def test_the_next_times_of_a_text_are_in_its_zone():
    times = next_times("0 1 * * * Europe/Berlin", 2)
    assert [moment.isoformat() for moment in times] == ["2026-01-02T01:00:00+01:00", "2026-01-03T01:00:00+01:00"]
    penstock.configure(timezone="Europe/Berlin")
    assert next_times("0 1 * * *", 2) == times
    assert next_times("0 1 * * *", 1, after=times[0]) == times[1:]
    with pytest.raises(InvalidSchedule):
        next_times("every day")


def test_the_schedule_of_a_job_is_its_text(configured_store):
    assert schedule_of_job(configured_store, Nightly.create().id) == "0 1 * * *"
    with pytest.raises(JobNotFound):
        schedule_of_job(configured_store, new_id())
    with pytest.raises(JobNotFound, match="has no schedule"):
        schedule_of_job(configured_store, Once.create().id)


# Edit and run now --------------------------------------------------------------------------------


def test_an_edited_schedule_is_planned_anew(configured_store, clock):
    job = Nightly.create()
    view = edit_schedule(configured_store, job.id, "30 4 * * *", by="ada")
    assert (view["schedule"], view["next_run_at"]) == ("30 4 * * *", "2026-01-01T04:30:00+00:00")
    assert job.reload().run_at == clock.now() + timedelta(hours=4.5)


def test_an_edit_that_is_refused_changes_nothing(configured_store):
    job, other = Nightly.create(), Nightly.create(cron_schedule="0 5 * * *")
    before = configured_store.job(job.id)
    with pytest.raises(InvalidSchedule):
        edit_schedule(configured_store, job.id, "0 25 * * *", by="ada")
    with pytest.raises(DuplicateJob):
        edit_schedule(configured_store, job.id, "0 5 * * *", by="ada")
    with pytest.raises(JobNotFound, match="has no schedule"):
        edit_schedule(configured_store, Once.create().id, "0 5 * * *", by="ada")
    assert configured_store.job(job.id) == before
    assert other.reload().cron_schedule == "0 5 * * *"


def test_only_the_instance_that_lives_is_edited(configured_store):
    job = Nightly.create()
    configured_store.update_job(job.id, {"state": "completed"})
    for act in (
        lambda: edit_schedule(configured_store, job.id, "0 5 * * *", by="ada"),
        lambda: run_schedule_now(configured_store, job.id, by="ada"),
    ):
        with pytest.raises(InvalidMove, match="schedules list"):
            act()


def test_run_now_makes_it_due_and_its_schedule_stays(configured_store, clock):
    job = Nightly.create()
    view = run_schedule_now(configured_store, job.id, by="ada")
    assert (view["next_run_at"], view["schedule"]) == (clock.now().isoformat(), "0 1 * * *")
    assert job.reload().run_at is None
    start(configured_store, job, clock)
    with pytest.raises(InvalidMove):
        run_schedule_now(configured_store, job.id, by="ada")


def test_run_now_works_without_the_class_and_edit_does_not(configured_store):
    job = Nightly.create()
    kinds.forget(Nightly.kind)
    try:
        run_schedule_now(configured_store, job.id, by="ada")
        with pytest.raises((LookupError, ConfigurationError), match="--app"):
            edit_schedule(configured_store, job.id, "0 5 * * *", by="ada")
    finally:
        kinds.register(Nightly, ())
    assert job.reload().run_at is None
