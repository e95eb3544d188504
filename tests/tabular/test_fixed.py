"""Fields of fixed width."""

from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tabular.shapes import parsed, rendered, single_lines, text_format

from penstock.errors import BadHeader, BadRow, ConfigurationError

LAYOUT = [
    {"size": 6, "key": "name"},
    {"size": 2},
    {"size": 5, "key": "count", "type": "integer"},
    {"size": 8, "key": "price", "type": "decimal"},
    {"size": 7, "key": "ratio", "type": "float", "decimals": 3},
]
OPEN = [{"size": 3, "key": "code"}, {"size": "remainder", "key": "note"}]
ROW = {"name": "Zoë", "count": 42, "price": Decimal("-1.50"), "ratio": 2.125}
LINE = "Zoë     00042-0001.50002.125"


def test_a_row_is_this_line_and_the_other_way_round():
    assert rendered("fixed", [ROW, None], layout=LAYOUT) == [LINE, ""]
    assert parsed("fixed", [LINE, ""], layout=LAYOUT) == [ROW, None]


def test_numbers_have_their_types():
    row = parsed("fixed", ["Zoë   ?? 042 +1.5    .5     "], layout=LAYOUT)[0]
    assert row == {"name": "Zoë", "count": 42, "price": Decimal("1.5"), "ratio": 0.5}
    assert [type(value) for value in row.values()] == [str, int, Decimal, float]


def test_blank_numbers_are_none_and_blank_text_is_empty():
    assert parsed("fixed", [" " * 28], layout=LAYOUT) == [{"name": "", "count": None, "price": None, "ratio": None}]


def test_none_is_blank_text_and_a_number_of_zeros():
    assert rendered("fixed", [{}], layout=LAYOUT) == ["        0000000000.00000.000"]


def test_blanks_before_text_stay_and_those_behind_it_go():
    assert parsed("fixed", [" \tab  "], layout=[{"size": 6, "key": "a"}]) == [{"a": " \tab"}]


class TestTheRemainder:
    @pytest.mark.parametrize("note", ["", "a longer note, of any length"])
    def test_it_takes_what_is_left(self, note):
        assert rendered("fixed", [{"code": "x", "note": note}], layout=OPEN) == [f"x  {note}"]
        assert parsed("fixed", [f"x  {note}"], layout=OPEN) == [{"code": "x", "note": note}]

    def test_it_may_be_filler(self):
        layout = [{"size": 2, "key": "a"}, {"size": "remainder"}]
        assert parsed("fixed", ["ab", "abcdef"], layout=layout) == [{"a": "ab"}] * 2
        assert rendered("fixed", [["ab"]], layout=layout) == ["ab"]

    def test_a_line_that_does_not_reach_it_is_refused(self):
        with pytest.raises(BadRow, match="the line has 2 characters and the layout 3 or more; check the layout"):
            parsed("fixed", ["ab"], layout=OPEN)


class TestRefusedLines:
    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (LINE[:-1], "the line has 27 characters and the layout 28; check the layout"),
            (LINE + " ", "the line has 29 characters and the layout 28; check the layout"),
            (" ", "the line has 1 characters"),
            (LINE.replace("00042", "12 45"), "column count, at characters 9 on: this is no whole number"),
            (LINE.replace("00042", "1_000"), "column count, at characters 9 on: this is no whole number"),
            (LINE.replace("00042", "000٤٢"), "column count, at characters 9 on: this is no whole number"),
            (LINE.replace("-0001.50", "  secret"), "column price, at characters 14 on: this is no number"),
            (LINE.replace("002.125", "    nan"), "column ratio, at characters 22 on: this is no number"),
            (LINE.replace("002.125", "  1e999"), "column ratio, .* too large for a float; make the type decimal"),
        ],
    )
    def test_they_are_named_with_what_is_wrong_and_what_came_before_counts(self, line, why):
        rows = text_format("fixed", layout=LAYOUT).parse([LINE, "", line], None)
        assert [next(rows), next(rows)] == [ROW, None]
        with pytest.raises(BadRow, match=why) as caught:
            next(rows)
        assert caught.value.position == 2
        assert "secret" not in str(caught.value)


