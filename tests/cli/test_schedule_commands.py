"""`penstock schedules`."""

import json

import pytest

import penstock
from penstock import Job
from penstock.plugins.cron import Cron

pytestmark = pytest.mark.usefixtures("clock")


class Nightly(Cron, Job, kind="tests.cli.schedules.Nightly"):
    cron_schedule = "0 1 * * mon-fri"

    def perform(self):
        return None


class Once(Job, kind="tests.cli.schedules.Once"):
    def perform(self):
        return None


def test_schedules_are_listed_with_their_next_run(call, url):
    job = Nightly.create()
    code, out, err = call("schedules", "list", "--store", url)
    header, line = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["id", "kind", "state", "last", "next", "run", "schedule"]
    assert line.split() == [
        str(job.id), Nightly.kind, "queued", "-", "2026-01-01", "01:00:00", "UTC", "0", "1", "*", "*", "mon-fri",
    ]  # fmt: skip
    (view,) = json.loads(call("schedules", "list", "--json", "--store", url)[1])
    assert (view["id"], view["next_run_at"]) == (str(job.id), "2026-01-01T01:00:00+00:00")


def test_how_the_one_before_ended_is_told(call, url, clock):
    job = Nightly(destroy_on_complete=False).save()
    clock.advance(3600)
    job.abort()
    assert call("schedules", "list", "--store", url)[1].splitlines()[1].split()[3] == "aborted"


def test_no_schedules_are_said_to_be_none(call, url):
    Once.create()
    assert call("schedules", "list", "--store", url) == (0, "no schedules\n", "")


def test_the_next_times_of_a_text_or_a_job_are_shown_in_the_zone(call, url):
    code, out, _ = call("schedules", "next", "0 1 * * mon-fri Europe/Berlin", "--count", 3, "--store", url)
    times = ["2026-01-02 01:00:00 Fri CET", "2026-01-05 01:00:00 Mon CET", "2026-01-06 01:00:00 Tue CET"]
    assert (code, out.splitlines()) == (0, times)
    penstock.configure(timezone="America/New_York")
    job = Nightly.create()
    out = call("schedules", "next", job.id, "--json", "--count", 1, "--store", url)[1]
    assert json.loads(out) == ["2026-01-01T01:00:00-05:00"]


def test_the_next_times_of_a_text_need_no_store(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("schedules", "next", "@daily")[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "expected"),
    [("0 25 * * *", 2), ("every day", 2), ("", 2), ("01a1fbf7-6f14-7862-94d2-f0a999c73cbb", 4)],
)
def test_the_next_times_of_nothing_are_one_line(call, url, what, expected):
    code, out, err = call("schedules", "next", what, "--store", url)
    assert (code, out, err.count("\n")) == (expected, "", 1)


def test_an_edited_schedule_says_when_it_runs_next(call, url):
    job = Nightly.create()
    code, out, err = call("schedules", "edit", job.id, "30 4 * * *", "--store", url)
    assert (code, out, err) == (0, f"{job.id} 30 4 * * *: next run 2026-01-01 04:30:00 UTC\n", "")
    assert job.reload().cron_schedule == "30 4 * * *"


def test_an_edit_that_is_refused_is_one_line_and_changes_nothing(call, url, configured_store):
    job = Nightly.create()
    before = configured_store.job(job.id)
    code, out, err = call("schedules", "edit", job.id, "30 24 * * *", "--store", url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "hour" in err
    assert configured_store.job(job.id) == before
    assert call("schedules", "edit", Once.create().id, "30 4 * * *", "--store", url)[0] == 4


def test_run_now_makes_it_due(call, url):
    job = Nightly.create()
    code, out, err = call("schedules", "run-now", job.id, "--json", "--store", url)
    assert (code, json.loads(out)["next_run_at"], err) == (0, "2026-01-01T00:00:00+00:00", "")
    assert job.reload().run_at is None
    job.pause()
    assert call("schedules", "run-now", job.id, "--store", url)[0] == 3
