"""Defaults that are made from the job: before or after its other fields are set, and for jobs stored before them."""

import json
from datetime import UTC, date, datetime
from functools import partial

import pytest
from pydantic import ValidationError, field_validator

from penstock import Job, field
from penstock.model.job import load_job

pytestmark = pytest.mark.usefixtures("configured_store")


class Invoice(Job, kind="late_defaults.Invoice"):
    title: str = field(default_factory=lambda job: f"{job.customer} {job.amount} p{job.priority}")
    customer: str = "ada"
    amount: int = 1
    notes: list[str] = field(default_factory=list)
    made_of: str = field(default_factory=lambda job: str(job.id))


def stored_without(store, job, *names):
    """Return the row of a job as if these fields had not been there when it was stored."""
    row = store.job(job.id)
    document = json.loads(row.fields)
    row.fields = json.dumps({name: value for name, value in document.items() if name not in names})
    return row


class TestWithTheJob:
    def test_it_sees_all_other_fields_those_below_it_too(self):
        assert Invoice(customer="grace", amount=7, priority=3).title == "grace 7 p3"
        assert Invoice().title == "ada 1 p50"

    def test_it_sees_the_id_the_job_has(self):
        job = Invoice()
        assert job.made_of == str(job.id)

    def test_a_value_that_is_given_stays_none_too(self):
        class Optional(Job):
            name: str | None = field(default_factory=lambda job: "made")

        assert Invoice(title="own").title == "own"
        assert Optional(name=None).name is None
        assert Optional().name == "made"

    def test_several_are_made_in_the_order_of_declaration_and_later_ones_see_earlier_ones(self):
        class Chain(Job):
            third: str = field(default_factory=lambda job: "3")
            first: str = field(default_factory=lambda job: f"1{job.third}")
            second: str = field(default_factory=lambda job: f"2{job.first}")

        assert Chain().second == "213"
        assert Chain(first="x").second == "2x"

    def test_it_is_checked_as_an_assigned_value_is(self):
        class Wrong(Job):
            size: int = field(default_factory=lambda job: "many")

        with pytest.raises(ValidationError, match="size"):
            Wrong()

    def test_it_is_converted_as_an_assigned_value_is(self):
        class Texts(Job):
            day: date = field(default_factory=lambda job: "2026-02-03")

        assert Texts().day == date(2026, 2, 3)

    def test_constraints_hold_for_it(self):
        class Bounded(Job):
            size: int = field(default_factory=lambda job: job.priority * 10, le=100)

        assert Bounded(priority=10).size == 100
        with pytest.raises(ValidationError, match="size"):
            Bounded(priority=11)

    def test_validators_of_the_field_see_it(self):
        class Upper(Job):
            name: str = field(default_factory=lambda job: "ada")

            @field_validator("name")
            @classmethod
            def upper(cls, value):
                return value.upper() if value else value

        assert Upper().name == "ADA"

    def test_what_the_factory_raises_comes_out(self):
        class Broken(Job):
            name: str = field(default_factory=lambda job: job.nowhere)

        with pytest.raises(AttributeError, match="nowhere"):
            Broken()

    def test_each_job_gets_its_own(self):
        class Own(Job):
            names: list[str] = field(default_factory=lambda job: [job.kind])

        first, second = Own(), Own()
        first.names.append("x")
        assert second.names == ["Own"]

    def test_after_init_sees_it(self):
        seen = []

        class Seeing(Job):
            name: str = field(default_factory=lambda job: "made")

            def after_init(self):
                seen.append(self.name)

        Seeing()
        assert seen == ["made"]

    def test_it_is_stored_and_comes_back_as_it_was_made(self):
        job = Invoice.create(customer="grace")
        job.update(customer="ada")
        back = Invoice.query.first()
        assert (back.title, back.customer) == ("grace 1 p50", "ada")

    def test_an_update_or_a_save_does_not_make_it_anew(self):
        job = Invoice.create()
        made = job.title, job.made_of
        job.update(amount=9)
        job.save()
        assert (job.title, job.made_of) == made

    def test_it_holds_for_jobs_made_in_bulk(self):
        assert [job.title for job in Invoice.create_many([{"amount": 1}, {"amount": 2}])] == ["ada 1 p50", "ada 2 p50"]

    def test_it_may_be_the_default_of_a_standard_field(self):
        class Urgent(Job):
            days: int = 5
            priority = field(default_factory=lambda job: 10 * job.days)

        assert Urgent(days=3).priority == 30
        Urgent.create(days=2)
        assert Urgent.query.first().priority == 20
        with pytest.raises(ValidationError, match="priority"):
            Urgent(days=20)


class TestOtherFactories:
    @pytest.mark.parametrize(
        "factory",
        [date.today, list, dict, lambda: 5, lambda x=1: x, lambda *args: 7, partial(int, "8"), lambda *, x=1: x],
        ids=["C", "list", "dict", "none", "optional", "star", "partial", "keyword"],
    )
    def test_a_factory_that_needs_no_argument_gets_none(self, factory):
        class Plain(Job):
            value: object = field(default_factory=factory)

        assert Plain().value == factory()

    def test_a_method_of_something_may_be_the_factory(self):
        class Maker:
            def make(self, job):
                return f"for {job.kind}"

        class Made(Job):
            value: str = field(default_factory=Maker().make)

        assert Made().value == "for Made"


