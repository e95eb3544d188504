"""Conditions on fields of every type that has an order, or can be equal."""

import math
import operator
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, FutureDatetime, NaiveDatetime, field_serializer

from penstock import Job, field
from penstock.errors import InvalidQuery
from penstock.model.comparing import comparable

pytestmark = pytest.mark.usefixtures("configured_store")

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
INDIA = timezone(timedelta(hours=5, minutes=30))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Price(Enum):
    LOW = Decimal("1.50")
    HIGH = Decimal("9.50")


ZONES = st.sampled_from([UTC, BERLIN, NEW_YORK, INDIA, ZoneInfo("UTC")])
NEAR = st.integers(-3, 3)  # So that values are often equal, and one apart.
LONGEST = timedelta(seconds=2**33 - 1)  # That a float tells to the microsecond.
WHOLE_SECONDS = st.timedeltas().map(lambda value: value - timedelta(microseconds=value.microseconds))
ORDERED = {
    "int": (int, st.integers(-(2**63), 2**63 - 1) | NEAR),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False) | NEAR.map(float)),
    "str": (str, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)),
    "Decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-1, 1, places=1)),
    "date": (date, NEAR.map(lambda days: date(2026, 1, 4) + timedelta(days))),
    "time": (time, st.times()),
    "naive": (NaiveDatetime, st.datetimes() | NEAR.map(lambda micros: datetime(2026, 1, 1) + timedelta(0, 0, micros))),  # noqa: DTZ001
    "aware": (
        AwareDatetime,
        st.builds(lambda hours, zone: (NOON + timedelta(hours=hours)).astimezone(zone), NEAR, ZONES)
        | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=ZONES),  # noqa: DTZ001
    ),
    "timedelta": (timedelta, st.timedeltas(-LONGEST, LONGEST) | NEAR.map(timedelta) | WHOLE_SECONDS),
    "bool": (bool, st.booleans()),
}
EQUAL = {
    "bytes": (bytes, st.binary(max_size=1)),
    "UUID": (UUID, NEAR.map(lambda number: UUID(int=number + 3))),
    "StrEnum": (Colour, st.sampled_from(Colour)),
    "Enum": (Price, st.sampled_from(Price)),
}
SIGNS = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
for_each_store = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def job_class(annotation):
    return type(Job)(
        "Compared", (Job,), {"__module__": __name__, "__annotations__": {"value": annotation}, "value": None}
    )


def found(cls, **condition):
    return [job.value for job in cls.query.where(**condition)]


def check_all(annotation, values, signs):
    cls = job_class(annotation | None)

    @for_each_store
    @given(st.lists(values | st.none(), max_size=8), values)
    def check(stored, asked):
        cls.query.destroy()
        cls.create_many([{"value": value} for value in [*stored, asked]])
        for sign in signs:
            expected = [
                value for value in [*stored, asked] if (sign == "ne" if value is None else SIGNS[sign](value, asked))
            ]
            assert found(cls, **{f"value__{sign}": asked}) == expected, sign
        assert found(cls, value__in=[asked]) == found(cls, value=asked)

    check()


@pytest.mark.parametrize("name", ORDERED)
def test_conditions_find_what_python_finds(name):
    check_all(*ORDERED[name], SIGNS)


@pytest.mark.parametrize("name", EQUAL)
def test_what_has_no_order_is_equal_or_not(name):
    check_all(*EQUAL[name], ("eq", "ne"))


@pytest.mark.parametrize("name", [name for name in ORDERED if name != "time"])
def test_jobs_are_put_in_the_order_that_python_gives(name):
    annotation, values = ORDERED[name]
    cls = job_class(annotation)

    @for_each_store
    @given(st.lists(values, max_size=8))
    def check(stored):
        cls.query.destroy()
        cls.create_many([{"value": value} for value in stored])
        assert [job.value for job in cls.query.order_by("value")] == sorted(stored)
        assert [job.value for job in cls.query.order_by("-value")] == sorted(stored, reverse=True)

    check()


