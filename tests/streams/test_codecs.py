"""What holds for every codec: round trips, the reference programs, damage, memory."""

import contextlib
import errno
import gc
import io
import itertools
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams.cases import STREAMS, Trickle, decoded, encoded

from penstock.errors import ConfigurationError, InputError, MissingExtra, OutputError, SealError
from penstock.streams import open_reader, open_writer

TEXT = b"".join(b"%d,some text\n" % number for number in range(2000))
LONG = random.Random(1).randbytes(300_000) + bytes(300_000) + TEXT * 10
SLOW = {"pgp"}
"""They start a program each time."""
FAST = sorted(STREAMS.keys() - SLOW)
TOOLS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "lz4": "lz4"}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("data", [b"", b"\0", b"a", TEXT, bytes(100_000), LONG, LONG[:65536], LONG[:131_072]])
def test_what_is_written_is_read_back(name: str, data: bytes):
    assert decoded(encoded(data, name), name) == data


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=50)
@given(data=st.binary(max_size=3000), chunk=st.integers(1, 100), sizes=st.lists(st.integers(1, 9), max_size=30))
def test_chunks_and_reads_of_any_size_give_the_same_bytes(name: str, data: bytes, chunk: int, sizes: list[int]):
    sealed = encoded(data, name, chunk=chunk)
    with open_reader(Trickle(sealed), streams=[STREAMS[name]]) as reader:  # type: ignore[arg-type]
        assert b"".join(reader.read(size) for size in sizes) + reader.read() == data


@pytest.mark.parametrize("name", STREAMS)
def test_reads_of_one_byte_and_unbuffered_ones_give_the_same_bytes(name: str):
    with open_reader(io.BytesIO(encoded(TEXT[:3000], name)), streams=[STREAMS[name]]) as reader:
        assert b"".join(iter(lambda: reader.raw.read(1), b"")) == TEXT[:3000]  # type: ignore[attr-defined]


@pytest.mark.parametrize("pair", list(itertools.product(STREAMS, STREAMS)), ids=".".join)
@pytest.mark.parametrize("data", [b"", TEXT])
def test_codecs_stand_in_each_other(pair: tuple[str, str], data: bytes):
    assert decoded(encoded(data, *pair), *pair) == data


@settings(max_examples=60)
@given(names=st.lists(st.sampled_from(FAST), max_size=4), data=st.binary(max_size=500))
def test_any_stack_of_codecs_comes_back(names: list[str], data: bytes):
    assert decoded(encoded(data, *names), *names) == data


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("data", [b"", TEXT, LONG])
def test_the_program_of_the_format_reads_ours_and_we_read_its(tmp_path: Path, name: str, data: bytes):
    path = tmp_path / f"a.{name}"
    with open_writer(path) as writer:
        writer.write(data)
    told = subprocess.run([TOOLS[name], "-dc", path], capture_output=True, check=True)
    assert told.stdout == data
    path.write_bytes(subprocess.run([TOOLS[name], "-c"], input=data, capture_output=True, check=True).stdout)
    with open_reader(path) as reader:
        assert reader.read() == data


@pytest.mark.parametrize("name", TOOLS)
def test_members_are_all_read(name: str):
    parts = [b"one\n", b"", LONG, b"last"]
    assert decoded(b"".join(encoded(part, name) for part in parts), name) == b"".join(parts)
    many = b"".join(encoded(b"%d\n" % number, name) for number in range(300))
    assert decoded(many, name).split() == [b"%d" % number for number in range(300)]


@pytest.mark.parametrize("name", TOOLS)
def test_the_last_member_cut_short_is_refused(name: str):
    first, second = encoded(TEXT, name), encoded(b"more", name)
    for length in range(1, len(second)):
        with pytest.raises(InputError, match=f"the {name} data is (cut short|damaged)"):
            decoded(first + second[:length], name)


def test_xz_may_be_padded_in_fours():
    first, second = encoded(b"one", "xz"), encoded(b"two", "xz")
    assert decoded(first + bytes(8) + second + bytes(70_000), "xz") == b"onetwo"
    for wrong in (first + bytes(3), first + bytes(5) + second):
        with pytest.raises(InputError, match="the xz data is"):
            decoded(wrong, "xz")


@pytest.mark.parametrize("name", STREAMS)
def test_an_empty_file_is_cut_short(name: str):
    for source in (io.BytesIO(), Trickle(b"")):
        with pytest.raises(InputError, match=f"the {name} data is cut short; fetch it again"):
            decoded(source, name)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("data", [b"", TEXT[:200], LONG[:150_000]], ids=["empty", "short", "long"])