class TestEarly:
    def test_it_sees_the_fields_above_it(self):
        class Early(Job):
            customer: str = "ada"
            title: str = field(default_factory=lambda job: f"to {job.customer}, p{job.priority}", early=True)

        assert Early().title == "to ada, p50"
        assert Early(customer="grace", priority=2).title == "to grace, p2"
        assert Early(title="own").title == "own"

    def test_it_does_not_see_those_below_it(self):
        class Early(Job):
            title: str = field(default_factory=lambda job: job.customer, early=True)
            customer: str = "ada"

        with pytest.raises(AttributeError, match="customer"):
            Early()

    def test_validators_of_the_whole_job_see_it_and_not_a_late_one(self):
        from pydantic import model_validator

        seen = []

        class Both(Job):
            early: str = field(default_factory=lambda job: "early", early=True)
            late: str = field(default_factory=lambda job: "late")

            @model_validator(mode="after")
            def look(self):
                seen.append((self.early, self.late))
                return self

        job = Both()
        assert seen[0] == ("early", None)
        assert (job.early, job.late) == ("early", "late")


class TestSubclasses:
    def test_they_inherit_it_and_their_fields_are_seen(self):
        class Special(Invoice, kind="late_defaults.Special"):
            customer = "grace"
            priority = 9

        assert Special().title == "grace 1 p9"

    def test_they_override_it_by_a_plain_value(self):
        class Plain(Invoice):
            title = "plain"

        assert Plain().title == "plain"
        assert Invoice().title == "ada 1 p50"

    def test_they_override_it_by_another(self):
        class Other(Invoice):
            title: str = field(default_factory=lambda job: f"other {job.amount}")

        assert Other(amount=4).title == "other 4"

    def test_they_may_give_a_plain_field_a_late_default(self):
        class Late(Invoice):
            customer = field(default_factory=lambda job: f"customer of {job.amount}")

        job = Late(amount=3)
        assert job.customer == "customer of 3"

    def test_the_facts_of_the_field_stay_when_they_override_it(self):
        class Base(Job, abstract=True):
            day: str = field(default_factory=lambda job: "base", user_editable=True, copy_on_restart=True)

        class Real(Base):
            day = "real"

        assert Real().day == "real"
        assert "day" in Real.editable_fields()
        assert "day" in Real.copied_fields()


class TestOlderDocuments:
    def test_a_job_stored_before_the_field_was_there_gets_it_when_it_is_read(self, configured_store):
        row = stored_without(configured_store, Invoice.create(customer="grace", amount=4), "title", "notes")
        job = load_job(row)
        assert (job.title, job.notes) == ("grace 4 p50", [])

    def test_it_is_made_from_what_is_stored_of_the_standard_fields_too(self, configured_store):
        job = load_job(stored_without(configured_store, Invoice.create(priority=3), "title"))
        assert job.title == "ada 1 p3"

    def test_it_is_made_with_the_id_and_the_times_that_the_job_has(self, configured_store, clock):
        class Timed(Job):
            name: str = field(default_factory=lambda job: f"{job.id} {job.created_at:%H:%M} {job.is_stored}")

        made = Timed.create()
        clock.advance(3600)
        job = load_job(stored_without(configured_store, made, "name"))
        assert job.id == made.id
        assert job.name == f"{made.id} 00:00 True"

    def test_it_is_stored_with_the_next_save(self, configured_store):
        made = Invoice.create()
        row = stored_without(configured_store, made, "title")
        configured_store.destroy_job(made.id)
        configured_store.insert_jobs([row])
        job = Invoice.query.first()
        job.update(customer="grace")
        assert job.title == "ada 1 p50"
        assert Invoice.query.first().title == "ada 1 p50"

    def test_one_that_is_there_is_left_though_what_it_was_made_from_changed(self):
        Invoice.create().update(customer="grace")
        assert Invoice.query.first().title == "ada 1 p50"

    def test_reloading_makes_it_too(self, configured_store):
        made = Invoice.create(amount=3)
        row = stored_without(configured_store, made, "title")
        configured_store.destroy_job(made.id)
        configured_store.insert_jobs([row])
        assert made.reload().title == "ada 3 p50"

    def test_a_server_performs_such_a_job_with_it(self, server, configured_store):
        seen = []

        class Stamped(Job):
            moment: datetime = field(default_factory=lambda job: job.created_at)

            def perform(self):
                seen.append(self.moment)

        made = Stamped.create()
        row = stored_without(configured_store, made, "moment")
        configured_store.destroy_job(made.id)
        configured_store.insert_jobs([row])
        server.run()
        assert seen == [made.created_at.astimezone(UTC)]