class TestRendering:
    @pytest.mark.parametrize(
        ("value", "field", "text"),
        [
            ("abcdefgh", {}, "abcdef"),
            (12, {}, "12    "),
            (1.5, {"type": "decimal"}, "001.50"),
            ("1.5", {"type": "decimal"}, "001.50"),
            (2.675, {"type": "decimal"}, "002.68"),
            (0.1, {"type": "decimal", "decimals": 0}, "000000"),
            (Decimal("12345.4"), {"type": "decimal", "decimals": 0}, "012345"),
            (-7, {"type": "integer"}, "-00007"),
            ("007", {"type": "integer"}, "000007"),
            (7.0, {"type": "integer"}, "000007"),
            (True, {"type": "integer"}, "000001"),
            ("", {"type": "integer"}, "000000"),
            (-0.0, {"type": "integer"}, "000000"),
            (-0.001, {"type": "decimal"}, "000.00"),
            (Decimal("1E+3"), {"type": "integer"}, "001000"),
            (Enum("E", {"A": "x"}).A, {}, "x     "),
        ],
    )
    def test_a_value_is_this_text(self, value, field, text):
        assert rendered("fixed", [[value]], layout=[{"size": 6, "key": "a", **field}]) == [text]

    @pytest.mark.parametrize(
        ("value", "field", "why"),
        [
            (1234567, {"type": "integer"}, "column a: the number takes 7 characters and the field has 6"),
            pytest.param(
                10**5000,
                {"type": "integer"},
                "column a: the number takes 5001 characters and the field has 6",
                id="long",
            ),
            (Decimal("1E+5000"), {"type": "decimal"}, "column a: the number has too many digits for any field"),
            (-123456, {"type": "integer"}, "column a: the number takes 7 characters"),
            (1000, {"type": "decimal"}, "column a: the number takes 7 characters"),
            (1.5, {"type": "integer"}, "column a: the number is not whole; round it, or make the type decimal"),
            ("secret", {"type": "integer"}, "column a: a str that is no number"),
            (b"secret", {"type": "integer"}, "column a: a bytes that is no number"),
            (float("nan"), {"type": "float"}, "column a: nan and infinity have no form in fixed"),
            ("sec\n", {}, "a value holds a line end, for which fixed has no form; replace it"),
            ([1], {}, "column a: fixed has no form for a list; return text instead"),
        ],
    )
    def test_what_has_no_place_is_refused_with_its_position(self, value, field, why):
        with pytest.raises(BadRow, match=why) as caught:
            rendered("fixed", [[0], [value]], layout=[{"size": 6, "key": "a", **field}])
        assert caught.value.position == 1
        assert "secret" not in str(caught.value)

    def test_text_that_is_too_long_is_refused_when_it_is_not_to_be_cut(self):
        with pytest.raises(BadRow, match="column a: the text has 3 characters and the field 2; shorten it"):
            rendered("fixed", [["abc"]], layout=[{"size": 2, "key": "a"}], truncate=False)

    def test_values_of_sequences_come_in_the_order_of_the_columns(self):
        layout = [{"size": 2, "key": "a"}, {"size": 2, "key": "b"}, {"size": 2, "key": "c"}]
        assert rendered("fixed", [["1", "2"], {"b": "3"}], layout=layout) == ["1 2   ", "  3   "]
        assert rendered("fixed", [["1", "2"], {"b": "3", "c": "4"}], ["c", "a"], layout=layout) == ["2   1 ", "    4 "]


def test_only_the_columns_that_are_wanted_are_read():
    assert parsed("fixed", [LINE], ["count", None], layout=LAYOUT) == [{"count": 42}]


def test_a_column_that_the_layout_does_not_have_is_refused():
    for do in (parsed, rendered):
        with pytest.raises(ConfigurationError, match="the layout has no age; it has name, count, price, ratio"):
            do("fixed", [], ["age", "name"], layout=LAYOUT)


def test_the_layout_tells_the_columns_and_there_is_no_header():
    form = text_format("fixed", layout=LAYOUT)
    assert form.columns == ["name", "count", "price", "ratio"]
    assert form.header(["name"]) is None
    with pytest.raises(BadHeader, match="fixed has no header: the layout names the columns"):
        form.names("a")


@pytest.mark.parametrize(
    ("layout", "why"),
    [
        ([], "the layout names no column: give entries a key"),
        ([{"size": 3}], "the layout names no column"),
        (
            [{"size": 3, "key": "a", "kind": "x"}],
            "entry 1 of the layout: unknown kind; known are size, key, type, decimals",
        ),
        ([{"key": "a"}], "entry 1 of the layout: size is a number of characters, 1 or more, or 'remainder'; not None"),
        ([{"size": 0, "key": "a"}], "not 0"),
        ([{"size": True, "key": "a"}], "not True"),
        ([{"size": 1, "key": "a", "type": "date"}], "type is one of string, integer, float, decimal; not 'date'"),
        ([{"size": 1, "key": "a", "decimals": -1}], "decimals is 0 or more; not -1"),
        ([{"size": "remainder", "key": "a", "type": "float"}], "the remainder is text; a number needs a size"),
        ([{"size": "remainder"}, {"size": 1, "key": "a"}], "only the last entry of the layout can be the remainder"),
        ([{"size": 1, "key": "a"}, {"size": 1, "key": "a"}], "the layout names a twice"),
        (["a"], "entry 1 of the layout is a mapping with size, key, type, decimals; not a str"),
    ],
)
def test_a_layout_without_sense_is_refused(layout, why):
    with pytest.raises(ConfigurationError, match=why):
        text_format("fixed", layout=layout)


def test_the_layout_is_needed():
    with pytest.raises(ConfigurationError, match=r"the options of the format fixed do not fit: .*'layout'"):
        text_format("fixed")


fields = st.one_of(
    single_lines.map(lambda text: ({"size": max(len(text), 1)}, text.rstrip(" "))),
    st.integers(1 - 10**8, 10**8 - 1).map(lambda number: ({"size": 9, "type": "integer"}, number)),
    st.decimals(-(10**6), 10**6, places=2).map(lambda number: ({"size": 12, "type": "decimal"}, number)),
    st.floats(-1e6, 1e6).map(lambda x: ({"size": 20, "type": "float", "decimals": 3}, round(x, 3))),
)


@given(st.lists(fields, min_size=1, max_size=5))
def test_rows_come_back(some):
    layout: list[dict[str, Any]] = [{**field, "key": str(number)} for number, (field, _) in enumerate(some)]
    row = {str(number): value for number, (_, value) in enumerate(some)}
    lines = rendered("fixed", [row, row], layout=layout)
    assert parsed("fixed", lines, layout=layout) == [row, row]
