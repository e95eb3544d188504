"""Records as bytes: what goes in comes out, with its type; what cannot is refused by name."""

import collections
import enum
import math
import subprocess
import sys
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UnstorableValue
from penstock.records import (
    MAX_DEPTH,
    decode_records,
    decode_value,
    encode_records,
    encode_text,
    encode_text_records,
    encode_value,
    position_of_unstorable,
    text_of,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ZONES = st.one_of(
    st.none(),
    st.timezones(no_cache=False),
    st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds))),
    st.just(timezone(timedelta(microseconds=1))),
)
SCALARS = st.one_of(
    TEXT,
    st.binary(),
    st.integers(),
    st.integers(-(1 << 200), 1 << 200),
    st.floats(),
    st.booleans(),
    st.none(),
    st.decimals(),
    st.dates(),
    st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=ZONES), st.sampled_from([0, 1])),
    st.times(timezones=ZONES),
    st.uuids(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXT, inner, max_size=4),
    ),
    max_leaves=12,
)


def shape(value):
    """Return the value so that two are equal only when types, digits, zones and folds are: 1 is not True or 1.0."""
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, dict):
        return dict, [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else value.hex()
    if isinstance(value, Decimal):
        return Decimal, value.as_tuple()
    if isinstance(value, datetime | time):
        zone = value.tzinfo
        name = zone.key if isinstance(zone, ZoneInfo) else zone
        return type(value), value.replace(tzinfo=None), value.fold, name
    return type(value), value


@given(VALUES)
def test_a_value_comes_back_with_its_types(value):
    assert shape(decode_value(encode_value(value))) == shape(value)


@given(st.lists(VALUES, max_size=5))
def test_records_come_back_with_their_types_and_in_order(records):
    assert shape(decode_records(encode_records(records))) == shape(records)


@given(st.lists(TEXT, max_size=8))
def test_text_comes_back_whatever_line_ends_are_in_it(records):
    assert decode_records(encode_records(records)) == records


@pytest.mark.parametrize(
    "records",
    [[], [""], ["", ""], ["\n"], ["a\nb"], ["a", "b\n"], ["\r\n", "\x85\u2028\x0b\x1c"], ["\x00", "T", "L"], ["a", 1]],
    ids=repr,
)
def test_text_at_the_edges_comes_back(records):
    assert decode_records(encode_records(records)) == records


@pytest.mark.parametrize(
    "value",
    [
        0,
        (1 << 63) - 1,
        1 << 63,
        (1 << 64) - 1,
        1 << 64,
        -(1 << 63),
        -(1 << 63) - 1,
        1 << 100_000,
        -(1 << 100_000),
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        5e-324,
        Decimal("1.10"),
        Decimal("NaN123"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1E+1000"),
        datetime.max,  # noqa: DTZ901
        datetime.min,  # noqa: DTZ901
        datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Amsterdam")),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Amsterdam")),
        datetime(2026, 1, 1, tzinfo=UTC),
        time(12, 0, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
        date.max,
        UUID(int=0),
        {"a.b": {"": [(), {}, []]}},
        {"$.a": "dots and signs"},
        ((),),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_at_the_edges_come_back(value):
    assert shape(decode_value(encode_value(value))) == shape(value)
    assert shape(decode_records(encode_records([value]))) == shape([value])


def test_a_zone_is_still_the_zone_so_that_its_clock_changes_still_count():
    summer = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Amsterdam"))
    back = decode_value(encode_value(summer))
    assert (back + timedelta(days=180)).utcoffset() == timedelta(hours=1)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Number(int):
    pass


class Amount(Decimal):
    pass


class OtherZone(tzinfo):
    def utcoffset(self, _):
        return timedelta(0)


Point = collections.namedtuple("Point", "x y")

REFUSED = [
    (Colour.RED, "Colour"),
    (Level.LOW, "Level"),
    (Name("ada"), "Name"),
    (Number(3), "Number"),
    (Amount("1.0"), "Amount"),
    (Point(1, 2), "Point"),
    (collections.OrderedDict(a=1), "OrderedDict"),
    (collections.defaultdict(int), "defaultdict"),
    ({1, 2}, "set"),
    (frozenset(), "frozenset"),
    (bytearray(b"a"), "bytearray"),
    (memoryview(b"a"), "memoryview"),
    (1 + 2j, "complex"),
    (Fraction(1, 3), "Fraction"),
    (timedelta(1), "timedelta"),
    (Path("a"), "Path"),
    (object(), "object"),
    (range(3), "range"),
    (ZoneInfo("UTC"), "ZoneInfo"),
    (datetime(2026, 1, 1, tzinfo=OtherZone()), "OtherZone"),
    ({1: "a"}, "int"),
    ({"a": {None: 1}}, "NoneType"),
    ({Name("a"): 1}, "Name"),
]


@pytest.mark.parametrize(("value", "named"), REFUSED, ids=[named for _, named in REFUSED])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: [[(v,)]]])
def test_another_type_is_refused_by_name_wherever_it_stands(value, named, wrap):
    with pytest.raises(UnstorableValue, match=named):
        encode_value(wrap(value))
    with pytest.raises(UnstorableValue, match=named):
        encode_records(["text", wrap(value)])


@pytest.mark.parametrize(("value", "named"), REFUSED[:3], ids=[named for _, named in REFUSED[:3]])
def test_a_subclass_of_text_does_not_slip_through_among_texts(value, named):
    with pytest.raises(UnstorableValue, match=named):
        encode_records([value])
    with pytest.raises(UnstorableValue, match=named):
        encode_records(["text", value, "text"])


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", {"\ud800": 1}, ["ok", ("\udcff",)]], ids=ascii)
def test_half_a_surrogate_is_refused(value):
    with pytest.raises(UnstorableValue):
        encode_value(value)
    with pytest.raises(UnstorableValue):
        encode_records([value])


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}], ids=["list", "tuple", "dict"])
def test_values_nest_to_the_limit_and_no_deeper(wrap):
    value = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert decode_value(encode_value(value)) == value
    with pytest.raises(UnstorableValue, match=f"more than {MAX_DEPTH} deep"):
        encode_value(wrap(wrap(value)))


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(UnstorableValue, match="deep"):
        encode_value(value)


