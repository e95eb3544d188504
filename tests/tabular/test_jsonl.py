"""One JSON object on each line."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.tabular.shapes import any_texts, parsed, rendered, text_format, texts

from penstock.errors import BadHeader, BadRow

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
values = st.recursive(
    st.none() | numbers | texts | any_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts | any_texts, values, max_size=5)


class Model(BaseModel):
    a: int
    b: "Model | None" = None


@dataclass
class Data:
    a: int
    when: date


class Named(NamedTuple):
    a: int
    b: str


class Struct(msgspec.Struct):
    a: int


@given(st.lists(st.none() | objects, max_size=5))
def test_objects_come_back_with_the_types_of_json(rows):
    lines = rendered("jsonl", rows)
    assert not any("\n" in line or "\r" in line for line in lines)
    assert parsed("jsonl", lines) == rows


@given(st.lists(objects, max_size=5))
def test_the_json_module_reads_what_is_written_and_the_other_way_round(rows):
    assert [json.loads(line) for line in rendered("jsonl", rows)] == rows
    assert parsed("jsonl", [json.dumps(row) for row in rows]) == rows


def test_rows_of_every_shape_are_objects():
    rows = [{"a": 1}, Data(1, date(2026, 1, 2)), Named(1, "x"), Struct(1), Model(a=1, b=Model(a=2)), None]
    assert rendered("jsonl", rows) == [
        '{"a":1}',
        '{"a":1,"when":"2026-01-02"}',
        '{"a":1,"b":"x"}',
        '{"a":1}',
        '{"a":1,"b":{"a":2,"b":null}}',
        "",
    ]
    assert rendered("jsonl", [*rows, [7, 8]], ["b", "a"])[1:] == [
        '{"b":null,"a":1}',
        '{"b":"x","a":1}',
        '{"b":null,"a":1}',
        '{"b":{"a":2,"b":null},"a":1}',
        "",
        '{"b":7,"a":8}',
    ]


def test_types_that_json_does_not_have_are_written_as_text():
    row = [Decimal("1.10"), date(2026, 1, 2), time(3, 4), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1)]
    assert json.loads(rendered("jsonl", [row], list("abcde"))[0]) == {
        "a": "1.10",
        "b": "2026-01-02",
        "c": "03:04:00",
        "d": "2026-01-02T00:00:00Z",
        "e": str(UUID(int=1)),
    }


def test_whole_numbers_of_any_size_stay_whole():
    assert parsed("jsonl", ['{"a": 123456789012345678901234567890}']) == [{"a": 123456789012345678901234567890}]


def test_with_columns_only_those_are_read_and_missing_ones_are_none():
    assert parsed("jsonl", ['{"c": 1, "a": 2}', "", "{}"], ["a", None, "b"]) == [
        {"a": 2, "b": None},
        None,
        {"a": None, "b": None},
    ]


def test_a_blank_line_is_none():
    assert parsed("jsonl", ["", " \t\r"]) == [None, None]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "this is not one JSON object: Expected `object`, got `array`; each line is to hold one whole object"),
        ('"secret"', "Expected `object`, got `str`"),
        ('{"secret": }', r"JSON is malformed: invalid character \(byte 11\)"),
        ('{"a": "secret"', "Input data was truncated"),
        ('{"a": 1} {"secret": 2}', r"trailing characters \(byte 10\)"),
        ('{"a": NaN}', "invalid character"),
        ('{"a": 1e999}', "Number out of range"),
        ("\ufeff{}", "a byte order mark stands before the object; read the file with encoding='utf-8-sig'"),
        ("[" * 100_000, "this is not one JSON object"),
        ('{"a":' * 100_000, "this is not one JSON object"),
    ],
)
def test_what_is_no_object_is_refused_at_its_line_without_its_content(line, why):
    rows = text_format("jsonl").parse(['{"a":1}', line, '{"a":1}'], None)
    assert next(rows) == {"a": 1}
    with pytest.raises(BadRow, match=why) as caught:
        next(rows)
    assert caught.value.position == 1
    assert "secret" not in str(caught.value)


def test_objects_that_are_cut_apart_by_line_ends_are_refused_even_where_the_count_comes_out_even():
    with pytest.raises(BadRow):
        parsed("jsonl", ['{"a":', '1}{"b":2}'])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([1, 2], r"jsonl takes a list only when the columns are set: columns=\[...\]"),
        ("text", "a row is a mapping, .* not a str"),
        ({"a": object()}, "the row cannot be written as JSON: there is no form for a object"),
        ({"a": "\ud800"}, "a text holds half of a surrogate pair, which no file can hold; replace it"),
        ({None: 1}, "the row cannot be written as JSON: there is no form for a NoneType"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_position(row, why):
    with pytest.raises(BadRow, match=why) as caught:
        rendered("jsonl", [{"a": 1}, row])
    assert caught.value.position == 1


def test_there_is_no_header():
    form = text_format("jsonl")
    assert not form.has_header
    assert form.header(["a"]) is None
    with pytest.raises(BadHeader, match="jsonl has no header: each object names its own fields"):
        form.names("a,b")