class TestSpecialValues:
    def test_moments_of_one_instant_are_equal_whatever_their_zone(self):
        cls = job_class(datetime)
        for zone in (UTC, BERLIN, NEW_YORK, INDIA):
            cls.create(value=NOON.astimezone(zone))
        cls.create(value=NOON.replace(tzinfo=None))
        assert cls.query.where(value=NOON.astimezone(BERLIN)).count() == 4
        assert cls.query.where(value=NOON.replace(tzinfo=None)).count() == 1
        assert cls.query.where(value__in=[NOON, NOON.replace(tzinfo=None)]).count() == 5
        assert cls.query.where(value__ne=NOON).count() == 1

    def test_a_moment_may_be_compared_with_those_its_field_would_not_take(self):
        cls = job_class(FutureDatetime | None)
        cls.create(value=datetime(2999, 1, 1, tzinfo=UTC))
        assert cls.query.where(value__gt=NOON).count() == 1
        with pytest.raises(InvalidQuery, match="value"):
            cls.query.where(value__gt="tomorrow")

    def test_decimals_are_compared_by_value_and_exactly(self):
        cls = job_class(Decimal)
        for text in ("1.5", "1.50", "10", "9.99999999999999999999", "-1E+3"):
            cls.create(value=Decimal(text))
        assert list(map(str, found(cls, value=Decimal("1.500")))) == ["1.5", "1.50"]
        assert list(map(str, found(cls, value__lt=10))) == ["1.5", "1.50", "9.99999999999999999999", "-1E+3"]
        assert list(map(str, found(cls, value__in=["10.0", 1.5]))) == ["1.5", "1.50", "10"]

    @pytest.mark.parametrize("kind", [float, Decimal])
    def test_numbers_that_are_not_finite_are_where_they_belong(self, kind):
        class Compared(Job):
            value: kind = field(kind(0), allow_inf_nan=True)

        for text in ("nan", "-inf", "1", "inf"):
            Compared.create(value=kind(text))

        def texts(**condition):
            return [str(float(value)) for value in found(Compared, **condition)]

        assert texts(value__gt=kind("0.5")) == texts(value__ge=kind(1)) == ["1.0", "inf"]
        assert texts(value__lt=kind("1.5")) == texts(value__le=kind(1)) == ["-inf", "1.0"]
        assert texts(value=kind("inf")) == ["inf"]
        assert texts(value__in=[kind("-inf"), kind(1)]) == ["-inf", "1.0"]

    def test_a_number_that_is_not_is_asked_for_by_name(self):
        cls = job_class(float)
        for value in (math.nan, 1.0, math.inf):
            cls.create(value=value)
        assert str(found(cls, value=math.nan)) == "[nan]"
        with pytest.raises(InvalidQuery, match="less or greater than inf"):
            found(cls, value__lt=math.inf)

    def test_fields_of_several_types_are_compared_with_values_of_each(self):
        cls = job_class(int | float | str | None)
        for value in (1, 1.5, "1", None):
            cls.create(value=value)
        assert (found(cls, value=1), found(cls, value=1.5), found(cls, value="1")) == ([1], [1.5], ["1"])
        assert found(cls, value__gt=0) == [1, 1.5, "1"]  # Text comes after all numbers, as in SQLite.

    def test_fields_of_any_type_are_compared_with_what_json_has(self):
        cls = job_class(Any)
        for value in (1, "1", True, (1,)):
            cls.create(value=value)
        assert found(cls, value="1") == ["1"]
        with pytest.raises(InvalidQuery, match=r"where\(value=…\): values of type tuple cannot be compared"):
            found(cls, value=(1,))

    def test_the_form_in_which_a_class_writes_a_field_is_what_is_compared(self):
        class Compared(Job):
            value: int = 0

            @field_serializer("value")
            def _as_text(self, value):
                return f"no. {value}"

        Compared.create(value=3)
        assert Compared.query.where(value=3).count() == 1

    def test_asking_makes_no_default(self):
        def never():
            raise AssertionError

        class Compared(Job):
            value: int = 0
            other: int = field(default_factory=never)

        assert Compared.query.where(value=3).count() == 0

    def test_a_field_may_have_any_name(self):
        class Compared(Job):
            convert: int = 0

        Compared.create(convert=3)
        assert Compared.query.where(convert=3).count() == 1


@pytest.mark.parametrize(
    ("annotation", "value", "says"),
    [
        (str, "a\0b", "NUL"),
        (int, 2**63, "64 bits"),
        (int, -(2**70), "64 bits"),
        (timedelta, LONGEST + timedelta(days=1, microseconds=1), "272 years"),
        (list[int], [1], "list"),
        (set[int], {1}, "set"),
        (dict[str, int], {"a": 1}, "dict"),
        (range, range(3), "range"),
        (re.Pattern, re.compile("a", re.IGNORECASE), "Pattern"),
        (date | str, date(2026, 1, 1), "date"),
        (int, "many", "valid integer"),
        (AwareDatetime, datetime(2026, 1, 1), "timezone"),  # noqa: DTZ001
        (Any, object(), "cannot be stored"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_store_can_compare_is_refused_with_the_field(annotation, value, says):
    with pytest.raises(InvalidQuery, match=rf"where\(value=…\).*{says}"):
        job_class(annotation).query.where(value=value)


@pytest.mark.sqlite("a plan of SQLite")
def test_an_index_of_moments_is_used(configured_store):
    class Compared(Job):
        value: AwareDatetime = field(NOON, indexed=True)

    Compared.create()
    assert Compared.query.where(value=NOON.astimezone(INDIA)).count() == 1
    from penstock.query import Query
    from penstock.store.sqlite.convert import condition

    query = Query().where(lambda name, value: comparable(Compared, name, value), value=NOON)
    part, values = condition(query.filters[0])
    with configured_store.connections.reading() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {part}", values).fetchall()
    assert any("USING INDEX" in str(line) for line in plan)
