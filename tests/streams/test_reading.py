import contextlib
import gzip
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, InputError
from penstock.streams import open_reader

TEXT = b"".join(b"%d,some text\n" % number for number in range(40))


def read(place: Any, **options: Any) -> bytes:
    with open_reader(place, **options) as stream:
        return stream.read()


def test_a_plain_file_is_read_as_it_is(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\x00\xff")
    assert read(path) == read(str(path)) == path.read_bytes()


@pytest.mark.usefixtures("gzip_library")
def test_a_gz_file_is_decompressed(tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TEXT))
    assert read(path) == TEXT
    assert read(path, streams=[]) == path.read_bytes()


@pytest.mark.usefixtures("gzip_library")
def test_concatenated_members_are_all_read():
    data = b"".join(gzip.compress(part) for part in (b"one\n", b"", TEXT * 1000, b"last"))
    assert read(io.BytesIO(data), streams=["gz"]) == b"one\n" + TEXT * 1000 + b"last"


@pytest.mark.usefixtures("gzip_library")
def test_layers_are_undone_outermost_last(tmp_path: Path):
    path = tmp_path / "a.gz.gz"
    path.write_bytes(gzip.compress(gzip.compress(TEXT)))
    assert read(path) == TEXT


@pytest.mark.usefixtures("gzip_library")
def test_a_gzip_cut_at_any_length_is_refused(tmp_path: Path):
    whole = gzip.compress(TEXT)
    path = tmp_path / "a.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.gz: the gz data is (cut short|damaged)"):
            read(path)


@pytest.mark.usefixtures("gzip_library")
def test_a_second_member_cut_at_any_length_is_refused():
    first, second = gzip.compress(TEXT), gzip.compress(b"more")
    for length in range(1, len(second)):
        with pytest.raises(InputError, match="the gz data is"):
            read(io.BytesIO(first + second[:length]), streams=["gz"])


@pytest.mark.usefixtures("gzip_library")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(at=st.integers(0, len(gzip.compress(TEXT)) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(at: int, flip: int):
    data = bytearray(gzip.compress(TEXT))
    data[at] ^= flip
    with contextlib.suppress(InputError):
        assert read(io.BytesIO(data), streams=["gz"]) == TEXT


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("junk", [b"junk that is longer than a header", b"x", b"\x1f\x8b"])
def test_junk_after_the_last_member_is_refused(junk: bytes):
    with pytest.raises(InputError, match="the gz data is"):
        read(io.BytesIO(gzip.compress(TEXT) + junk), streams=["gz"])


@pytest.mark.usefixtures("gzip_library")
def test_a_file_that_is_no_gzip_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "a.gz"
    path.write_bytes(TEXT)
    with pytest.raises(InputError, match=r"a\.gz: the gz data is damaged .*streams"):
        read(path)


def test_damage_is_found_in_the_middle_of_reading_too(tmp_path: Path):
    whole = gzip.compress(os.urandom(4 << 20), 1)
    path = tmp_path / "a.gz"
    path.write_bytes(whole[:-1000])
    with open_reader(path) as stream:
        assert len(stream.read(1000)) == 1000
        with pytest.raises(InputError, match="cut short"):
            stream.read()


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file") as refusal:
        open_reader(tmp_path / "gone.csv")
    assert "\n" not in str(refusal.value)


def test_a_directory_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="this is a directory"):
        open_reader(tmp_path)


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(InputError, match="not a path"):
        open_reader("a\0b")


def test_a_file_without_read_permission_is_refused(public_folder: Path):
    path = public_folder / "secret.csv"
    path.write_bytes(TEXT)
    path.chmod(0)
    program = """
import os, sys
from penstock.errors import InputError
from penstock.streams import open_reader
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    open_reader(sys.argv[1])
except InputError as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{path}: there is no permission to read it; check its owner and mode\n"


def test_an_unknown_stream_is_refused_before_the_file_is_looked_for():
    with pytest.raises(ConfigurationError, match="no stream 'rar'"):
        open_reader("gone", streams=["rar"])


def test_an_error_of_the_system_while_reading_names_the_file():
    class Broken(io.RawIOBase):
        name = "tape"

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match="tape: reading failed: Input/output error"):
        read(Broken())


@pytest.mark.usefixtures("gzip_library")
def test_a_file_object_is_read_on_from_where_it_is_and_not_closed():
    source = io.BytesIO(b"skip" + gzip.compress(TEXT))
    source.seek(4)
    assert read(source, streams=["gz"]) == TEXT
    assert not source.closed


def test_a_file_object_of_text_is_refused():
    with pytest.raises(ConfigurationError, match="text mode"):
        open_reader(io.StringIO("a"))  # type: ignore[arg-type]


@pytest.mark.usefixtures("gzip_library")
def test_a_file_that_was_opened_is_closed_with_the_stream(tmp_path: Path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT))
    before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
    with open_reader(path) as stream:
        stream.read(1)
    assert stream.closed
    if sys.platform == "linux":
        assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.usefixtures("gzip_library")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=50))
def test_reads_of_any_size_give_the_same_bytes(data: bytes, sizes: list[int]):
    with open_reader(io.BytesIO(gzip.compress(data)), streams=["gz"]) as stream:
        pieces = [stream.read(size) for size in sizes]
        assert b"".join(pieces) + stream.read() == data
