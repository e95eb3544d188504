import io
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, RecordTooLarge
from penstock.streams import LineSlice, batches, cut_lines

ENDS = [b"\r\n", b"\n", b"\r"]
pieces = st.sampled_from(
    [
        b"",
        b"a",
        b"\t",
        b"\x00",
        b'"',
        b"\r",
        b"\n",
        b"\r\n",
        b"\x0b",
        b"\x0c",
        b"|",
        b"||",
        b"<>",
        b"<",
        b"x" * 30,
    ]
    + [text.encode() for text in ("\u2028", "\x85", "é", "😀")]
)
contents = st.lists(pieces, max_size=40).map(b"".join)
delimiters = st.sampled_from([None, *ENDS, b"|", b"||", b"<>", b"aba", "é".encode(), b"\x00"])


def cut(data: bytes, *, block: int = 1 << 18, **options: Any) -> list[LineSlice]:
    settings = {"name": "a.csv", "records_per_slice": 3, **options}
    with patch.object(batches, "BLOCK", block):
        return list(cut_lines(io.BytesIO(data), **settings))


def lines_of(piece: LineSlice) -> list[bytes]:
    assert (piece.text is None) != (piece.lines is None)
    lines = piece.text.split(b"\n")[:-1] if piece.text is not None else piece.lines
    assert lines is not None
    assert len(lines) == piece.count
    return lines


def all_lines(slices: list[LineSlice]) -> list[bytes]:
    return [line for piece in slices for line in lines_of(piece)]


def naive_end(data: bytes) -> bytes:
    """The first line end, looked for the slow way."""
    for at in range(len(data)):
        for end in ENDS:
            if data[at : at + len(end)] == end:
                return end
    return b"\n"


def naive_lines(data: bytes, delimiter: bytes | None) -> list[bytes]:
    lines = data.split(delimiter or naive_end(data))
    return lines if lines[-1] else lines[:-1]


def naive_runs(lines: list[bytes], most: int, max_bytes: int) -> list[list[bytes]]:
    runs: list[list[bytes]] = []
    for line in lines:
        full = not runs or len(runs[-1]) == most
        if full or sum(len(other) + 1 for other in [*runs[-1], line]) > max_bytes:
            runs.append([])
        runs[-1].append(line)
    return runs


@given(data=contents, delimiter=delimiters, block=st.integers(1, 50))
def test_lines_are_those_of_a_naive_splitter_whatever_the_block_size(data: bytes, delimiter: bytes | None, block: int):
    assert all_lines(cut(data, block=block, delimiter=delimiter)) == naive_lines(data, delimiter)


@given(
    data=contents,
    delimiter=delimiters,
    block=st.integers(1, 50),
    most=st.integers(1, 9),
    max_bytes=st.integers(1, 60),
)
def test_slices_close_at_the_count_or_before_the_size_whatever_the_block_size(
    data: bytes, delimiter: bytes | None, block: int, most: int, max_bytes: int
):
    slices = cut(data, block=block, delimiter=delimiter, records_per_slice=most, max_bytes=max_bytes)
    assert [lines_of(piece) for piece in slices] == naive_runs(naive_lines(data, delimiter), most, max_bytes)


@given(
    lengths=st.lists(st.integers(0, 40), max_size=40),
    block=st.integers(1, 200),
    most=st.integers(1, 9),
    max_bytes=st.integers(40, 250),
)
@example(lengths=[0, 0, 0, 40, 40, 40, 40], block=85, most=3, max_bytes=100)
def test_slices_of_lines_of_all_lengths_hold_their_limits(lengths: list[int], block: int, most: int, max_bytes: int):
    lines = [b"x" * length for length in lengths]
    data = b"".join(line + b"\n" for line in lines)
    slices = cut(data, block=block, records_per_slice=most, max_bytes=max_bytes)
    assert [lines_of(piece) for piece in slices] == naive_runs(lines, most, max_bytes)


@given(data=contents, delimiter=delimiters, block=st.integers(1, 50), most=st.integers(1, 9))
def test_first_lines_count_on_from_1(data: bytes, delimiter: bytes | None, block: int, most: int):
    expected = 1
    for piece in cut(data, block=block, delimiter=delimiter, records_per_slice=most):
        assert piece.first_line == expected
        expected += piece.count


