"""What a job tells of itself: its status for people, how long it took, whether it is late, and what it may hold."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob, Job, field
from penstock.errors import UnstorableValue
from penstock.query import Query
from penstock.states import State

pytestmark = pytest.mark.usefixtures("configured_store")


class Report(Job, kind="told.Report"):
    customer: str = "ada"
    day: date | None = None
    collect_output = True
    destroy_on_complete = False
    pausable = True
    broken: bool = False

    def perform(self):
        if self.broken:
            raise ValueError("no paper\nin tray 2")
        return {"pages": 3}


class TestStatus:
    def test_it_is_plain_data_with_times_in_the_zone_that_is_set(self, clock):
        job = Report.create(day=date(2026, 2, 3), run_at=clock.now() + timedelta(hours=1))
        told = job.status()
        assert told == {
            "id": str(job.id),
            "kind": "told.Report",
            "state": "queued",
            "created_at": "2026-01-01 00:00:00+00:00",
            "priority": 50,
            "destroy_on_complete": False,
            "run_at": "2026-01-01 01:00:00+00:00",
            "percent_complete": 0,
            "collect_output": True,
            "customer": "ada",
            "day": "2026-02-03",
            "broken": False,
        }
        json.dumps(told)

    def test_times_are_told_in_another_zone_when_asked(self, clock):
        job = Report.create(run_at=clock.now())
        assert job.status("America/New_York")["run_at"] == "2025-12-31 19:00:00-05:00"
        penstock.configure(timezone="Asia/Kolkata")
        assert job.status()["run_at"] == "2026-01-01 05:30:00+05:30"

    def test_an_unknown_zone_is_refused(self):
        with pytest.raises((LookupError, ValueError), match="Nowhere"):
            Report().status("Europe/Nowhere")

    @pytest.mark.parametrize(("move", "name"), [("pause", "paused_at"), ("abort", "aborted_at"), ("fail", "failed_at")])
    def test_when_it_ended_comes_first_under_the_name_that_says_how(self, clock, move, name):
        job = Report.create()
        clock.advance(60)
        told = getattr(job, move)().status()
        assert next(iter(told)) == name
        assert told[name] == "2026-01-01 00:01:00+00:00"
        assert "completed_at" not in told

    def test_of_a_completed_job_the_result_is_told_and_not_how_far_it_is(self, server, clock):
        job = Report.create()
        server.run()
        told = job.reload().status()
        assert (next(iter(told)), told["state"], told["result"]) == ("completed_at", "completed", {"pages": 3})
        assert not {"percent_complete", "failure_count", "exception", "worker"} & told.keys()

    def test_of_a_failed_job_the_error_is_told_in_a_line_and_how_often(self, server):
        job = Report.create(broken=True)
        server.run()
        told = job.reload().status()
        assert (told["exception"], told["failure_count"]) == ("ValueError: no paper", 1)
        assert "result" not in told

    def test_of_a_running_job_the_worker_and_how_far_it_is_are_told(self, server, configured_store):
        job = Report.create()
        assert server.take() is not None
        configured_store.update_job(job.id, {"worker": "here:1:2", "percent_complete": 40})
        told = job.reload().status()
        assert (told["state"], told["worker"], told["percent_complete"]) == ("running", "here:1:2", 40)

    def test_of_a_job_that_is_held_the_reason_is_told(self, server, clock):
        class Held(Report, kind="told.Held"):
            @penstock.throttle("the printer is off", scope="job")
            def printer_off(self):
                return True

        job = Held.create()
        server.run()
        assert job.reload().status()["throttled_by"] == "the printer is off"

    def test_of_a_batch_job_the_part_it_is_in_is_told(self, server):
        class Lines(BatchJob):
            def perform(self, record):
                return record

        job = Lines()
        job.upload(["a"])
        job.save()
        assert server.take() is not None
        assert job.reload().status()["sub_state"] == "processing"

    def test_a_new_job_has_one_too(self):
        assert Report(customer="grace").status()["customer"] == "grace"

    def test_values_of_all_sorts_can_be_written_as_json(self):
        from decimal import Decimal
        from enum import Enum
        from uuid import uuid4

        class Colour(Enum):
            RED = "red"

        class Sorts(Job):
            price: Decimal = Decimal("1.50")
            colour: Colour = Colour.RED
            moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
            span: timedelta = timedelta(seconds=90)
            names: list[str] = ["a"]  # noqa: RUF012
            days: dict[str, date] = {"a": date(2026, 1, 1)}  # noqa: RUF012
            key: object = field(default_factory=uuid4)
            data: bytes = b"\xff"

        told = Sorts().status()
        back = json.loads(json.dumps(told))
        assert back["names"] == ["a"]
        assert "1.5" in str(back["price"])
        assert "2026-01-01" in str(back["days"])


class TestTimes:
    def test_elapsed_is_the_wait_then_the_run_then_the_whole_run(self, server, clock):
        job = Report.create()
        clock.advance(10)
        assert job.elapsed_seconds == 10.0
        task = server.take()
        clock.advance(5)
        assert job.reload().elapsed_seconds == 5.0
        server.perform(task)
        server.run()
        clock.advance(100)
        assert job.reload().elapsed_seconds == 5.0

    def test_of_a_job_that_never_started_it_is_the_time_since_it_was_made(self, clock):
        job = Report.create()
        clock.advance(10)
        job.abort()
        clock.advance(10)
        assert job.elapsed_seconds == 20.0

    def test_a_job_expires_at_the_very_moment(self, clock):
        job = Report(expires_at=clock.now() + timedelta(seconds=60))
        assert not job.is_expired
        clock.advance(59.999999)
        assert not job.is_expired
        clock.advance(0.000001)
        assert job.is_expired
        assert not Report().is_expired

    def test_a_job_is_scheduled_while_it_is_queued_for_later(self, clock):
        job = Report.create(run_at=clock.now() + timedelta(seconds=60))
        assert job.is_scheduled
        job.pause()
        assert not job.is_scheduled
        job.resume()
        clock.advance(60)
        assert not job.is_scheduled
        assert not Report.create().is_scheduled

    def test_scheduled_at_is_when_it_was_meant_to_start(self, clock):
        job = Report.create()
        assert job.scheduled_at == job.created_at == clock.now()
        later = clock.now() + timedelta(days=1)
        assert job.update(run_at=later).scheduled_at == later

    def test_a_job_that_expired_before_it_started_goes_and_one_that_runs_goes_on(self, server, clock):
        expires = clock.now() + timedelta(seconds=60)
        late, running = Report.create(expires_at=expires, priority=60), Report.create(expires_at=expires)
        task = server.take()
        clock.advance(60)
        server.perform(task)
        server.run()
        assert running.reload().state is State.COMPLETED
        assert server.row(late.id) is None

    def test_a_job_that_was_read_knows_all_its_times(self, server, clock):
        job = Report.create()
        clock.advance(1)
        server.run()
        back = Report.query.first()
        assert (back.created_at, back.started_at, back.completed_at) == (
            job.created_at,
            clock.now(),
            clock.now(),
        )


class TestFacts:
    def test_the_lists_of_editable_and_copied_fields_are_inherited_and_extended_without_doubles(self):
        class Base(Report, abstract=True):
            own: str = field("", user_editable=True, copy_on_restart=True)

        class Child(Base):
            own = "overridden"
            customer: str = field("grace", user_editable=True)
            priority = 3

        for names, more in ((Child.editable_fields(), {"own", "customer"}), (Child.copied_fields(), {"own"})):
            assert len(names) == len(set(names))
            assert more <= set(names)
            assert "priority" in names
        assert not {"own", "customer"} & set(Report.editable_fields())
        assert set(Job.editable_fields()) <= set(Child.editable_fields())

    def test_standard_fields_that_the_next_instance_gets(self):
        assert set(Job.copied_fields()) == {
            "description", "priority", "destroy_on_complete", "expires_at", "collect_output", "log_level", "timeout",
            "throttle_group",
        }  # fmt: skip


class TestSize:
    @pytest.fixture(autouse=True)
    def _small(self, configured_store):
        penstock.configure(max_document=10_000)

    def test_a_document_beyond_the_limit_is_refused_with_its_size_and_the_largest_field(self):
        class Large(Job):
            text: str = ""
            more: list[str] = []  # noqa: RUF012

        job = Large(text="x" * 9_000, more=["y" * 5_000])
        with pytest.raises(UnstorableValue) as refused:
            job.save()
        told = str(refused.value)
        assert "of this Large take 14," in told
        assert "max_document is 10,000" in told
        assert "the largest is text with 9,00" in told
        assert not job.is_stored
        assert Large.query.count() == 0

    def test_the_limit_is_in_bytes_as_stored(self):
        class Text(Job):
            text: str = ""

        Text.create(text="x" * 9_000)
        with pytest.raises(UnstorableValue, match=r"18,\d\d\d bytes"):
            Text.create(text="ä" * 9_000)

    def test_exactly_at_the_limit_it_is_stored(self):
        class Text(Job):
            text: str = ""

        room = 10_000 - len(Text().document().encode())
        job = Text.create(text="x" * room)
        assert len(job.document().encode()) == 10_000
        with pytest.raises(UnstorableValue):
            job.update(text="x" * (room + 1))
        with pytest.raises(UnstorableValue):
            Text.create(text="x" * (room + 1))

    def test_an_edit_that_grows_a_job_beyond_it_is_refused_and_nothing_of_it_stored(self):
        class Text(Job):
            text: str = ""

        job = Text.create()
        with pytest.raises(UnstorableValue):
            job.update(text="x" * 20_000, priority=1)
        back = Text.query.first()
        assert (back.text, back.priority) == ("", 50)

    def test_of_many_none_is_stored(self):
        class Text(Job):
            text: str = ""

        with pytest.raises(UnstorableValue):
            Text.create_many([{}, {"text": "x" * 20_000}])
        assert Text.query.count() == 0

    def test_a_move_that_would_store_such_a_change_is_refused(self):
        class Text(Job):
            texts: list[str] = []  # noqa: RUF012

        job = Text.create()
        job.texts.append("x" * 20_000)
        with pytest.raises(UnstorableValue):
            job.pause()
        assert Text.query.first().state is State.QUEUED

    def test_the_setting_moves_the_limit(self):
        class Text(Job):
            text: str = ""

        penstock.configure(max_document=100_000)
        Text.create(text="x" * 90_000)

    def test_a_job_that_outgrows_it_while_it_runs_fails_with_the_size(self, server, configured_store):
        class Growing(Job):
            text: str = ""
            destroy_on_complete = False

            def perform(self):
                self.text = "x" * 20_000

        job = Growing.create()
        server.run()
        job.reload()
        assert (job.state, job.text) == (State.FAILED, "")
        assert "max_document is 10,000; the largest is text with 20," in job.exception.message
        assert configured_store.count_jobs(Query()) == 1


class TestChangedInPlace:
    """`job.numbers.append(...)` sets nothing that could be checked at once; `save` does."""

    class Holding(Job, kind="told.Holding"):
        numbers: list[int] = []  # noqa: RUF012
        days: dict[str, date] = {}  # noqa: RUF012
        names: set[str] = set()  # noqa: RUF012

    def test_a_value_of_the_right_type_is_stored(self):
        job = self.Holding.create(numbers=[1])
        job.numbers.append(2)
        job.days["a"] = date(2026, 1, 1)
        job.names.add("ada")
        job.save()
        back = self.Holding.query.first()
        assert (back.numbers, back.days, back.names) == ([1, 2], {"a": date(2026, 1, 1)}, {"ada"})

    @pytest.mark.parametrize("how", ["save", "update", "create_many"])
    def test_a_wrong_one_is_refused_by_the_field_and_nothing_is_stored(self, how):
        job = self.Holding(numbers=[1])
        if how != "create_many":
            job.save()
        job.numbers.append("many")
        with pytest.raises(ValidationError, match=r"numbers\.1"):
            {
                "save": job.save,
                "update": lambda: job.update(priority=3),
                "create_many": lambda: self.Holding.create_many([{}, job]),
            }[how]()
        assert [(found.numbers, found.priority) for found in self.Holding.query] == (
            [] if how == "create_many" else [([1], 50)]
        )

    def test_one_that_can_be_converted_is_stored_as_an_assigned_one_is(self):
        job = self.Holding.create(numbers=[1])
        job.numbers.append("2")
        job.days["a"] = "2026-01-01"
        job.save()
        for seen in (job, self.Holding.query.first()):
            assert (seen.numbers, seen.days) == ([1, 2], {"a": date(2026, 1, 1)})

    def test_what_was_changed_is_known_though_the_list_is_the_same_object(self):
        job = self.Holding.create(numbers=[1])
        job.numbers[0] = 5
        assert json.loads(json.dumps(job.changed_values())) == {"fields": {"numbers": [5]}}

    def test_performed_here_it_is_checked_too(self):
        job = self.Holding(numbers=[1])
        job.numbers.append("many")
        with pytest.raises(ValidationError, match="numbers"):
            job.perform_now()
        assert job.state is State.QUEUED
