"""csv, tsv and psv: against the csv module, and there and back."""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.tabular.shapes import PIECES, any_texts, parsed, rendered, single_lines, text_format, texts

from penstock.errors import BadHeader, BadRow, ConfigurationError
from penstock.tabular import quoted

ABC = ["a", "b", "c"]
QUOTED = pytest.mark.parametrize("name", ["csv", "tsv"])
DELIMITED = pytest.mark.parametrize("name", ["csv", "tsv", "psv"])


@pytest.fixture(params=["csv module before 3.13", "csv module since 3.13"])
def reader(request, monkeypatch):
    """Run with and without a csv module that tells empty from None."""
    if request.param == "csv module before 3.13":
        monkeypatch.setattr(quoted, "_NOTNULL", None)
    elif not quoted._tells_empty_from_none():
        pytest.skip("needs Python 3.13")


class Colour(Enum):
    RED = "r"


class TestParsing:
    @pytest.mark.usefixtures("reader")
    @pytest.mark.parametrize(
        ("line", "row"),
        [
            ("1,2,", {"a": "1", "b": "2", "c": None}),
            ('1,"",', {"a": "1", "b": "", "c": None}),
            ('"","",""', {"a": "", "b": "", "c": ""}),
            (",,", {"a": None, "b": None, "c": None}),
            ("007,0.10,1e5", {"a": "007", "b": "0.10", "c": "1e5"}),
            ('"a,"",b",,""', {"a": 'a,",b', "b": None, "c": ""}),
            ('"say ""hi""",\t, x ', {"a": 'say "hi"', "b": "\t", "c": " x "}),
            ('"one\r\ntwo",\u2028,\x00', {"a": "one\r\ntwo", "b": "\u2028", "c": "\x00"}),
            ('5" disk,3" disk,', {"a": '5" disk', "b": '3" disk', "c": None}),
            ("1,2,3,4,5", {"a": "1", "b": "2", "c": "3"}),
            ("1", {"a": "1", "b": None, "c": None}),
            ("1,2,3\r", {"a": "1", "b": "2", "c": "3"}),
            ("1,2,\r", {"a": "1", "b": "2", "c": None}),
            ("", None),
            ("\r", None),
        ],
    )
    def test_a_line_of_csv_is_this_row(self, line, row):
        assert parsed("csv", [line], ABC) == [row]
        assert parsed("csv", ["x,y,z", line, "x,y,z"], ABC)[1:2] == [row]

    @DELIMITED
    def test_a_field_named_none_is_left_out(self, name):
        line = rendered(name, [["1", "2", "3", "4"]])
        assert parsed(name, line * 2, ["a", None, "c", None]) == [{"a": "1", "c": "3"}] * 2
        assert parsed(name, line, [None, "b"]) == [{"b": "2"}]

    @DELIMITED
    def test_no_lines_are_no_rows(self, name):
        assert parsed(name, [], ABC) == []

    @DELIMITED
    def test_columns_are_needed(self, name):
        with pytest.raises(ConfigurationError, match=f"{name} is read with the columns of its header"):
            parsed(name, ["1"])

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ('1,"2', "field 2: the quote that opens it is never closed; close it, or double quotes inside the field"),
            ('"1"2,3', "field 1: text follows the quote that closes it; double quotes inside the field"),
            ('1,2,"3" ', "field 3: text follows the quote that closes it; double quotes inside the field"),
            ("1,2\n3,4", "field 2: a line end stands in it without quotes; quote the field"),
            ("1,2,\r4", "field 3: a line end stands in it without quotes; quote the field"),
        ],
    )
    def test_what_is_no_row_is_refused_at_its_line_and_what_came_before_counts(self, line, why):
        rows = text_format("csv").parse(["1,2,3", "", line, '4,5,"6'], ABC)
        assert [next(rows), next(rows)] == [{"a": "1", "b": "2", "c": "3"}, None]
        with pytest.raises(BadRow) as caught:
            next(rows)
        assert (str(caught.value), caught.value.position) == (why, 2)

    def test_an_open_quote_does_not_swallow_the_line_that_would_close_it(self):
        with pytest.raises(BadRow) as caught:
            parsed("csv", ["1,2,3", '1,"2,3', '1",2,3', "1,2,3"], ABC)
        assert caught.value.position == 1

    @pytest.mark.usefixtures("reader")
    def test_a_field_may_be_longer_than_the_limit_of_the_csv_module(self):
        long = "x" * 300_000
        assert parsed("csv", ["1,2,3", f'{long},"{long}",'], ABC) == [
            {"a": "1", "b": "2", "c": "3"},
            {"a": long, "b": long, "c": None},
        ]

    @pytest.mark.usefixtures("reader")
    @given(st.lists(st.lists(st.sampled_from([*PIECES, ',"', '",', '"",']), max_size=9).map("".join), max_size=4))
    @example(['a"', '"'])
    def test_values_are_those_of_the_csv_module_and_both_refuse_the_same(self, lines):
        expected: list[Any] = []
        try:
            for line in lines:
                expected += csv.reader([line], strict=True)
        except csv.Error:
            pass
        got: list[Any] = []
        wrong_at = None
        try:
            rows = text_format("csv").parse(lines, [str(number) for number in range(40)])
            got.extend([value or "" for value in (row or {}).values()] for row in rows)
        except BadRow as error:
            wrong_at = error.position
        assert wrong_at == (len(expected) if len(expected) < len(lines) else None)
        assert [row[: len(other)] for row, other in zip(got, expected, strict=True)] == expected

    @pytest.mark.usefixtures("reader")
    @given(st.lists(st.lists(st.sampled_from([*PIECES, ',"', '",', '"",']), max_size=9).map("".join), max_size=4))
    def test_fast_and_exact_parsing_agree(self, lines):
        form = quoted.Csv()
        together, alone = [], []
        for result, rows in ((together, form._fields_of(lines)), (alone, form._by_line(lines))):
            try:
                result.extend(rows)
            except BadRow as error:
                result.append(str(error))
        assert together == alone


