"""Fields of every type: what goes into the store comes out, with its type and its zone, and is written the same."""

import io
import json
import math
import re
import struct
import subprocess
import sys
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AllowInfNan,
    AwareDatetime,
    BaseModel,
    Field,
    FutureDate,
    FutureDatetime,
    JsonValue,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypeAliasType, TypedDict

from penstock import Job, field
from penstock.model.job import load_job
from penstock.model.schemas import UNCHANGED
from penstock.model.storable import make_storable
from penstock.model.tagged import MAX_DEPTH

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
INDIA = timezone(timedelta(hours=5, minutes=30))


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Right(Flag):
    READ = 1
    WRITE = 2


class Odd(Enum):
    """Values that JSON does not have, or has another of."""

    PAIR = (1, 2)
    NOTHING = None
    PRICE = Decimal("1.50")
    NUMBER = 1.5


class Mixed(Enum):
    TEXT = "1"
    NUMBER = 1


class Row(BaseModel):
    number: int = 1


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


class Unknown(tzinfo):
    """A zone that no other process would know."""

    def utcoffset(self, moment):
        return timedelta(hours=1)

    def dst(self, moment):
        return None


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.timezones(),
    st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds))),
    st.just(timezone(timedelta(microseconds=1))),
)
FOLDS = st.sampled_from([0, 1])
MOMENTS = st.builds(lambda value, fold: value.replace(fold=fold), st.datetimes(timezones=ZONES), FOLDS)
TIMES = st.builds(lambda value, fold: value.replace(fold=fold), st.times(timezones=ZONES), FOLDS)
STEPS = st.integers(-(10**20), 10**20).filter(bool)
RANGES = st.builds(range, st.integers(), st.integers(), STEPS)
FLAGS = st.sets(st.sampled_from([re.IGNORECASE, re.MULTILINE, re.DOTALL, re.VERBOSE, re.ASCII]), max_size=3).map(sum)
PATTERNS = st.builds(lambda text, flags: re.compile(re.escape(text), flags), TEXT, FLAGS)
BYTES_PATTERNS = st.builds(lambda text, flags: re.compile(re.escape(text), flags), st.binary(), FLAGS)
INTEGERS = st.one_of(st.integers(), st.integers(-(1 << 200), 1 << 200), st.sampled_from([10**400, 1 - 10**400]))

