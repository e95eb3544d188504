import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, EncodingError
from penstock.streams import open_reader

MARK = b"\xef\xbb\xbf"


class Trickle(io.RawIOBase):
    """A source that gives one byte a time, as a slow pipe may."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._source = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._source.read(1 if size else 0)


def read(data: bytes, encoding: str, errors: str = "refuse") -> bytes:
    with open_reader(Trickle(data), encoding=encoding, encoding_errors=errors) as stream:  # type: ignore[arg-type]
        return stream.read()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gb18030"])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")))
def test_text_in_another_encoding_comes_out_as_utf8(encoding: str, text: str):
    assert read(text.encode(encoding), encoding) == text.encode()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859-15"])
def test_umlauts_of_single_byte_encodings_survive(encoding: str):
    assert read("Käse\tñ\r\n".encode(encoding), encoding) == "Käse\tñ\r\n".encode()


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "U8", "utf_8"])
def test_utf8_passes_through_unlooked_at(encoding: str):
    assert read(MARK + b"a\xff", encoding) == MARK + b"a\xff"


@pytest.mark.parametrize("data", [b"", b"\xef", b"\xef\xbb", MARK, MARK + b"a", MARK + MARK, b"ab", b"a\xff\xfeb"])
def test_utf8_sig_drops_one_mark_at_the_start_and_nothing_else(data: bytes):
    assert read(data, "utf-8-sig") == data.removeprefix(MARK)


def test_ascii_is_held_to_its_word():
    assert read(b"abc", "ascii") == b"abc"
    with pytest.raises(EncodingError, match=r"byte 4 \(0xe9\) is not ascii; name the true encoding"):
        read(b"caf\xe9", "ascii")


def test_a_refusal_counts_bytes_from_the_start_of_the_text(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a" * 3_000_000 + b"\x81b")
    with (
        pytest.raises(EncodingError, match=r"a\.csv: byte 3,000,001 \(0x81\) is not cp1252"),
        open_reader(path, encoding="cp1252") as stream,
    ):
        stream.read()


def test_a_refusal_counts_right_when_a_character_was_begun_in_the_block_before():
    with pytest.raises(EncodingError, match=r"byte 3 \(0x00\) is not utf-16-le"):
        read(b"a\x00\x00\xdcb\x00", "utf-16-le")


def test_half_a_character_at_the_end_is_refused():
    with pytest.raises(EncodingError, match="byte 3"):
        read(b"a\x00b", "utf-16-le")


def test_undecodable_bytes_can_be_replaced_or_dropped():
    assert read(b"caf\xe9!", "ascii", "replace") == "caf\ufffd!".encode()
    assert read(b"caf\xe9!", "ascii", "clean") == b"caf!"


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "rot13", "zip", "a\0b", ""])
def test_an_encoding_that_is_not_one_of_text_is_refused(encoding: str):
    with pytest.raises(ConfigurationError, match="there is no text encoding"):
        open_reader(io.BytesIO(), encoding=encoding)


def test_an_unknown_way_to_treat_errors_is_refused():
    with pytest.raises(ConfigurationError, match="refuse, replace, clean"):
        open_reader(io.BytesIO(), encoding_errors="ignore")
