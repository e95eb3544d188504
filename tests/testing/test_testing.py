"""What Penstock offers to tests of applications."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest

import penstock
from penstock import BatchJob, Cron, Job, Retry, State, after_complete, config, throttle
from penstock.testing import (
    ManualClock,
    assert_enqueued,
    assert_not_enqueued,
    drain,
    enqueued,
    temporary_store,
    use,
)

done = []


@pytest.fixture(autouse=True)
def _nothing_done():
    done.clear()


class Mail(Job, kind="testing.Mail"):
    to: str
    copies: int = 0

    def perform(self):
        done.append(self.to)
        if self.copies:
            Mail.create(to=self.to, copies=self.copies - 1, priority=self.priority)


class Hourly(Cron, Job, kind="testing.Hourly"):
    cron_schedule = "0 * * * *"

    def perform(self):
        done.append(self.scheduled_at)


class Breaks(Job, kind="testing.Breaks"):
    def perform(self):
        raise ValueError("no such mailbox")


class BreaksTwice(Retry, Job, kind="testing.BreaksTwice"):
    destroy_on_complete = False

    def perform(self):
        if self.failure_count < 2:
            raise ValueError("not yet")


class Doubles(BatchJob, kind="testing.Doubles"):
    collect_output = True
    destroy_on_complete = False
    slice_size = 2

    def perform(self, record):
        return record * 2

    @after_complete
    def note(self):
        done.append(self.state)


class OneAtATime(Job, kind="testing.OneAtATime"):
    throttle_running_jobs = 1

    def perform(self):
        done.append(OneAtATime.query.running.count())


class Waits(Job, kind="testing.Waits"):
    closed: ClassVar[bool] = True

    @throttle("the shop is closed", seconds=60, scope="job")
    def shop_is_closed(self):
        return Waits.closed

    def perform(self):
        done.append("bought")


class TestStore:
    def test_it_is_empty_and_gone_afterwards(self, penstock_store):
        Mail.create(to="ada")
        assert Mail.query.count() == 1
        with temporary_store():
            assert Mail.query.count() == 0

    def test_settings_are_as_they_were_afterwards(self, tmp_path):
        penstock.configure(store=f"sqlite:///{tmp_path}/own.db")
        with temporary_store():
            assert config.settings().store == "sqlite://"
        assert config.settings().store == f"sqlite:///{tmp_path}/own.db"

    def test_a_file_stays_for_other_processes(self, tmp_path):
        with temporary_store(tmp_path / "a.db"):
            Mail.create(to="ada")
        with temporary_store(tmp_path / "a.db"):
            assert Mail.query.first().to == "ada"


class TestDrain:
    def test_it_runs_what_is_due_and_what_that_makes_most_urgent_first(self, penstock_store):
        Mail.create(to="late", priority=90)
        Mail.create(to="first", priority=1, copies=2)
        assert drain().completed == 4
        assert done == ["first", "first", "first", "late"]
        assert Mail.query.count() == 0

    def test_without_anything_due_nothing_happens(self, penstock_store, penstock_clock):
        Mail.create(to="ada", run_at=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC))
        assert drain().ran == []

    def test_seconds_move_a_manual_clock_from_due_time_to_due_time(self, penstock_store, penstock_clock):
        Hourly.ensure()
        start = penstock_clock.now()
        assert drain(3 * 3600).completed == 3
        assert done == [start.replace(hour=hour) for hour in (1, 2, 3)]
        assert (penstock_clock.now() - start).total_seconds() == 3 * 3600
        assert Hourly.query.count() == 1

    def test_seconds_without_a_manual_clock_are_refused(self, penstock_store):
        with pytest.raises(TypeError, match="penstock_clock"):
            drain(60)

    def test_a_failure_is_an_assertion_unless_it_is_expected(self, penstock_store):
        Breaks.create()
        with pytest.raises(AssertionError, match=r"testing\.Breaks .* failed: ValueError: no such mailbox"):
            drain()
        Breaks.create()
        drained = drain(expect_failures=True)
        assert (drained.failed, drained.errors) == (1, ["ValueError: no such mailbox"])

    def test_retries_run_when_their_time_comes(self, penstock_store, penstock_clock):
        job = BreaksTwice.create()
        drained = drain(3600)
        assert [ran.outcome for ran in drained.ran] == ["retried", "retried", "completed"]
        assert job.reload().state is State.COMPLETED

    def test_batch_jobs_run_with_their_hooks(self, penstock_store):
        job = Doubles()
        job.upload(["a", "b", "c"])
        job.save()
        assert drain().completed == 1
        assert [record for part in job.reload().output for record in part] == ["aa", "bb", "cc"]
        assert done == [State.COMPLETED]

    def test_limits_hold(self, penstock_store):
        for _ in range(3):
            OneAtATime.create()
        drain()
        assert done == [1, 1, 1]

    def test_held_jobs_are_asked_again_later(self, penstock_store, penstock_clock, monkeypatch):
        job = Waits.create()
        assert drain(30).count("held") == 1
        assert job.reload().throttled_by == "the shop is closed"
        monkeypatch.setattr(Waits, "closed", False)
        drain(60)
        assert done == ["bought"]

    def test_jobs_that_make_each_other_for_ever_are_told(self, penstock_store, monkeypatch):
        monkeypatch.setattr("penstock.testing.draining.MOST_STEPS", 20)
        Mail.create(to="ada", copies=1000)
        with pytest.raises(AssertionError, match="do jobs make each other"):
            drain()


class TestExpecting:
    def test_a_queued_job_with_these_values_is_found(self, penstock_store):
        wanted = Mail.create(to="ada")
        Mail.create(to="bob")
        assert assert_enqueued(Mail, to="ada").id == wanted.id
        assert_enqueued(Mail, count=2)
        assert len(enqueued(Job)) == 2

    def test_what_is_missing_is_told_with_what_is_there(self, penstock_store):
        Mail.create(to="bob")
        with pytest.raises(AssertionError, match=r"Mail\(to='ada'\) should be queued, 0 is; .*to='bob'"):
            assert_enqueued(Mail, to="ada")
        with pytest.raises(AssertionError, match="exactly 2"):
            assert_enqueued(Mail, count=2)
        with pytest.raises(AssertionError, match="no Hourly is"):
            assert_enqueued(Hourly)

    def test_not_enqueued_is_the_opposite(self, penstock_store):
        assert_not_enqueued(Mail)
        Mail.create(to="ada")
        assert_not_enqueued(Mail, to="bob")
        with pytest.raises(AssertionError, match="no Mail"):
            assert_not_enqueued(Mail)


def test_the_clock_of_the_fixture_stands_still_until_it_is_moved(penstock_clock):
    before = penstock.clock.now()
    penstock_clock.advance(5)
    assert (penstock.clock.now() - before).total_seconds() == 5
    with use(ManualClock(datetime(2030, 1, 1, tzinfo=UTC))):
        assert penstock.clock.now().year == 2030