TYPES = {
    "str": (str, TEXT),
    "int": (int, INTEGERS),
    "float": (float, st.floats()),
    "bool": (bool, st.booleans()),
    "bytes": (bytes, st.binary()),
    "Decimal": (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    "Decimal with NaN": (Annotated[Decimal, AllowInfNan()], st.decimals()),
    "date": (date, st.dates()),
    "time": (time, TIMES),
    "datetime": (datetime, MOMENTS),
    "AwareDatetime": (AwareDatetime, MOMENTS.filter(lambda value: value.tzinfo is not None)),
    "NaiveDatetime": (NaiveDatetime, st.builds(lambda value, fold: value.replace(fold=fold), st.datetimes(), FOLDS)),
    "timedelta": (timedelta, st.timedeltas()),
    "UUID": (UUID, st.uuids()),
    "StrEnum": (Colour, st.sampled_from(Colour)),
    "IntEnum": (Level, st.sampled_from(Level)),
    "Flag": (Right, st.sampled_from([Right(0), Right.READ, Right.READ | Right.WRITE])),
    "Enum": (Odd, st.sampled_from(Odd)),
    "mixed Enum": (Mixed, st.sampled_from(Mixed)),
    "range": (range, RANGES),
    "Pattern": (re.Pattern, st.one_of(PATTERNS, BYTES_PATTERNS)),
    "Pattern[str]": (re.Pattern[str], PATTERNS),
    "Pattern[bytes]": (re.Pattern[bytes], BYTES_PATTERNS),
}
HASHABLE = [name for name in TYPES if name != "Decimal with NaN"]  # A signalling NaN has no hash.
SCALARS = st.one_of(
    st.none(),
    st.decimals(),
    *(TYPES[name][1] for name in TYPES if TYPES[name][0] in {str, int, float, bool, bytes, date, time, datetime}),
    *(TYPES[name][1] for name in ("timedelta", "UUID", "range", "Pattern")),
)
KEYS = SCALARS.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))
LOOK_ALIKES = st.one_of(
    st.builds(lambda tag, value: {f"${tag}": value}, st.sampled_from(["decimal", "dict", "set", "", "x"]), TEXT),
    st.just({"$dict": [[1, 2]]}),
)
VALUES = st.recursive(
    st.one_of(SCALARS, LOOK_ALIKES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(KEYS, max_size=3),
        st.frozensets(KEYS, max_size=3),
        st.dictionaries(TEXT, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=10,
)

through_the_store = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def label(value):
    """Return a name for a parameter that is the same in every process."""
    is_value = type(value).__module__ in ("builtins", "re", __name__) and not isinstance(
        value, type | types.GenericAlias
    )
    return type(value).__name__ if is_value or isinstance(value, date | time | timedelta) else str(value)


def exactly(value):
    """Return what tells a value from all others: equal is not enough, 1 equals 1.0 and noon here noon there."""
    if isinstance(value, datetime | time):
        return type(value), value.replace(tzinfo=None), value.fold, type(value.tzinfo), value.tzinfo
    if isinstance(value, AbstractSet):
        return type(value), frozenset(map(exactly, value))
    if isinstance(value, Mapping):
        return type(value), tuple((exactly(key), exactly(item)) for key, item in value.items())
    if isinstance(value, list | tuple | deque):
        return type(value), tuple(map(exactly, value))
    return type(value), repr(value) if isinstance(value, float | Decimal | range) else value


def job_class(annotation, default=...):
    """Return a job class with one field, `value`."""
    body = {"__module__": __name__, "__annotations__": {"value": annotation}}
    return type(Job)("Holder", (Job,), body if default is ... else {**body, "value": default})


def read_again(job, store):
    return load_job(store.job(job.id))


def assert_comes_back(job, store):
    """Save a job, read it again, and see that it is what it was, and that nothing about it is new."""
    job.save()
    back = read_again(job, store)
    assert exactly(back.value) == exactly(job.value)
    assert (job.changed_values(), back.changed_values()) == ({}, {})
    assert back.document() == job.document()
    return back


def assert_keeps(cls, first, second, store):
    """See that a value comes back from a new job, and another from a change of it."""
    job = cls(value=first)
    assert exactly(job.value) == exactly(first)
    back = assert_comes_back(job, store)
    back.value = second
    assert exactly(assert_comes_back(back, store).value) == exactly(second)


class TestComingBack:
    @pytest.mark.parametrize("name", TYPES)
    def test_a_value_comes_back_with_its_type_and_zone(self, name, configured_store):
        annotation, values = TYPES[name]
        cls = job_class(annotation)

        @through_the_store
        @given(values, values)
        def check(first, second):
            assert_keeps(cls, first, second, configured_store)

        check()

    @pytest.mark.parametrize("name", TYPES)
    def test_it_does_in_containers_and_where_it_may_be_missing(self, name, configured_store):
        annotation, values = TYPES[name]
        inside = tuple[
            annotation | None, list[annotation], dict[str, annotation | None], tuple[annotation, int],
            tuple[annotation, ...], list[tuple[dict[str, annotation], ...]], deque[annotation],
        ]  # fmt: skip
        cls = job_class(inside)
        keys = st.one_of(TEXT, st.sampled_from(["a.b", "$date", "$dict"]))
        contents = st.tuples(
            st.none() | values, st.lists(values, max_size=3), st.dictionaries(keys, st.none() | values, max_size=3),
            st.tuples(values, st.integers()), st.lists(values, max_size=3).map(tuple),
            st.lists(st.tuples(st.dictionaries(keys, values, max_size=2)), max_size=2),
            st.lists(values, max_size=2).map(deque),
        )  # fmt: skip

        @through_the_store
        @given(contents, contents)
        def check(first, second):
            assert_keeps(cls, first, second, configured_store)

        check()

    @pytest.mark.parametrize("name", HASHABLE)
    def test_it_does_in_sets_and_as_a_key(self, name, configured_store):
        annotation, values = TYPES[name]
        cls = job_class(tuple[set[annotation], frozenset[annotation | None], dict[annotation, int]])
        contents = st.tuples(
            st.sets(values, max_size=4),
            st.frozensets(st.none() | values, max_size=4),
            st.dictionaries(values, st.integers(), max_size=4),
        )

        @through_the_store
        @given(contents, contents)
        def check(first, second):
            assert_keeps(cls, first, second, configured_store)

        check()

    @pytest.mark.parametrize("annotation", [Any, object, Any | None, Annotated[Any, "about it"]], ids=label)
    def test_a_value_of_any_type_comes_back_with_its_type(self, annotation, configured_store):
        cls = job_class(annotation)

        @through_the_store
        @given(VALUES, VALUES)
        @example({"$decimal": "1.50"}, {"$dict": [["$dict", []]]})
        @example([(), set(), frozenset(), {}, {None: 1}], {(1, (2,)): {frozenset({1}): {b""}}})
        def check(first, second):
            assert_keeps(cls, first, second, configured_store)

        check()

    @pytest.mark.parametrize(
        ("annotation", "values"),
        [
            (list, st.lists(VALUES, max_size=3)),
            (typing.List, st.lists(VALUES, max_size=3)),  # noqa: UP006
            (tuple, st.lists(VALUES, max_size=3).map(tuple)),
            (set, st.sets(KEYS, max_size=3)),
            (frozenset, st.frozensets(KEYS, max_size=3)),
            (dict, st.one_of(LOOK_ALIKES, st.dictionaries(KEYS, VALUES, max_size=3))),
            (dict[str, Any], st.one_of(LOOK_ALIKES, st.dictionaries(TEXT, VALUES, max_size=3))),
            (dict[Any, int], st.dictionaries(KEYS, st.integers(), max_size=3)),
            (list[dict[str, tuple[Any, ...]]], st.lists(st.dictionaries(TEXT, st.tuples(VALUES)), max_size=2)),
        ],
        ids=label,
    )
    def test_what_is_in_a_container_without_a_type_comes_back_with_its_own(self, annotation, values, configured_store):
        cls = job_class(annotation)

        @through_the_store
        @given(values, values)
        def check(first, second):
            assert_keeps(cls, first, second, configured_store)

        check()

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (tuple[()], ()),
            (list[int], [10**4299, 1 - 10**4300]),
            (Sequence[datetime], [datetime(2026, 1, 1, tzinfo=BERLIN)]),
            (Mapping[tuple[int, int], time], {(1, 2): time(3, tzinfo=BERLIN)}),
            (defaultdict[str, set[int]], defaultdict(set, {"a": {1}})),
            (OrderedDict[str, range], OrderedDict(b=range(1), a=range(2))),
            (dict[str, list[dict[str, set[datetime]]]], {"a.b": [{"": {datetime(2026, 1, 1, tzinfo=INDIA)}}]}),
            (NewType("Moment", datetime), datetime(2026, 1, 1, tzinfo=BERLIN)),
            (TypeAliasType("Moment", datetime | None), datetime(2026, 1, 1, tzinfo=BERLIN)),
            (TypeAliasType("Names", set[str]) | None, {"b", "a"}),
            (JsonValue, {"a": [1, None, "x"]}),
            (PastDatetime, datetime(2020, 1, 1, tzinfo=BERLIN)),
            (PastDate, date(2020, 1, 1)),
            (Literal["a", 1, None], 1),
            (Row, Row(number=3)),
            (Point | None, Point(1)),
            (list[Named], [{"name": "a"}]),
        ],
        ids=label,
    )
    def test_so_does_what_is_less_usual(self, annotation, value, configured_store):
        assert_keeps(job_class(annotation), value, value, configured_store)

    def test_a_moment_in_the_hour_that_comes_twice_keeps_which_it_was(self, configured_store):
        for fold in (0, 1):
            job = job_class(AwareDatetime)(value=datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=fold))
            back = assert_comes_back(job, configured_store)
            assert back.value.tzinfo is NEW_YORK
            assert back.value.utcoffset() == timedelta(hours=-4 - fold)

    def test_values_given_as_text_come_back_as_they_were_understood(self, configured_store):
        cls = job_class(tuple[datetime, datetime, time, timedelta, re.Pattern[str]])
        job = cls(value=("2026-01-01T12:00:00+05:30", "2026-01-01T12:00:00Z", "12:00+01:00", "PT90S", "a+"))
        assert [type(value.tzinfo) for value in job.value[:3]] == [timezone] * 3
        assert assert_comes_back(job, configured_store).value[0].tzinfo == INDIA

    def test_a_default_that_is_a_value_of_these_types_comes_back(self, configured_store):
        for annotation, default in (
            (datetime, datetime(2026, 1, 1, tzinfo=BERLIN)),
            (Any, {1: (2,)}),
            (range, range(3)),
        ):
            assert_comes_back(job_class(annotation, default)(), configured_store)

    def test_a_stored_job_without_the_field_has_its_default(self, configured_store):
        row = configured_store.job(job_class(int)(value=1).save().id)
        row.fields = "{}"
        for annotation, default in ((set[Any], {(1,), "a"}), (datetime | str, datetime(2026, 1, 1)), (Odd, Odd.PAIR)):  # noqa: DTZ001
            job_class(annotation, default)
            assert exactly(load_job(row).value) == exactly(default)

    def test_a_value_changed_in_place_is_written_and_comes_back(self, configured_store):
        job = job_class(dict[str, set[Any]])(value={"a": {1}}).save()
        job.value["a"].add((2, b"x"))
        assert_comes_back(job, configured_store)


