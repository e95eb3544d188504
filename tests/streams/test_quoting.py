import csv
import io
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import RecordTooLarge, UnclosedQuote
from penstock.streams import LineSlice, batches, cut_lines

ENDS = [b"\r\n", b"\n", b"\r"]
delimiters = st.sampled_from([None, *ENDS, b"|", b"<>"])
contents = st.lists(
    st.sampled_from([b"", b"a", b",", b'"', b'""', b"\r", b"\n", b"\r\n", b"|", b"<", b">", "é".encode(), b"x" * 9]),
    max_size=30,
).map(b"".join)


def cut(data: bytes, *, block: int = 1 << 18, **options: Any) -> list[LineSlice]:
    settings = {"name": "a.csv", "records_per_slice": 3, "quoted": True, **options}
    with patch.object(batches, "BLOCK", block):
        return list(cut_lines(io.BytesIO(data), **settings))


def records_of(piece: LineSlice) -> list[bytes]:
    assert (piece.text is None) != (piece.lines is None)
    records = piece.text.split(b"\n")[:-1] if piece.text is not None else piece.lines
    assert records is not None
    assert len(records) == piece.count
    return records


def naive(data: bytes, delimiter: bytes | None) -> tuple[list[tuple[int, bytes]], bool]:
    """Line number and text of each logical line, one byte at a time, and whether the last quote is closed."""
    found: list[tuple[int, bytes]] = []
    record, line, begins, inside, at = b"", 1, 1, False, 0
    while at < len(data):
        ends = [delimiter] if delimiter else ENDS
        end = next((end for end in ends if data[at : at + len(end)] == end), None)
        if end and not inside:
            delimiter = end
            found.append((begins, record))
            line, record = line + 1, b""
            begins = line
            at += len(end)
            continue
        if end and delimiter:
            line += 1
            record += end
            at += len(end)
            continue
        inside ^= data[at : at + 1] == b'"'
        record += data[at : at + 1]
        at += 1
    if record or inside:
        found.append((begins, record))
    return found, not inside


class TestAgainstOneByteAtATime:
    @given(data=contents, delimiter=delimiters, block=st.integers(1, 9), most=st.integers(1, 4))
    @example(data=b'"a\nb"\r\nc\r\n', delimiter=None, block=1, most=3)
    @example(data=b'"a\rb",c\nd\n', delimiter=None, block=3, most=3)
    def test_records_and_their_line_numbers_are_those_of_a_naive_splitter(
        self, data: bytes, delimiter: bytes | None, block: int, most: int
    ):
        expected, closed = naive(data, delimiter)
        if not closed:
            with pytest.raises(UnclosedQuote):
                cut(data, delimiter=delimiter, block=block, records_per_slice=most)
            return
        slices = cut(data, delimiter=delimiter, block=block, records_per_slice=most)
        assert [record for piece in slices for record in records_of(piece)] == [record for _, record in expected]
        assert [piece.count for piece in slices[:-1]] == [most] * (len(slices) - 1)
        counted = delimiter is not None or b"\r" not in data  # the naive splitter learns the line end too late
        if counted:
            got = [
                number
                for piece in slices
                for number in piece.line_numbers or range(piece.first_line, piece.first_line + piece.count)
            ]
            assert got == [number for number, _ in expected]

    @given(rows=st.lists(st.lists(st.sampled_from(["", "a", '"', "\n", "\r\n", "\r", ","]), min_size=2), max_size=9))
    def test_records_are_the_rows_that_the_csv_module_wrote(self, rows: list[list[str]]):
        file = io.StringIO()
        csv.writer(file).writerows(rows)
        slices = cut(file.getvalue().encode(), block=7)
        got = [next(csv.reader([record.decode()])) for piece in slices for record in records_of(piece)]
        assert got == rows

    @given(data=contents.map(lambda data: data.replace(b'"', b"")), block=st.integers(1, 9))
    def test_without_quotes_slices_are_what_they_are_when_not_quoted(self, data: bytes, block: int):
        assert cut(data, block=block) == cut(data, block=block, quoted=False)


def test_a_slice_with_a_record_of_several_lines_has_the_list_form_and_tells_where_each_begins():
    slices = cut(b'a,b\n"x\ny\n",1\nc\nd\n"e\nf"\n')
    assert slices == [
        LineSlice(1, 3, None, [b"a,b", b'"x\ny\n",1', b"c"], [1, 2, 5], 5),
        LineSlice(6, 2, None, [b"d", b'"e\nf"'], [6, 7], 3),
    ]


