"""Fields and settings from several base classes: Python's order of resolution decides, as it does for methods."""

import pytest
from pydantic import BaseModel, ValidationError

from penstock import Cron, Job, Restart, Retry, Singleton, State, field
from penstock.hooks import after_validation, before_perform

pytestmark = pytest.mark.usefixtures("configured_store")


class Nightly(Cron, kind="mixins.Nightly"):
    cron_schedule = "0 1 * * *"
    destroy_on_complete = False
    priority = 30
    pausable = True
    customer: str = field("ada", min_length=2, copy_on_restart=True)

    def perform(self):
        return None


def defaults(cls):
    job = cls()
    return job.cron_schedule, job.destroy_on_complete, job.priority, job.pausable, job.customer


class TestOrder:
    def test_a_plug_in_behind_the_class_keeps_what_the_class_says(self):
        class After(Nightly, Retry):
            pass

        assert defaults(After) == ("0 1 * * *", False, 30, True, "ada")

    def test_a_plug_in_in_front_of_the_class_keeps_it_too(self):
        """Its own class says nothing of these fields: it has them from `Job`, as the other class has."""

        class Before(Retry, Nightly):
            pass

        assert defaults(Before) == ("0 1 * * *", False, 30, True, "ada")
        assert Before(retry_limit=3).retry_limit == 3

    def test_several_in_front_keep_it_too(self):
        class Before(Singleton, Restart, Retry, Nightly):
            retry_limit = 2

        assert defaults(Before) == ("0 1 * * *", False, 30, True, "ada")
        assert Before().retry_limit == 2

    def test_what_a_mixin_in_front_says_itself_wins(self):
        class Urgent(Job, abstract=True):
            priority = 1

        class Before(Urgent, Nightly):
            pass

        class After(Nightly, Urgent):
            pass

        assert (Before().priority, After().priority) == (1, 30)
        assert not Before().destroy_on_complete

    def test_what_the_class_says_itself_wins_over_all(self):
        class Own(Retry, Nightly):
            priority = 5

        assert (Own().priority, Own().destroy_on_complete) == (5, False)

    def test_it_holds_for_classes_below(self):
        class Before(Retry, Nightly):
            pass

        class Below(Before):
            customer = "grace"

        class Beside(Singleton, Below):
            pass

        assert defaults(Beside) == ("0 1 * * *", False, 30, True, "grace")

    def test_a_class_between_wins_over_what_a_mixed_class_only_has_from_its_base(self):
        class Mixed(Retry, Nightly):
            pass

        class Special(Nightly):
            priority = 2
            destroy_on_complete = True

        class Both(Mixed, Special):
            pass

        assert defaults(Both) == ("0 1 * * *", True, 2, True, "ada")

    def test_constraints_and_facts_come_along(self):
        class Before(Retry, Nightly):
            pass

        assert "customer" in Before.copied_fields()
        assert {"priority", "cron_schedule", "retry_limit"} <= set(Before.editable_fields())
        for wrong in ({"customer": "x"}, {"priority": 101}, {"retry_limit": -1}, {"cron_schedule": "nonsense"}):
            with pytest.raises(ValidationError, match=next(iter(wrong))):
                Before(**wrong)

    def test_required_fields_stay_required_and_types_stay(self):
        class Needs(Job, abstract=True):
            path: str
            description: str = "always"

        class Before(Retry, Needs):
            pass

        with pytest.raises(ValidationError, match="path"):
            Before()
        job = Before(path="a")
        assert job.description == "always"
        with pytest.raises(ValidationError):
            job.description = None

    def test_late_defaults_and_sealed_fields_come_along(self):
        class Base(Job, abstract=True):
            description = field(default_factory=lambda job: f"late {job.priority}")
            token: str = field("", encrypted=True)

        class Before(Retry, Base):
            priority = 3

        assert Before().description == "late 3"
        assert Before.sealed_fields.names == {"token"}

    def test_a_diamond_has_each_field_once(self):
        class Left(Nightly):
            priority = 1

        class Right(Nightly):
            customer = "grace"

        class Both(Left, Right):
            pass

        assert defaults(Both) == ("0 1 * * *", False, 1, True, "grace")
        names = list(Both.model_fields)
        assert len(names) == len(set(names))

    def test_a_plain_model_may_bring_fields(self):
        class Address(BaseModel):
            street: str = "main"
            priority: int = 9

        class Job1(Job, Address):
            pass

        class Job2(Address, Job):
            pass

        assert (Job1().street, Job1().priority) == ("main", 50)
        assert (Job2().street, Job2().priority) == ("main", 9)

    def test_bases_in_an_order_that_cannot_be_are_refused_as_python_does(self):
        with pytest.raises(TypeError, match=r"(?i)mro|order"):

            class Impossible(Job, Nightly):
                pass


class TestOnAServer:
    def test_hooks_validations_and_fields_of_mixins_all_work_together(self, server):
        seen = []

        class Counted(Job, abstract=True):
            count: int = field(0, ge=0, copy_on_restart=True)

            @before_perform
            def count_on(self):
                self.count += 1

            @after_validation
            def refuse_thirteen(self):
                if self.count == 13:
                    raise ValueError("thirteen")

        class Real(Counted, Retry, Nightly):
            cron_schedule = None

            def perform(self):
                seen.append(self.count)
                if len(seen) == 1:
                    raise ValueError("once")

            def retry_delay(self, failures):
                return 0

        job = Real.create(count=4)
        server.run()
        job.reload()
        assert (seen, job.state, job.count) == ([5, 6], State.COMPLETED, 6)
        with pytest.raises(ValueError, match="thirteen"):
            Real.create(count=13)