UNIONS = [
    (int | str, [1, "1"]),
    (int | float, [1, 1.0, math.nan, -math.inf]),
    (bool | int | None, [True, 1, None]),
    (float | str, [math.nan, "NaN", "nan", 1.5, "1.5", math.inf]),
    (float | int | str | None, [1, 1.0, "1", None, -math.inf, "-Infinity"]),
    (str | bytes, [b"YQ==", "YQ==", "$bytes"]),
    (date | str, [date(2026, 1, 1), "2026-01-01"]),
    (datetime | date, [datetime(2026, 1, 1), date(2026, 1, 1)]),  # noqa: DTZ001
    (date | datetime, [datetime(2026, 1, 1, tzinfo=BERLIN), date(2026, 1, 1)]),
    (datetime | time | None, [datetime(2026, 1, 1, tzinfo=BERLIN), time(1, tzinfo=INDIA), None]),
    (date | int, [date(2026, 1, 1), 5]),
    (timedelta | int | float, [timedelta(seconds=1), 1, 1.0, timedelta(microseconds=1)]),
    (UUID | Decimal | str, [UUID(int=1), Decimal("1.50"), "1.50", str(UUID(int=1))]),
    (Colour | str, [Colour.RED, "red"]),
    (Colour | Level | None, [Colour.RED, Level.LOW, None]),
    (Odd | str | None, [Odd.NOTHING, Odd.PAIR, "PAIR", None]),
    (Literal["today"] | date, ["today", date(2026, 1, 1)]),
    (list[int] | set[int], [[1], {1}, []]),
    (list[int] | tuple[int, ...] | frozenset[int], [[1], (1,), frozenset({1})]),
    (range | list[int], [range(3), [0, 3, 1]]),
    (list[date] | list[str], [[date(2026, 1, 1)], ["2026-01-01"]]),
    (dict[str, int] | dict[str, date], [{"a": 1}, {"a": date(2026, 1, 1)}, {"$date": 1}, {"$dict": date(2026, 1, 1)}]),
    (dict[str, Any] | list[Any] | str | float | None, [{"$set": [1]}, [(1,), {"a": math.nan}], "NaN", math.nan, None]),
    (re.Pattern | date | dict[str, str], [re.compile("a", re.IGNORECASE), date(2026, 1, 1), {"pattern": "a"}]),
    (dict[int | str, str], [{1: "a", "1": "b"}, {"1": "a"}, {"$dict": "x"}]),
    (dict[tuple[int, date] | None, set[str]], [{(1, date(2026, 1, 1)): {"a"}, None: set()}]),
    (int | Any, [1, Decimal("1"), (1,)]),
    (Row | datetime, [Row(number=2), datetime(2026, 1, 1, tzinfo=BERLIN)]),
    (list[date | str] | None, [[date(2026, 1, 1), "2026-01-01"], None]),
    (Annotated[date, Field(description="a day")] | str, [date(2026, 1, 1), "2026-01-01"]),
]