def test_a_slice_of_single_lines_has_the_text_form_quotes_or_not():
    assert cut(b'"a","b"\nc\n') == [LineSlice(1, 2, b'"a","b"\nc\n', None, None, 2)]


def test_the_line_end_inside_quotes_is_kept_as_it_is():
    assert records_of(cut(b'"a\r\nb"\r\nc\r\n')[0]) == [b'"a\r\nb"', b"c"]
    assert records_of(cut(b'"a\nb"\r\nc\r\n')[0]) == [b'"a\nb"', b"c"]


@pytest.mark.parametrize("block", [1, 5, 1 << 18])
def test_a_quote_that_is_never_closed_is_refused_with_the_line_where_it_opened(block: int):
    with pytest.raises(UnclosedQuote) as caught:
        cut(b'a\n"b\nc"\nd,"secret\n\ne\n', block=block)
    assert str(caught.value) == (
        "a.csv, line 4: a quote that opens in this line is never closed; close it, or double quotes inside fields"
    )


@pytest.mark.parametrize("filler", [b"x\n", b"\n"])
def test_an_open_quote_is_followed_for_max_record_bytes_and_no_further(filler: bytes):
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < 1 << 24
            return filler * (size // len(filler))

    chained: Any = Chained([b'a\nb,"\n'], Endless())
    with patch.object(batches, "BLOCK", 1 << 12), pytest.raises(UnclosedQuote) as caught:
        list(cut_lines(chained, name="a.csv", records_per_slice=3, quoted=True, max_record=1 << 16))
    assert str(caught.value) == (
        "a.csv, line 2: a quote that opens in this line is not closed within 65,536 bytes; close it, double quotes "
        "inside fields, or raise max_record"
    )


class Chained:
    def __init__(self, blocks: list[bytes], rest: io.RawIOBase) -> None:
        self._blocks = blocks
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        return self._blocks.pop(0) if self._blocks else self._rest.read(size) or b""


def test_a_record_of_max_record_bytes_is_taken_and_one_more_is_refused():
    assert len(cut(b'"a\nb\nc"\n', max_record=7)) == 1
    with pytest.raises(UnclosedQuote):
        cut(b'"a\nb\ncd"\n', max_record=7)
    with pytest.raises(RecordTooLarge):
        cut(b'"abcdefg"\n', max_record=7)


def test_the_size_of_a_slice_holds_for_logical_lines_too():
    record = b'"' + b"ab\n" * 10 + b'"'
    slices = cut((record + b"\n") * 6, max_bytes=70, block=16)
    assert [piece.count for piece in slices] == [2, 2, 2]
    assert [piece.first_line for piece in slices] == [1, 23, 45]


class TestTheFirstRecord:
    @pytest.mark.parametrize("block", [1, 4, 1 << 18])
    def test_it_is_handed_over_and_is_in_no_slice(self, block: int):
        seen: list[bytes] = []
        slices = cut(b'"a\nb",c\nd\ne\nf\ng\n', on_first=seen.append, block=block)
        assert seen == [b'"a\nb",c']
        assert slices == [LineSlice(3, 3, b"d\ne\nf\n", None, None, 3), LineSlice(6, 1, b"g\n", None, None, 1)]

    @pytest.mark.parametrize("quoted", [True, False])
    def test_of_a_file_with_nothing_else_there_are_no_slices(self, quoted: bool):
        seen: list[bytes] = []
        assert cut(b"a,b", on_first=seen.append, quoted=quoted) == []
        assert seen == [b"a,b"]

    def test_an_empty_file_has_none(self):
        seen: list[bytes] = []
        assert cut(b"", on_first=seen.append) == []
        assert seen == []

    def test_what_it_raises_comes_out(self):
        def refuse(line: bytes) -> None:
            raise ValueError(line)

        with pytest.raises(ValueError, match="a,b"):
            cut(b"a,b\nc", on_first=refuse, quoted=False)

    def test_lines_are_counted_on_from_it(self):
        assert [piece.first_line for piece in cut(b"h\n1\n2\n3\n4\n", on_first=lambda _: None, quoted=False)] == [2, 5]