def test_data_cut_at_any_length_is_refused(name: str, data: bytes):
    whole = encoded(data, name)
    lengths = {1, 2, len(whole) - 1, len(whole) - 2, *range(0, len(whole), len(whole) // 25 + 1)}
    for length in list(lengths)[:: 6 if name in SLOW else 1]:
        with pytest.raises(InputError, match=f"the {name} data is"):
            decoded(whole[:length], name)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("data", [b"", TEXT[:500], LONG[:150_000]], ids=["empty", "short", "long"])
def test_a_changed_byte_is_refused_or_changes_nothing(name: str, data: bytes):
    whole = encoded(data, name)
    for at in range(0, len(whole), len(whole) // (7 if name in SLOW else 150) + 1):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        with contextlib.suppress(InputError, SealError):
            assert decoded(bytes(broken), name) == data, at


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("junk", [b"x", b"junk that is longer than a header", bytes(7)])
def test_junk_behind_the_data_is_refused(name: str, junk: bytes):
    if name == "gz" and not any(junk):
        assert decoded(encoded(TEXT, name) + junk, name) == TEXT  # as gzip itself does: tapes were padded
        return
    with pytest.raises(InputError, match=f"the {name} data is"):
        decoded(encoded(TEXT, name) + junk, name)


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_something_else_is_refused_by_name(tmp_path: Path, name: str):
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT)
    with (
        open_reader(path, streams=[STREAMS[name]]) as reader,
        pytest.raises(InputError, match=rf"a\.csv: the {name} data is damaged .*streams") as refusal,
    ):
        reader.read()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", [name for name in FAST if name not in ("age", "enc", "pgp")])
def test_the_same_input_gives_the_same_bytes(name: str):
    assert encoded(TEXT, name) == encoded(TEXT, name)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("end", ["close", "discard", "forget", "raise"])
def test_a_writer_that_is_not_committed_leaves_nothing_and_nothing_running(tmp_path: Path, name: str, end: str):
    def leave() -> None:
        writer = open_writer(tmp_path / "a", streams=[STREAMS[name]])
        writer.write(LONG)
        writer.write(LONG * 3)
        if end == "raise":
            with contextlib.suppress(ZeroDivisionError), writer:
                _ = 1 / 0
        elif end != "forget":
            getattr(writer, end)()

    leave()
    assert list(tmp_path.iterdir()) == []
    assert_nothing_runs()


@pytest.mark.parametrize("names", [["age", "pgp"], ["pgp", "age"], ["age", "age"], ["zip", "enc", "age"]], ids=".".join)
@pytest.mark.parametrize("end", ["close", "forget", "full", "break"])
def test_stacks_that_are_not_committed_leave_nothing_running_either(names: list[str], end: str):
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if end in ("full", "break"):
                raise OSError(errno.ENOSPC, "No space left on device") if end == "full" else KeyboardInterrupt
            return super().write(data)

    def leave() -> None:
        writer = open_writer(Full(), streams=[STREAMS[name] for name in names])
        if end in ("full", "break"):
            with writer:
                writer.write(LONG * 8)
        writer.write(LONG * 8)
        if end == "close":
            writer.close()

    expected = {"full": pytest.raises(OutputError, match="the disk is full"), "break": pytest.raises(KeyboardInterrupt)}
    with expected.get(end, contextlib.nullcontext()):
        leave()
    assert_nothing_runs()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("end", ["close", "forget"])
def test_a_reader_left_in_the_middle_leaves_nothing_running(name: str, end: str):
    reader = open_reader(io.BytesIO(encoded(LONG * 3, name)), streams=[STREAMS[name]])
    assert reader.read(10) == LONG[:10]
    if end == "close":
        reader.close()
    del reader
    assert_nothing_runs()


def assert_nothing_runs() -> None:
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name == "penstock-age"] == []
    assert [stat for stat in process_stats() if "(gpg)" in stat and f" {os.getpid()} " in stat.rpartition(")")[2]] == []


def process_stats() -> Iterator[str]:
    """What Linux tells of each process: its name in parentheses, then its state and its parent."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield " ".join(stat.read_text().split()[:4]) + " "


@pytest.mark.parametrize("name", ["gz", "bz2", "xz", "zst", "lz4", "zip"])
def test_a_level_is_a_whole_number_in_its_range(name: str):
    for level in (1, 9):
        target = io.BytesIO()
        with open_writer(target, streams=[(name, {"level": level})]) as writer:
            writer.write(TEXT)
        assert decoded(target.getvalue(), name) == TEXT
    for wrong in (-1, 99, "9", 1.5, True):
        with pytest.raises(ConfigurationError, match=f"level of {name} is a whole number from"):
            open_writer(io.BytesIO(), streams=[(name, {"level": wrong})])


@pytest.mark.parametrize(("name", "module"), [("lz4", "lz4.frame"), ("zst", "backports.zstd")])
def test_a_library_that_is_missing_is_named_with_the_line_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, module: str
):
    if sys.version_info >= (3, 14) and name == "zst":
        pytest.skip("part of the standard library")
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / f"a.{name}").touch()
    for opened in (open_reader, open_writer):
        with pytest.raises(MissingExtra, match=rf"the {name} codec needs .*: pip install 'penstock\[files\]'"):
            opened(tmp_path / f"a.{name}")
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{name}"]


MEMORY = """
import io, os, sys
from penstock.streams import open_reader, open_writer
from tests.streams.cases import STREAMS

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

streams, path, megabytes = [STREAMS[sys.argv[1]]], sys.argv[2], int(sys.argv[3])
block = os.urandom(1 << 17) + bytes(7 << 17)
with open_writer(path, streams=streams) as writer:
    for _ in range(megabytes):
        writer.write(block)
written = peak()
with open_reader(path, streams=streams) as reader:
    assert sum(len(data) for data in iter(lambda: reader.read(1 << 20), b"")) == megabytes << 20
print(written, peak())
"""


@pytest.mark.process
@pytest.mark.linux
@pytest.mark.parametrize("name", STREAMS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str):
    def peaks(megabytes: int) -> list[int]:
        arguments = [sys.executable, "-c", MEMORY, name, str(tmp_path / "a"), str(megabytes)]
        told = subprocess.run(arguments, capture_output=True, text=True, check=True)
        return [int(kilobytes) for kilobytes in told.stdout.split()]

    few, many = (4, 40) if name in ("bz2", "xz", "pgp") else (20, 200)
    for small, large in zip(peaks(few), peaks(many), strict=True):
        assert large - small < 20_000