class TestUnions:
    @pytest.mark.parametrize(("annotation", "values"), UNIONS, ids=label)
    def test_each_member_comes_back_as_itself(self, annotation, values, configured_store):
        cls = job_class(annotation)
        for value in values:
            assert_keeps(cls, value, value, configured_store)

    @pytest.mark.parametrize(("annotation", "values"), UNIONS, ids=label)
    def test_and_in_containers(self, annotation, values, configured_store):
        cls = job_class(tuple[list[annotation], dict[str, annotation]])
        inside = (values, {str(number): value for number, value in enumerate(values)})
        assert_keeps(cls, inside, inside, configured_store)

    def test_models_are_told_apart_by_pydantic(self, configured_store):
        class Cat(BaseModel):
            kind: Literal["cat"] = "cat"

        class Dog(BaseModel):
            kind: Literal["dog"] = "dog"

        cls = job_class(Annotated[Cat | Dog, Field(discriminator="kind")])
        for value in (Cat(), Dog()):
            assert_keeps(cls, value, value, configured_store)


class TestForms:
    @pytest.mark.parametrize(
        ("annotation", "value", "form"),
        [
            (datetime, datetime(2026, 1, 1, 15, tzinfo=UTC), "2026-01-01T15:00:00.000000Z"),
            (datetime, datetime(2026, 1, 1, 10, tzinfo=NEW_YORK), "2026-01-01T15:00:00.000000Z[America/New_York]"),
            (datetime, datetime(2026, 1, 1, 20, 30, tzinfo=INDIA), "2026-01-01T15:00:00.000000Z[+05:30]"),
            (datetime, datetime(2026, 1, 1, 15), "2026-01-01 15:00:00.000000"),  # noqa: DTZ001
            (time, time(1, 2, tzinfo=BERLIN), "01:02:00.000000[Europe/Berlin]"),
            (time, time(1, 2, tzinfo=UTC), "01:02:00.000000Z"),
            (timedelta, timedelta(minutes=1, microseconds=500), 60.0005),
            (timedelta, timedelta(days=-1), -86_400),
            (set[int], {10, 9, 1}, [1, 9, 10]),
            (set[str | None], {"b", "a", None}, ["a", "b", None]),
            (range, range(1, 9, 2), [1, 9, 2]),
            (re.Pattern, re.compile("a"), "a"),
            (re.Pattern, re.compile("a", re.I | re.M), {"pattern": "a", "flags": "im"}),
            (Odd, Odd.PAIR, "PAIR"),
            (float, math.nan, "NaN"),
            (Any, Decimal("1.50"), {"$decimal": "1.50"}),
            (Any, {"$decimal": "1.50"}, {"$dict": [["$decimal", "1.50"]]}),
            (Any, {"a": (1, b"x")}, {"a": {"$tuple": [1, {"$bytes": "eA=="}]}}),
            (dict[str, Any], {"$decimal": "1.50"}, {"$decimal": "1.50"}),
            (dict[tuple[int, int], str], {(1, 2): "a"}, {"$dict": [[[1, 2], "a"]]}),
            (date | str, date(2026, 1, 1), {"$date": "2026-01-01"}),
            (date | int, date(2026, 1, 1), "2026-01-01"),
        ],
        ids=label,
    )
    def test_values_are_written_so(self, annotation, value, form):
        assert json.loads(job_class(annotation)(value=value).document())["value"] == form

    def test_in_python_a_dump_has_the_values_themselves(self):
        value = {"a": {1, 2}, "b": (datetime(2026, 1, 1, tzinfo=BERLIN), range(3))}
        assert job_class(Any)(value=value).model_dump()["value"] == value
        assert job_class(tuple[set[date | str], range])(value=({"a"}, range(3))).model_dump()["value"] == (
            {"a"},
            range(3),
        )

    def test_the_same_values_are_written_the_same_in_every_process(self, tmp_path):
        script = (
            "import sys\n"
            "from datetime import date\n"
            "from typing import Any\n"
            "import penstock\n"
            "from penstock import Job\n"
            "class Bag(Job):\n"
            "    words: set[str] = set('abcdefghij')\n"
            "    days: frozenset[date | str] = frozenset({date(2026, 1, 1), 'x', 'y', date(2026, 1, 2)})\n"
            "    nested: dict[str, Any] = {'a': [{b'1', 'b', 2, None, (1, frozenset('xyz'))}]}\n"
            "    keys: dict[tuple[str, ...], set[tuple[int, str]]] = {('a',): {(n, 'x') for n in range(9)}}\n"
            f"penstock.configure(store='sqlite:///{tmp_path}/bags.db')\n"
            "job = Bag.query.first() or Bag.create()\n"
            "assert job.changed_values() == {}, job.changed_values()\n"
            "print(job.document(), Bag().document() == job.document())\n"
        )
        answers = {
            subprocess.run(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in "123"
        }
        assert len(answers) == 1
        assert answers.pop().endswith("True\n")


class TestPython:
    """In Python a field takes what pydantic takes, and means by it what pydantic means."""

    GIVEN = (
        None, True, 0, 1, 1.0, "1", "red", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "PT1M", "12:00",
        "a+", b"red", b"1", [1], (1,), {1}, frozenset({1}), ["2026-01-01"], [1, 2, 1], {"a": 1}, {1: 1}, {"$date": 1},
        Decimal(1), date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=BERLIN), timedelta(1), UUID(int=1), Colour.RED,
        Odd.PAIR, re.compile("a"), 1j,
    )  # fmt: skip

    @pytest.mark.parametrize(
        "annotation",
        [found for found, _ in UNIONS if {Any, range}.isdisjoint(typing.get_args(found))]
        + [found for found, _ in TYPES.values() if found is not range]
        + [set[int], frozenset[str], list[date], dict[int, set[int]], dict[tuple[int, ...], int], tuple[time, ...]]
        + [AbstractSet[int], Sequence[datetime], Annotated[timedelta, Field(gt=timedelta(0))]]
        + [Annotated[set[int], Field(min_length=2)], Annotated[datetime, Field(strict=True)]],
        ids=label,
    )
    def test_values_are_taken_and_refused_as_pydantic_does(self, annotation):
        plain, storable = TypeAdapter(annotation), TypeAdapter(make_storable(annotation))
        for value in self.GIVEN:
            assert self.taken(storable, value) == self.taken(plain, value), value

    def taken(self, adapter, value):
        try:
            result = adapter.validate_python(value)
        except ValidationError as error:
            return "refused", {found["type"] for found in error.errors()}
        return json.loads(json.dumps(repr(self.with_zones_of_the_library(result))))

    def with_zones_of_the_library(self, value):
        # pydantic's own class of offsets, which means the same, is what we turn into the library's.
        if isinstance(value, datetime | time) and value.utcoffset() is not None and type(value.tzinfo) is not ZoneInfo:
            return value.replace(tzinfo=timezone(value.utcoffset()))
        if isinstance(value, list | tuple):
            return type(value)(map(self.with_zones_of_the_library, value))
        return value

    def test_what_was_in_the_future_when_it_was_set_stands_when_all_is_checked_again(self):
        cls, then = job_class(tuple[int, FutureDate] | FutureDatetime), datetime(2020, 1, 1, tzinfo=UTC)
        for names in ({"value"}, cls.model_fields.keys()):
            assert cls.model_validate({"value": then}, context={UNCHANGED: names}).value == then
        for context in (None, {}, {UNCHANGED: {"priority"}}, "theirs"):
            with pytest.raises(ValidationError, match="future"):
                cls.model_validate({"value": then}, context=context)

    def test_a_json_schema_can_be_made(self):
        for annotation, _ in [*TYPES.values(), *UNIONS, (set[Any], ()), (dict, ()), (FutureDate, ())]:
            cls = job_class(annotation)
            assert all(
                "value" in cls.model_json_schema(mode=mode)["properties"] for mode in ("validation", "serialization")
            )

    def test_a_range_takes_ranges_only(self):
        cls = job_class(range)
        assert cls(value=range(3)).value == range(3)
        for wrong in ([0, 3, 1], "0-3", 3):
            with pytest.raises(ValidationError, match="value"):
                cls(value=wrong)

    def test_what_looks_like_a_tag_is_a_dict(self):
        assert job_class(Any)(value={"$date": "2026-01-01"}).value == {"$date": "2026-01-01"}
        assert job_class(dict[str, str] | date)(value={"$date": "2026-01-01"}).value == {"$date": "2026-01-01"}

    def test_a_value_of_any_type_is_left_as_it_is(self):
        value = [{"a": {1}}]
        assert job_class(Any)(value=value).value is value

    @pytest.mark.parametrize(
        ("annotation", "then"),
        [(FutureDatetime, datetime(2020, 1, 1, tzinfo=BERLIN)), (FutureDate | None, date(2020, 1, 1))],
        ids=label,
    )
    def test_what_must_lie_in_the_future_may_have_passed_when_it_is_read(self, annotation, then, configured_store):
        row = configured_store.job(job_class(type(then))(value=then).save().id)
        cls = job_class(annotation)
        job = load_job(row)
        assert (type(job), exactly(job.value)) == (cls, exactly(then))
        with pytest.raises(ValidationError, match="future"):
            cls(value=then)
        with pytest.raises(ValidationError, match="future"):
            job.value = then

    @pytest.mark.parametrize(
        ("annotation", "wrong", "says"),
        [
            (PastDatetime, datetime(2999, 1, 1), "past"),  # noqa: DTZ001
            (PastDate | None, date(2999, 1, 1), "past"),
            (AwareDatetime, datetime(2026, 1, 1), "timezone"),  # noqa: DTZ001
            (NaiveDatetime, datetime(2026, 1, 1, tzinfo=UTC), "timezone"),
            (Annotated[timedelta, Field(gt=timedelta(0))], timedelta(0), "greater"),
            (Annotated[dict[Any, int], Field(min_length=1)], {}, "at least 1"),
            (Annotated[set[str], Field(max_length=1)], {"a", "b"}, "at most 1"),
            (set[Annotated[int, Field(lt=5)]], {5}, "less than 5"),
        ],
        ids=label,
    )
    def test_checks_and_constraints_stay(self, annotation, wrong, says):
        with pytest.raises(ValidationError, match=says):
            job_class(annotation)(value=wrong)

    def test_a_constraint_of_the_field_stays(self):
        class Limited(Job):
            gap: timedelta = field(timedelta(1), ge=timedelta(0))
            names: set[str] = field(default_factory=set, max_length=2)

        for wrong in ({"gap": timedelta(-1)}, {"names": {"a", "b", "c"}}):
            with pytest.raises(ValidationError, match=next(iter(wrong))):
                Limited(**wrong)


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "named"),
        [
            (object(), r"builtins\.object"),
            (1j, r"builtins\.complex"),
            (Colour.RED, r"test_storable\.Colour cannot be stored; use one of Decimal"),
            (Row(), r"test_storable\.Row"),
            (Counter(), r"collections\.Counter"),
            ([{"a": (object(),)}], r"builtins\.object"),
            ({object(): 1}, r"builtins\.object"),
            ({frozenset({1j})}, r"builtins\.complex"),
            (datetime(2026, 1, 1, tzinfo=Unknown()), "time zone of type .*Unknown cannot be stored; use zoneinfo"),
            ("a\ud800", r"lone surrogate '\\ud800' at position 1"),
            ({"\ud800": 1}, "lone surrogate"),
            (10**4300, "more than 4300 digits"),
        ],
        ids=label,
    )
    def test_what_would_not_come_back_is_refused_with_the_field_and_the_type(self, value, named):
        cls = job_class(Any, None)
        with pytest.raises(ValidationError, match=rf"(?s)1 validation error for Holder\nvalue\n.*{named}"):
            cls(value=value)
        with pytest.raises(ValidationError, match=named):
            cls().value = value

    def test_what_holds_itself_is_refused(self):
        value = []
        value.append(value)
        with pytest.raises(ValidationError, match=f"more than {MAX_DEPTH} deep"):
            job_class(Any)(value=value)

    @pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {1: v}, lambda v: (v,)], ids=["list", "dict", "tuple"])
    def test_as_deep_as_is_allowed_comes_back(self, wrap, configured_store):
        value = None
        for _ in range(MAX_DEPTH):
            value = wrap(value)
        assert_keeps(job_class(Any), value, value, configured_store)

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (datetime, datetime(2026, 1, 1, tzinfo=Unknown())),
            (datetime | str, datetime(2026, 1, 1, tzinfo=Unknown())),
            (list[time], [time(1, tzinfo=Unknown())]),
        ],
        ids=label,
    )
    def test_a_zone_that_no_other_process_knows_is_refused(self, annotation, value):
        with pytest.raises(ValidationError, match=r"Unknown cannot be stored; use zoneinfo"):
            job_class(annotation)(value=value)

    @pytest.mark.parametrize("key", [None, "Mars/Olympus"])
    def test_so_is_a_zone_that_was_read_from_a_file_under_no_known_name(self, key):
        # The smallest file of a zone (RFC 8536): one type of local time, always in force.
        content = (
            b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">l2B", 3600, 0, 0) + b"CET\0"
        )
        zone = ZoneInfo.from_file(io.BytesIO(content), key)
        with pytest.raises(ValidationError, match=r"use zoneinfo|no time zone 'Mars/Olympus'"):
            job_class(AwareDatetime)(value=datetime(2026, 1, 1, tzinfo=zone))

    @pytest.mark.parametrize(
        ("annotation", "stored"),
        [
            (Any, {"$colour": "red"}),
            (Any, {"$decimal": "one"}),
            (Any, {"$set": [[]]}),
            (Any, {"$range": [1]}),
            (date | str, {"$time": "12:00"}),
            (datetime, "2026-01-01T00:00:00.000000Z[Mars/Olympus]"),
            (datetime, "2026-01-01T00:00:00.000000Z[../../etc/passwd]"),
            (datetime, "yesterday[Europe/Berlin]"),
            (range, [1, 2]),
            (range, [1, 2, 0]),
            (re.Pattern, {"pattern": "(", "flags": ""}),
            (re.Pattern, {"pattern": "a", "flags": "Z"}),
            (Odd, "TRIPLE"),
        ],
        ids=label,
    )
    def test_a_stored_form_that_means_nothing_is_refused_with_the_field(self, annotation, stored, configured_store):
        cls = job_class(annotation, None)
        job = job_class(int)(value=1).save()
        configured_store.update_job(job.id, {"fields": {"value": stored}})
        row = configured_store.job(job.id)
        with pytest.raises(ValidationError, match=r"(?s)error.* for Holder\nvalue"):
            cls.model_validate_json(row.fields)