def test_the_first_record_that_cannot_be_stored_is_found():
    position, error = position_of_unstorable(["a", 1, {2}, {3}])
    assert position == 2
    assert "set" in str(error)
    assert position_of_unstorable(["a", 1]) is None


def test_encoding_does_not_change_what_it_was_given():
    value = {"a": [1, (2, Decimal(3))], "b": {"c": date(2026, 1, 1)}}
    encode_value(value)
    assert value == {"a": [1, (2, Decimal(3))], "b": {"c": date(2026, 1, 1)}}


class TestTextForm:
    def test_plain_lines_are_stored_as_they_stand_in_a_file(self):
        assert encode_records(["one", "zwei"]) == b"Tone\nzwei\n" == encode_text(b"one\nzwei\n")
        assert bytes(text_of(b"Tone\nzwei\n")) == b"one\nzwei\n"

    def test_other_records_have_no_text(self):
        assert text_of(encode_records([1])) is None
        assert text_of(encode_records(["a\nb"])) is None
        assert encode_text_records(["a\nb"]) is None
        assert encode_text_records(["a", b"b"]) is None


def test_time_zones_that_this_machine_does_not_have_are_named():
    payload = encode_value(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")))
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError, match="Europe/Amsterdxm"):
        decode_value(payload.replace(b"Europe/Amsterdam", b"Europe/Amsterdxm"))


def test_nothing_that_runs_code_is_imported_for_records():
    script = "import sys, penstock.records; print(sorted({'pickle', 'marshal', 'shelve'} & set(sys.modules)))"
    before = subprocess.run(
        [sys.executable, "-c", script.replace("penstock.records", "msgspec, zoneinfo, decimal, uuid")],
        capture_output=True,
        text=True,
        check=True,
    )
    after = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert after.stdout == before.stdout