@given(data=contents, delimiter=delimiters, block=st.integers(1, 50))
def test_a_slice_is_text_exactly_when_no_line_holds_a_newline(data: bytes, delimiter: bytes | None, block: int):
    for piece in cut(data, block=block, delimiter=delimiter):
        assert (piece.lines is not None) == any(b"\n" in line for line in lines_of(piece))


@given(
    lines=st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")), max_size=300),
    most=st.integers(1, 50),
    block=st.integers(1, 5000),
)
def test_lines_of_any_ascii_bytes_come_back_as_written(lines: list[bytes], most: int, block: int):
    lines = [bytes(byte & 0x7F for byte in line).replace(b"\n", b"") for line in lines]
    data = b"".join(line + b"\n" for line in lines)
    slices = cut(data, block=block, delimiter=b"\n", records_per_slice=most)
    assert b"".join(piece.text or b"" for piece in slices) == data
    assert [piece.count for piece in slices[:-1]] == [most] * (len(slices) - 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"\n", [b""]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\nb\nc\r\n", [b"a", b"b\nc"]),
        (b"a\nb\r\nc", [b"a", b"b\r", b"c"]),
        (b"a\rb\nc\r", [b"a", b"b\nc"]),
        (b"a\r", [b"a"]),
        (b"a\r\r\nb", [b"a", b"", b"\nb"]),
        ("a\u2028b\x0bc\x0cd\x85e\n".encode(), ["a\u2028b\x0bc\x0cd\x85e".encode()]),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_the_first_of_three_line_ends_is_the_one_of_the_file(data: bytes, expected: list[bytes], block: int):
    assert all_lines(cut(data, block=block)) == expected


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("delimiter", [None, b"\n", b"\r\n", b"||"])
def test_a_line_of_max_record_bytes_is_taken_and_one_more_is_refused(block: int, delimiter: bytes | None):
    end = delimiter or b"\n"
    longest = b"x" * 20
    for data in (longest, longest + end, b"a" + end + longest + end + b"b"):
        assert longest in all_lines(cut(data, block=block, delimiter=delimiter, max_record=20))
    for data in (b"a" + end + longest + b"x", b"a" + end + longest + b"x" + end):
        with pytest.raises(RecordTooLarge, match=r"a\.csv, line 2: longer than 20 bytes; raise max_record"):
            cut(data, block=block, delimiter=delimiter, max_record=20)


@pytest.mark.parametrize("delimiter", [None, b"\n", b"||"])
def test_an_endless_line_is_refused_without_reading_it_to_its_end(delimiter: bytes | None):
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"x" * size

    stream = Endless()
    with pytest.raises(RecordTooLarge, match="line 1"):
        list(cut_lines(stream, name="a", records_per_slice=1, delimiter=delimiter))  # type: ignore[arg-type]
    assert stream.given <= (16 << 20) + 2 * batches.BLOCK


def test_a_line_larger_than_a_slice_is_a_slice_of_its_own():
    data = b"a\n" + b"b" * 50 + b"\nc\n"
    slices = cut(data, max_bytes=10)
    assert [piece.text for piece in slices] == [b"a\n", b"b" * 50 + b"\n", b"c\n"]


def test_large_slices_over_many_blocks_hold_their_limit():
    data = b"".join(b"%07d\n" % number for number in range(5000))
    slices = cut(data, block=100, records_per_slice=10_000, max_bytes=8000)
    assert [piece.count for piece in slices] == [1000] * 5
    assert b"".join(piece.text or b"" for piece in slices) == data


@pytest.mark.parametrize(
    "wrong",
    [
        {"records_per_slice": 0},
        {"max_bytes": 0},
        {"max_record": 0},
        {"delimiter": b""},
        {"encoding_errors": "x"},
    ],
)
def test_settings_without_sense_are_refused_before_anything_is_read(wrong: dict[str, Any]):
    settings: dict[str, Any] = {"name": "a", "records_per_slice": 1, **wrong}
    with pytest.raises(ConfigurationError):
        cut_lines(None, **settings)  # type: ignore[arg-type]