OPTIONAL = Optional[int]  # noqa: UP045


class TestAnnotations:
    @pytest.mark.parametrize(
        "annotation",
        [
            str, int, float, bool, bytes, None, date, Decimal, UUID, Colour, Level, Right, Row, Point, Named, tuple[()],
            str | None, OPTIONAL, list[str], dict[str, int], dict[str, list[int | None]], tuple[int, str],
            Literal["a", "b"], Annotated[int, Field(gt=0)], list[Row | None], Row | Point, JsonValue, int | str,
            type[int], NewType("Name", str), dict[int, str], dict[date, Decimal], "forward",
        ],
        ids=label,
    )  # fmt: skip
    def test_what_needs_nothing_is_the_very_same_object(self, annotation):
        assert make_storable(annotation) is annotation

    @pytest.mark.parametrize("annotation", [found for found, _ in UNIONS] + [datetime, Any, set[Any], dict], ids=label)
    def test_done_twice_it_is_as_done_once(self, annotation):
        once = make_storable(annotation)
        assert make_storable(once) is once

    def test_a_name_that_means_itself_is_left_to_pydantic(self):
        tree = TypeAliasType("tree", "dict[str, tree] | None")
        assert make_storable(JsonValue) is JsonValue
        assert make_storable(tree) is tree

    def test_the_annotation_of_a_field_stays_as_it_was_written(self):
        cls = job_class(dict[str, datetime | date])
        assert cls.model_fields["value"].annotation == dict[str, datetime | date]


