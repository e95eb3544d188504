"""Job classes: fields, defaults overridden in the class body, kinds."""

import asyncio
import sys
import types
from datetime import UTC, date, datetime
from enum import StrEnum

import pytest
from pydantic import ValidationError

from penstock import Job, field
from penstock.errors import DuplicateKind, UnknownKind
from penstock.model.kinds import find_class, known_kinds

OVERRIDES = """
{future}
from typing import ClassVar, Optional
from penstock import Job, field

class Base(Job, kind="overrides-base"):
    limit: int = field(10, ge=1, le=100, user_editable=True, description="How many.")
    name: Optional[str] = None

class Child(Base, kind="overrides-child"):
    priority = 30
    limit = 20
    name = "child"
    destroy_on_complete = False
    note: str = "own"
    LABELS: ClassVar[tuple] = ("a", "b")

class Grandchild(Child, kind="overrides-grandchild"):
    limit = 30
    note = "grand"
"""


@pytest.fixture(params=["", "from __future__ import annotations"], ids=["plain", "annotations as text"])
def overrides(request, monkeypatch):
    """A module of job classes, with annotations as values and as text."""
    module = types.ModuleType("overrides_of_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(OVERRIDES.format(future=request.param), module.__dict__)
    return module


class TestOverrides:
    def test_a_default_is_overridden_without_an_annotation(self, overrides):
        job = overrides.Child()
        assert (job.priority, job.limit, job.name, job.destroy_on_complete, job.note) == (30, 20, "child", False, "own")
        base = overrides.Base()
        assert (base.priority, base.limit, base.name) == (50, 10, None)

    def test_it_goes_on_to_subclasses_and_may_be_overridden_there(self, overrides):
        job = overrides.Grandchild()
        assert (job.priority, job.limit, job.note) == (30, 30, "grand")

    def test_constraints_stay(self, overrides):
        for wrong in ({"priority": 101}, {"limit": 0}, {"limit": "many"}):
            with pytest.raises(ValidationError):
                overrides.Grandchild(**wrong)
        job = overrides.Grandchild()
        with pytest.raises(ValidationError):
            job.limit = 101

    def test_facts_and_descriptions_stay(self, overrides):
        assert {"limit", "priority"} <= set(overrides.Grandchild.editable_fields())
        assert overrides.Grandchild.model_fields["limit"].description == "How many."

    def test_the_base_class_is_not_changed(self, overrides):
        assert overrides.Base.model_fields["limit"].default == 10
        assert Job.model_fields["priority"].default == 50

    def test_what_is_marked_as_a_class_variable_is_no_field(self, overrides):
        assert overrides.Child.LABELS == ("a", "b")
        assert "LABELS" not in overrides.Child.model_fields

    @pytest.mark.parametrize("wrong", [{"priority": 500}, {"priority": "high"}, {"destroy_on_complete": "perhaps"}])
    def test_a_wrong_default_is_refused(self, wrong):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            type("Wrong", (Job,), {"__module__": __name__, **wrong})()

    @pytest.mark.parametrize(
        ("member", "what"),
        [
            (lambda self: 5, "function"),
            (property(lambda self: 5), "property"),
            (classmethod(lambda cls: 5), "classmethod"),
            (staticmethod(lambda: 5), "staticmethod"),
            (int, "type"),
        ],
        ids=["method", "property", "classmethod", "staticmethod", "class"],
    )
    def test_a_field_cannot_become_something_else(self, member, what):
        with pytest.raises(TypeError, match=rf"Wrong\.priority: a field of a base class cannot become a {what}"):
            type("Wrong", (Job,), {"__module__": __name__, "priority": member})
        assert "Wrong" not in known_kinds()

    def test_a_field_may_be_declared_anew_with_another_type(self):
        class Narrow(Job):
            description: str = "needed"

        assert Narrow().description == "needed"
        with pytest.raises(ValidationError):
            Narrow(description=None)


class TestFields:
    def test_an_unknown_field_is_refused_by_name(self):
        class Plain(Job):
            size: int = 0

        with pytest.raises(ValidationError, match="sise"):
            Plain(sise=3)
        with pytest.raises(ValueError, match="sise"):
            Plain().sise = 3

    def test_a_field_without_a_default_is_required(self):
        class Needs(Job):
            path: str

        with pytest.raises(ValidationError, match="path"):
            Needs()

    def test_each_job_has_a_default_of_its_own(self):
        class Lists(Job):
            names: list[str] = field(default_factory=list)
            tags: list[str] = []  # noqa: RUF012

        first, second = Lists(), Lists()
        first.names.append("a")
        first.tags.append("a")
        assert (second.names, second.tags) == ([], [])

    def test_moments_must_have_a_zone(self):
        class Plain(Job):
            pass

        with pytest.raises(ValidationError, match="timezone"):
            Plain(run_at=datetime(2026, 1, 1))  # noqa: DTZ001
        assert Plain(run_at=datetime(2026, 1, 1, tzinfo=UTC)).run_at.year == 2026

    def test_standard_fields_that_a_person_may_change(self):
        assert set(Job.editable_fields()) == {
            "description", "priority", "run_at", "log_level", "throttle_group", "timeout",
        }  # fmt: skip


class TestKinds:
    def test_the_kind_is_the_name_of_the_class_unless_it_says_another(self):
        class Plain(Job):
            pass

        class Named(Job, kind="other.name"):
            pass

        assert (Plain.kind, Named.kind) == ("Plain", "other.name")
        assert find_class("Plain") is Plain
        assert find_class("other.name") is Named

    def test_a_subclass_has_a_kind_of_its_own(self):
        class Parent(Job, kind="parent"):
            pass

        class Child(Parent):
            pass

        assert Child.kind == "Child"

    def test_aliases_serve_older_jobs(self):
        class Renamed(Job, aliases=["OldName", "OlderName"]):
            pass

        assert find_class("OldName") is find_class("OlderName") is Renamed

    def test_an_unknown_kind_says_what_to_do(self):
        with pytest.raises(UnknownKind, match=r"'Nowhere' was imported; name its module with --app"):
            find_class("Nowhere")

    @pytest.mark.parametrize("given", [{"kind": "Taken"}, {"aliases": ["Taken"]}])
    def test_two_classes_of_one_kind_are_refused_and_both_named(self, given):
        type(Job)("Taken", (Job,), {"__module__": "first", "__qualname__": "Taken"})
        with pytest.raises(DuplicateKind, match=r"second\.Other and first\.Taken are both of kind 'Taken'"):
            type(Job)("Other", (Job,), {"__module__": "second", "__qualname__": "Other"}, **given)
        assert find_class("Taken").__module__ == "first"

    def test_a_refused_class_serves_nothing(self):
        type(Job)("Taken", (Job,), {"__module__": "first", "__qualname__": "Taken"})
        with pytest.raises(DuplicateKind):
            type(Job)("Other", (Job,), {"__module__": "second", "__qualname__": "Other"}, aliases=["Taken"])
        assert "Other" not in known_kinds()

    def test_a_class_defined_anew_takes_the_place_of_its_older_self(self):
        def define():
            class Again(Job):
                pass

            return Again

        first, second = define(), define()
        assert first is not second
        assert find_class("Again") is second

    def test_an_abstract_class_has_no_kind_to_find_and_its_subclasses_have(self):
        class Common(Job, abstract=True):
            shared: int = 1

        class Real(Common):
            pass

        assert "Common" not in known_kinds()
        assert find_class("Real") is Real
        assert not Real.abstract


class TestPerform:
    def test_an_async_perform_runs_to_its_end(self):
        class Later(Job, kind="classes.Later"):
            async def perform(self):
                await asyncio.sleep(0)
                return "done"

        assert Later().perform_now() == "done"

    def test_an_async_generator_is_refused(self):
        async def perform(self):
            yield 1

        with pytest.raises(TypeError, match="async"):
            type(Job)("Later", (Job,), {"__module__": __name__, "perform": perform})


class Size(StrEnum):
    BIG = "big"


class TestDocument:
    def test_fields_of_many_types_come_back_from_a_document(self, configured_store):
        class Typed(Job):
            size: Size
            day: date
            data: bytes
            nested: dict[str, list[int]]
            ratio: float
            text: str

        job = Typed.create(
            size=Size.BIG,
            day=date(2026, 1, 2),
            data=b"\x00\xff",
            nested={"a.b": [1]},
            ratio=float("inf"),
            text="zoë \U0001f600\n",
        )
        back = Typed.query.first()
        assert back == job
        assert (back.size, back.data, back.ratio) == (Size.BIG, b"\x00\xff", float("inf"))
