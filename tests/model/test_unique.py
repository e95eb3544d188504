"""Unique keys: who has one, who is refused, and when it is free again."""

import contextlib
from datetime import UTC, date, datetime

import pytest

from penstock import Job, Singleton, field
from penstock.errors import DuplicateJob
from penstock.hooks import after_retry
from penstock.states import Move, State

pytestmark = pytest.mark.usefixtures("configured_store")

LOG: list = []


class Report(Job, kind="unique.Report"):
    unique_by = ("customer", "day")
    destroy_on_complete = False
    pausable = True
    customer: str = "ada"
    day: date | None = None
    note: str = ""

    def perform(self):
        return None


class Alone(Singleton, kind="unique.Alone"):
    def perform(self):
        return None


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()


class TestWhoIsRefused:
    def test_a_second_job_with_the_same_values_is_refused_and_the_first_named(self):
        first = Report.create(day=date(2026, 1, 1))
        with pytest.raises(DuplicateJob) as refused:
            Report.create(day="2026-01-01", note="other")
        words = "unique.Report job with customer='ada', day=datetime.date(2026, 1, 1) already"
        assert words in str(refused.value)
        assert str(first.id) in str(refused.value)
        assert Report.query.count() == 1

    def test_other_values_are_another_job(self):
        Report.create()
        Report.create(customer="grace")
        Report.create(day=date(2026, 1, 1))
        assert Report.query.count() == 3

    def test_none_is_a_value_like_any_other(self):
        Report.create(day=None)
        with pytest.raises(DuplicateJob):
            Report.create(day=None)

    def test_a_class_that_names_no_fields_has_one_job_whatever_its_values(self):
        Alone.create(priority=1)
        with pytest.raises(DuplicateJob, match=r"there is a unique\.Alone job already"):
            Alone.create(priority=2, description="other")

    def test_a_class_without_a_rule_has_any_number(self):
        class Many(Job):
            pass

        Many.create_many([{}, {}, {}])
        assert Many.query.count() == 3
        assert Many().unique_key() is None

    def test_each_subclass_has_keys_of_its_own(self):
        class Special(Report):
            pass

        Report.create()
        Special.create()
        with pytest.raises(DuplicateJob):
            Special.create()

    def test_a_subclass_may_have_another_rule_or_none(self):
        class Loose(Report):
            unique_by = None

        class Strict(Report):
            unique_by = ()

        Loose.create_many([{}, {}])
        Strict.create()
        with pytest.raises(DuplicateJob):
            Strict.create(customer="grace")

    def test_text_that_looks_alike_does_not_collide(self):
        class Pair(Job):
            unique_by = ("first", "second")
            first: str = ""
            second: str = ""

        for first, second in [("a", "b"), ("a,b", ""), ("", "a,b"), ('a", "b', ""), ("1", "1")]:
            Pair.create(first=first, second=second)
        assert Pair.query.count() == 5

    @pytest.mark.parametrize(
        ("kind", "one", "same", "other"),
        [
            (int, 5, "5", 6),
            (dict, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1}),
            (list, [1, 2], (1, 2), [2, 1]),
            (str, "ä" * 5000, "ä" * 5000, "ä" * 5001),
            (datetime, datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z", datetime(2026, 1, 2, tzinfo=UTC)),
        ],
        ids=["int", "dict", "list", "long text", "moment"],
    )
    def test_values_of_all_types_are_compared_as_they_are_stored(self, kind, one, same, other):
        class Typed(Job):
            unique_by = ("value",)
            value: kind

        Typed.create(value=one)
        with pytest.raises(DuplicateJob):
            Typed.create(value=same)
        Typed.create(value=other)
        assert Typed.query.count() == 2

    def test_a_late_default_counts(self):
        class Late(Job):
            unique_by = ("name",)
            name: str = field(default_factory=lambda job: f"p{job.priority}")

        Late.create()
        with pytest.raises(DuplicateJob):
            Late.create()
        Late.create(priority=3)

    def test_a_rule_over_what_is_no_field_is_refused_with_the_class(self):
        with pytest.raises(TypeError, match=r"Wrong\.unique_by names 'custommer', which is no field of it"):

            class Wrong(Report):
                unique_by = ("custommer",)

    def test_many_at_once_are_stored_all_or_none(self):
        Report.create(customer="taken")
        for wrong in ([{}, {}], [{"customer": "x"}, {"customer": "taken"}]):
            with pytest.raises(DuplicateJob):
                Report.create_many([{"customer": "new"}, *wrong])
        assert Report.query.count() == 1

    def test_a_refused_job_is_not_stored_and_may_be_saved_when_the_key_is_free(self):
        first = Report.create()
        job = Report()
        with pytest.raises(DuplicateJob):
            job.save()
        assert not job.is_stored
        first.abort()
        job.save()
        assert Report.query.queued.count() == 1