class TestPsv:
    @pytest.mark.parametrize(
        ("line", "row"),
        [
            ("1|2|", {"a": "1", "b": "2", "c": None}),
            ('"1|2"|x', {"a": '"1', "b": '2"', "c": "x"}),
            ('""||,', {"a": '""', "b": None, "c": ","}),
            ("", None),
            ("|", {"a": None, "b": None, "c": None}),
        ],
    )
    def test_a_line_of_psv_is_this_row(self, line, row):
        assert parsed("psv", [line], ABC) == [row]

    def test_a_pipe_inside_a_value_becomes_a_colon_and_none_is_empty(self):
        assert rendered("psv", [["a|b||", None, 1.5, ""], None]) == ["a:b::||1.5|", ""]

    @pytest.mark.parametrize("end", ["\n", "\r"])
    def test_a_line_end_inside_a_value_is_refused(self, end):
        with pytest.raises(BadRow, match=r"a value holds a line end, for which psv has no form") as caught:
            rendered("psv", [["a"], [f"x{end}y"], ["b"]])
        assert caught.value.position == 1
        assert "x" not in str(caught.value).replace("csv", "")


class TestRendering:
    @pytest.mark.parametrize(
        ("values", "record"),
        [
            (["a", None, ""], 'a,,""'),
            (["", "", ""], '"","",""'),
            (["", 'a"b', "x,y"], '"","a""b","x,y"'),
            (["", "a\rb", "a\nb"], '"","a\rb","a\nb"'),
            (["a\rb", "a\r\nb", "a\nb"], '"a\rb","a\r\nb","a\nb"'),
            ([1, 1.5, True], "1,1.5,True"),
            ([0, False, ""], '0,False,""'),
            ([Decimal("1.10"), date(2026, 1, 2), None], "1.10,2026-01-02,"),
            (
                [datetime(2026, 1, 2, 3, tzinfo=UTC), UUID(int=1), 0],
                f"2026-01-02 03:00:00+00:00,{UUID(int=1)},0",
            ),
            ([Colour.RED, StrEnum("S", {"A": "s"}).A, IntEnum("I", {"A": 3}).A], "r,s,3"),
            (["\u2028", "\x00", "\t"], "\u2028,\x00,\t"),
        ],
    )
    def test_a_row_is_this_record_of_csv(self, values, record):
        assert rendered("csv", [values]) == [record]
        assert rendered("csv", [["x", "y", "z"], values, None, values]) == ["x,y,z", record, "", record]

    def test_rows_of_every_shape_are_written_by_their_columns(self):
        @dataclass
        class Data:
            b: int
            a: str

        class Named(NamedTuple):
            c: int
            a: int

        rows = [{"a": 1, "z": 2}, Data(2, "x"), Named(3, 4), [5, 6], (7, 8, 9), None]
        assert rendered("csv", rows, ABC) == ["1,,", "x,2,", "4,,3", "5,6,", "7,8,9", ""]
        assert rendered("csv", [Data(1, "x"), Named(2, 3), [4]]) == ["1,x", "2,3", "4"]

    @pytest.mark.parametrize(
        ("row", "columns", "why"),
        [
            ({"a": 1}, None, r"csv needs the columns of a mapping in their order: set columns=\[...\]"),
            ([1, 2, 3, 4], ABC, "a row of 4 values for 3 columns; return as many, or a mapping"),
            ("text", ABC, "a row is a mapping, a sequence, a dataclass, a model or a named tuple; not a str"),
            (b"bytes", None, "not a bytes"),
            (17, ABC, "not a int"),
            ({"a": b"secret"}, ABC, "column a: csv has no form for a bytes; return text instead"),
            ([1, ["secret"]], ABC, "column b: csv has no form for a list; return text instead"),
            ([1, {"secret": 1}], None, "column 2: csv has no form for a dict; return text instead"),
        ],
    )
    def test_what_cannot_be_written_is_refused_with_its_position_and_without_its_content(self, row, columns, why):
        rows = [[1, 2], row, [1, 2]]
        with pytest.raises(BadRow, match=why) as caught:
            rendered("csv", rows, columns)
        assert caught.value.position == 1
        assert "secret" not in str(caught.value)

    def test_missing_values_of_mappings_are_empty_and_others_are_ignored(self):
        assert rendered("csv", [{"a": "1", "x": "2"}, {"b": "", "c": "3"}], ABC) == ["1,,", ',"",3']
        assert rendered("csv", [{"b": "1", "x": "2"}], ["b"]) == ["1"]

    def test_a_single_column_without_a_value_is_no_blank_line(self):
        assert rendered("csv", [{"a": None}, {"a": ""}], ["a"]) == ['""', '""']


