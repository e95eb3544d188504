import io
import unicodedata
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import EncodingError
from penstock.streams import batches, cut_lines

pieces = st.sampled_from([b"a", b"\n", b"|", b"\t", b"\xff", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\x00", b"\x7f"])
broken = st.lists(pieces | st.text(max_size=3).map(str.encode), max_size=30).map(b"".join)


def naive_clean(line: bytes) -> str:
    text = line.decode(errors="ignore")
    return "".join(letter for letter in text if letter in "\t\r\n" or unicodedata.category(letter) != "Cc")


def naive_replace(line: bytes) -> str:
    return line.decode(errors="replace")


NAIVE = {"replace": naive_replace, "clean": naive_clean}


def cut(data: bytes, errors: str, *, block: int = 1 << 18, delimiter: bytes = b"\n") -> list[bytes]:
    found: list[bytes] = []
    with patch.object(batches, "BLOCK", block):
        for piece in cut_lines(
            io.BytesIO(data), name="a.csv", records_per_slice=2, delimiter=delimiter, encoding_errors=errors
        ):
            lines = piece.text.split(b"\n")[:-1] if piece.text is not None else piece.lines
            assert lines is not None
            assert len(lines) == piece.count
            found += lines
    return found


@pytest.mark.parametrize("errors", ["replace", "clean"])
@pytest.mark.parametrize("delimiter", [b"\n", b"|", b"\xa9", b"\x7f"])
@given(data=broken, block=st.integers(1, 40))
def test_each_line_is_mended_as_if_it_were_alone(errors: str, delimiter: bytes, data: bytes, block: int):
    lines = data.split(delimiter)
    expected = [NAIVE[errors](line).encode() for line in (lines if lines[-1] else lines[:-1])]
    assert cut(data, errors, block=block, delimiter=delimiter) == expected


@given(data=broken, block=st.integers(1, 40))
def test_refuse_lets_sound_text_through_and_nothing_else(data: bytes, block: int):
    lines = data.split(b"\n")
    try:
        data.decode()
    except UnicodeDecodeError:
        with pytest.raises(EncodingError):
            cut(data, "refuse", block=block)
    else:
        assert cut(data, "refuse", block=block) == (lines if lines[-1] else lines[:-1])


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_a_refusal_names_file_line_byte_and_the_next_step(block: int):
    with pytest.raises(EncodingError) as refusal:
        cut("é\nok\nna".encode() + b"\xefve\n", "refuse", block=block)
    assert str(refusal.value) == (
        "a.csv, line 3, byte 3: 0xef is not UTF-8; name the true encoding with encoding=..., "
        "or set encoding_errors to 'replace' or 'clean'"
    )


def test_clean_keeps_tabs_and_text_of_all_languages():
    line = "a\tKäse \u2028 日本 😀"
    assert cut(line.encode() + b"\x00\x1b\x85\n\x07bell", "clean") == [line.encode(), b"bell"]


def test_clean_removes_every_control_character_but_tab_and_line_ends():
    letters = "".join(chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cc")
    assert cut(letters.encode(), "clean", delimiter=b"|") == [b"\t\n\r"]
    assert cut(letters.encode("ascii", "ignore"), "clean", delimiter=b"|") == [b"\t\n\r"]