class TestWhenItIsFree:
    @pytest.mark.parametrize("how", ["queued", "paused", "running"])
    def test_a_job_that_waits_or_runs_has_it(self, server, how):
        job = Report.create()
        if how == "paused":
            job.pause()
        if how == "running":
            assert server.take() is not None
        with pytest.raises(DuplicateJob):
            Report.create()

    @pytest.mark.parametrize("how", ["abort", "fail", "destroy", "complete"])
    def test_one_that_has_ended_has_not(self, server, how):
        job = Report.create()
        server.run() if how == "complete" else getattr(job, how)()
        Report.create()
        with pytest.raises(DuplicateJob):
            Report.create()

    def test_a_job_that_would_be_the_second_is_not_retried_and_stays_failed(self, server):
        failed = Report.create().fail("x")
        Report.create()
        message = r"cannot retry job .*: another unique\.Report with the same unique key is queued, running or paused"
        with pytest.raises(DuplicateJob, match=message):
            failed.retry()
        assert (failed.reload().state, failed.exception.message) == (State.FAILED, "x")

    def test_a_refused_retry_runs_no_hook_after_it(self):
        class Hooked(Report, kind="unique.Hooked"):
            @after_retry
            def tell(self):
                LOG.append("retried")

        failed = Hooked.create().fail("x")
        second = Hooked.create()
        with pytest.raises(DuplicateJob):
            failed.retry()
        assert LOG == []
        assert failed.reload().row.pending_hooks is None
        second.abort()
        failed.retry()
        assert LOG == ["retried"]

    def test_of_many_retried_by_a_query_as_many_are_as_can_be(self):
        for _ in range(3):
            Report.create().fail("x")
        other = Report.create(customer="grace").fail("x")
        assert Report.query.retry() == 2
        assert Report.query.counts() == {State.FAILED: 2, State.QUEUED: 2}
        assert other.reload().state is State.QUEUED

    def test_a_paused_job_keeps_it_and_is_resumed(self):
        job = Report.create().pause()
        assert job.resume().state is State.QUEUED


class TestEdits:
    def test_an_edit_that_would_make_two_is_refused_and_nothing_is_changed(self):
        Report.create(customer="ada")
        job = Report.create(customer="grace", note="old")
        with pytest.raises(DuplicateJob, match="customer='ada'"):
            job.update(customer="ada", note="new")
        back = job.reload()
        assert (back.customer, back.note) == ("grace", "old")

    def test_an_edit_frees_the_old_key_and_takes_the_new_one(self):
        job = Report.create(customer="ada")
        job.update(customer="grace")
        Report.create(customer="ada")
        with pytest.raises(DuplicateJob):
            Report.create(customer="grace")

    def test_an_edit_of_a_job_that_has_ended_takes_nothing_until_it_is_retried(self):
        failed = Report.create(customer="ada").fail("x")
        Report.create(customer="grace")
        failed.update(customer="grace")
        with pytest.raises(DuplicateJob):
            failed.retry()
        failed.update(customer="other").retry()
        assert Report.query.queued.count() == 2

    def test_a_hook_before_a_move_may_change_it(self):
        class Renamed(Report, kind="unique.Renamed"):
            def before_retry(self):
                self.customer = f"{self.customer} again"

        failed = Renamed.create().fail("x")
        Renamed.create()
        failed.retry()
        assert (failed.state, failed.customer) == (State.QUEUED, "ada again")


class TestOnAServer:
    def test_a_job_that_changes_its_key_as_it_runs_has_the_new_one_when_it_waits_again(self, server, clock):
        class Moving(Report, kind="unique.Moving"):
            def perform(self):
                self.customer = "grace"
                self.snooze(60)

        Moving.create()
        server.run()
        Moving.create(customer="ada")
        with pytest.raises(DuplicateJob):
            Moving.create(customer="grace")

    @pytest.mark.parametrize("how", ["snooze", "pause", "retry"])
    def test_a_job_that_takes_a_key_that_another_has_fails_and_the_server_goes_on(self, server, clock, how):
        class Moving(Report, kind="unique.Greedy"):
            def perform(self):
                if self.customer != "ada":
                    return
                self.customer = "grace"
                if how == "retry":
                    raise ValueError("to be retried")
                getattr(self, how)(*([60] if how == "snooze" else []))

            def plan_retry(self, error):
                return clock.now()

        job = Moving.create(priority=1)
        other = Moving.create(customer="grace")
        server.run()
        assert other.reload().state is State.COMPLETED
        job.reload()
        assert job.state is State.FAILED
        assert "same unique key" in job.exception.message

    def test_a_hook_after_a_move_that_takes_the_key_of_another_is_recorded_and_the_server_goes_on(self, server, clock):
        class Moving(Report, kind="unique.Hooking"):
            def perform(self):
                if self.customer == "ada":
                    self.snooze(60)

            def after_requeue(self):
                self.customer = "grace"

        job = Moving.create(priority=1)
        other = Moving.create(customer="grace")
        server.run()
        assert other.reload().state is State.COMPLETED
        job.reload()
        assert "same unique key" in job.exception.message
        assert job.row.pending_hooks is None

    def test_a_job_whose_worker_died_keeps_it(self, server):
        job = Report.create()
        server.crash(server.take())
        with contextlib.suppress(DuplicateJob):
            Report.create()
            pytest.fail("there are two")
        server.run()
        assert job.reload().state is State.COMPLETED

    def test_it_is_compared_in_the_store_so_other_copies_do_not_count(self):
        job = Report.create()
        copy = Report.query.first()
        copy.abort()
        assert job.state is State.QUEUED
        Report.create()

    def test_a_move_in_memory_takes_no_key(self):
        Report.create()
        job = Report()
        job._move(Move.FAIL)
        assert job.retry().state is State.QUEUED