class TestThereAndBack:
    @pytest.mark.usefixtures("reader")
    @QUOTED
    @given(st.lists(st.lists(st.none() | texts | any_texts, min_size=2, max_size=4), max_size=6))
    def test_rows_of_any_text_come_back(self, name, rows):
        columns = ["a", "b", "c", "d"]
        given_rows = [dict(zip(columns, [*row, None, None], strict=False)) for row in rows]
        assert parsed(name, rendered(name, given_rows, columns), columns) == given_rows

    @given(st.lists(st.none() | st.lists(st.none() | single_lines, min_size=2, max_size=2), max_size=6))
    def test_rows_of_psv_come_back_but_for_pipes_and_empty_text(self, rows):
        lines = rendered("psv", rows)
        expected = [
            row and {key: (v or "").replace("|", ":") or None for key, v in zip("ab", row, strict=True)} for row in rows
        ]
        assert parsed("psv", lines, ["a", "b"]) == expected

    @QUOTED
    @given(st.lists(st.lists(st.none() | texts, min_size=2, max_size=3), max_size=6))
    def test_the_csv_module_reads_what_is_written(self, name, rows):
        lines = rendered(name, rows)
        delimiter = "\t" if name == "tsv" else ","
        read = csv.reader([line + "\n" for line in lines], delimiter=delimiter, strict=True)
        assert list(read) == [[value or "" for value in row] for row in rows]

    @given(st.lists(texts, min_size=1, max_size=5))
    def test_headers_come_back(self, names):
        form = text_format("csv")
        assert form.names(form.header(names)) == names


class TestHeader:
    @DELIMITED
    def test_the_header_line_names_the_columns(self, name):
        form = text_format(name)
        assert form.has_header
        assert form.names(form.header(ABC)) == ABC

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self):
        assert text_format("csv").names('\ufeff"First Name","",,x') == ["First Name", "", "", "x"]

    def test_a_header_that_cannot_be_read_is_refused(self):
        with pytest.raises(BadHeader, match="the header is no line of csv: field 2: the quote that opens it is never"):
            text_format("csv").names('a,"b')


class TestOptions:
    def test_csv_may_have_another_delimiter(self):
        assert parsed("csv", ["1,5;2;"], ABC, delimiter=";") == [{"a": "1,5", "b": "2", "c": None}]
        assert rendered("csv", [["1;5", "", "1,5"]], delimiter=";") == ['"1;5";"";1,5']

    @pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\r"])
    def test_a_delimiter_that_cannot_be_is_refused(self, delimiter):
        with pytest.raises(ConfigurationError, match="the delimiter of csv is one character, and neither a quote"):
            text_format("csv", delimiter=delimiter)

    def test_an_option_that_there_is_not_is_refused(self):
        with pytest.raises(ConfigurationError, match=r"the options of the format csv do not fit: .*'quote'"):
            text_format("csv", quote="'")