MODULE = """
{future}
import re
from datetime import date, datetime
from typing import Any, Optional
from penstock import Job, field

class Base(Job, kind="storable-base"):
    when: Optional[datetime] = None
    span: range = range(3)
    names: set[str] = field(default_factory=set, user_editable=True, max_length=3)
    anything: Any = None

class Child(Base, kind="storable-child"):
    span = range(1, 9, 2)
    names = {{"b", "a"}}
    anything = {{1: (2,)}}
    day: date | str = "2026-01-01"

class Grandchild(Child, kind="storable-grandchild"):
    day = date(2026, 1, 1)
    when: datetime = datetime(2026, 1, 1)
    anything = re.compile("a")
"""


class TestClasses:
    @pytest.fixture(params=["", "from __future__ import annotations"], ids=["plain", "annotations as text"])
    def module(self, request, monkeypatch):
        module = types.ModuleType("storable_of_a_test")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(MODULE.format(future=request.param), module.__dict__)
        return module

    def test_fields_come_back_however_they_are_annotated_inherited_and_overridden(self, module, configured_store):
        for name in ("Base", "Child", "Grandchild"):
            job = getattr(module, name)(**({"anything": (1, {2})} if name == "Base" else {}))
            back = read_again(job.save(), configured_store)
            assert {key: exactly(value) for key, value in dict(back).items()} == {
                key: exactly(value) for key, value in dict(job).items()
            }
            assert back.changed_values() == {}
            job.update(when=datetime(2026, 5, 1, tzinfo=BERLIN), span=range(7), names={"x"}, anything={b"y"})
            again = read_again(job, configured_store)
            assert (again.when.tzinfo, again.span, again.names, again.anything) == (BERLIN, range(7), {"x"}, {b"y"})

    def test_overridden_defaults_and_facts_stay_what_they_were(self, module):
        child = module.Grandchild()
        assert (child.span, child.names, child.day, child.anything.pattern) == (
            range(1, 9, 2), {"a", "b"}, date(2026, 1, 1), "a",
        )  # fmt: skip
        assert "names" in module.Grandchild.editable_fields()
        with pytest.raises(ValidationError):
            module.Grandchild(names={"a", "b", "c", "d"})
        assert module.Base().span == range(3)

    def test_a_field_is_seen_to_once_however_often_it_is_inherited(self, module):
        marks = [len(cls.model_fields["span"].metadata) for cls in (module.Base, module.Child, module.Grandchild)]
        assert marks == [1, 1, 1]

    def test_a_type_that_is_defined_later_comes_back_too(self, monkeypatch, configured_store):
        module = types.ModuleType("storable_later")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        code = "from penstock import Job\nclass Early(Job):\n    days: 'set[Later]'\n    more: list['Later'] = []\n"
        exec(code, module.__dict__)
        exec("from datetime import date, datetime\nLater = datetime | date | str\n", module.__dict__)
        module.Early.model_rebuild()
        job = module.Early(days={"2026-01-01", datetime(2026, 1, 1, tzinfo=BERLIN)})
        job.more = [date(2026, 1, 1), "2026-01-01"]
        back = read_again(job.save(), configured_store)
        assert (exactly(back.days), exactly(back.more)) == (exactly(job.days), exactly(job.more))

    def test_standard_fields_that_are_columns_are_left_alone(self):
        assert Job.model_fields["run_at"].metadata == []

    def test_a_class_may_still_see_to_its_own_schema(self, configured_store):
        class Own(Job):
            value: set[str]

            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler):
                return super().__get_pydantic_core_schema__(source, handler)

        assert_comes_back(Own(value={"b", "a"}), configured_store)

    def test_validators_and_serializers_of_a_user_keep_their_place(self, configured_store):
        cls = job_class(Annotated[set[str], AfterValidator(lambda names: {name.lower() for name in names})])
        assert assert_comes_back(cls(value={"A", "B"}), configured_store).value == {"a", "b"}

    def test_generic_fields_of_a_union_of_one_are_as_without_it(self, configured_store):
        assert_keeps(job_class(Union[set[str]]), {"a"}, {"b"}, configured_store)  # noqa: UP007
