import errno
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, OutputError
from penstock.streams import open_reader, open_writer

DROPPED = """
import os, sys
from penstock.errors import OutputError
from penstock.streams import open_writer
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    open_writer(sys.argv[1])
except OutputError as error:
    print(error)
"""


class BodyFailed(Exception):
    pass


def write_and_fail(path: Path) -> None:
    with open_writer(path) as writer:
        writer.write(b"new" * 1_000_000)
        raise BodyFailed


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_in_place_only_after_a_clean_exit(tmp_path: Path):
    path = tmp_path / "a.csv"
    with open_writer(path) as writer:
        writer.write(b"new")
        writer.flush()
        assert not path.exists()
        (part,) = names_in(tmp_path)
        assert part.startswith(".a.csv.")
        assert part.endswith(".part")
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.csv"]


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_an_exception_leaves_the_old_file_and_no_part_of_the_new(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(BodyFailed):
        write_and_fail(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == [name]


@pytest.mark.parametrize("end", [lambda writer: writer.close(), lambda writer: writer.discard()])
def test_a_writer_closed_without_commit_leaves_nothing(tmp_path: Path, end: Callable[[io.BufferedWriter], None]):
    writer = open_writer(tmp_path / "a.gz")
    writer.write(b"new")
    end(writer)
    assert names_in(tmp_path) == []
    with pytest.raises(OutputError, match="closed before it was committed"):
        writer.commit()


def test_a_forgotten_writer_leaves_nothing(tmp_path: Path):
    open_writer(tmp_path / "a").write(b"new")
    assert names_in(tmp_path) == []


def test_closing_inside_the_block_is_told_rather_than_taken_for_success(tmp_path: Path):
    with (
        pytest.raises(OutputError, match="closed before"),
        open_writer(tmp_path / "a") as writer,
        io.TextIOWrapper(writer) as text,
    ):
        text.write("new")
    assert names_in(tmp_path) == []


def test_commit_puts_in_place_and_discard_after_it_does_nothing(tmp_path: Path):
    writer = open_writer(tmp_path / "a")
    writer.write(b"new")
    writer.commit()
    writer.discard()
    writer.close()
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.usefixtures("gzip_library")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(chunks=st.lists(st.binary(max_size=2000), max_size=20), name=st.sampled_from(["a", "a.gz", "a.gz.gz"]))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], name: str):
    path = tmp_path_factory.mktemp("round") / name
    with open_writer(path) as writer:
        for chunk in chunks:
            assert writer.write(chunk) == len(chunk)
    with open_reader(path) as reader:
        assert reader.read() == b"".join(chunks)


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("data", [b"", b"text\n", b"text\n" * 1_000_000])
def test_gzip_itself_reads_what_is_written(tmp_path: Path, data: bytes):
    path = tmp_path / "a.gz"
    with open_writer(path) as writer:
        writer.write(data)
    subprocess.run(["gzip", "-t", str(path)], check=True)
    assert subprocess.run(["gzip", "-dc", str(path)], check=True, capture_output=True).stdout == data


@pytest.mark.usefixtures("gzip_library")
def test_the_same_input_gives_the_same_bytes_under_any_name(tmp_path: Path):
    for name in ("a.gz", "b.gz"):
        with open_writer(tmp_path / name) as writer:
            writer.write(b"text\n" * 1000)
    first = (tmp_path / "a.gz").read_bytes()
    assert first == (tmp_path / "b.gz").read_bytes()
    assert first[4:8] == bytes(4)


def test_a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own(tmp_path: Path):
    with open_writer(tmp_path / "new"):
        pass
    (tmp_path / "plain").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").chmod(0o640)
    with open_writer(tmp_path / "plain"):
        pass
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o640


def test_a_link_keeps_pointing_at_the_file_that_is_replaced(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with open_writer(tmp_path / "link") as writer:
        writer.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_long_name_leaves_room_for_the_temporary_one(tmp_path: Path):
    path = tmp_path / ("ä" * 127)
    with open_writer(path) as writer:
        writer.write(b"new")
    assert path.read_bytes() == b"new"


def test_what_is_no_regular_file_is_written_as_it_is(tmp_path: Path):
    with open_writer("/dev/null") as writer:
        writer.write(b"gone")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with open_writer(pipe) as writer:
        writer.write(b"through")
    reader.join()
    assert got == [b"through"]
    assert pipe.is_fifo()


def test_dev_stdout_is_written_and_not_replaced(tmp_path: Path):
    program = "from penstock.streams import open_writer\nwith open_writer('/dev/stdout') as w: w.write(b'out')"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
        assert os.fstat(out.fileno()).st_size == 3
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("gone/a", "its folder does not exist"), ("", "this is a directory"), ("gone/", "this is a directory")],
)
def test_a_target_that_cannot_be_is_refused_by_name(tmp_path: Path, name: str, told: str):
    with pytest.raises(OutputError, match=told) as refusal:
        open_writer(f"{tmp_path}/{name}")
    assert str(refusal.value).startswith(f"{tmp_path}/{name}: ")
    assert names_in(tmp_path) == []


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(OutputError, match="not a path"):
        open_writer("a\0b")


@pytest.mark.parametrize("writable_folder", [True, False])
def test_a_target_without_write_permission_is_refused(public_folder: Path, writable_folder: bool):
    path = public_folder / "a.csv"
    if writable_folder:
        path.write_bytes(b"old")
        path.chmod(0o444)
    public_folder.chmod(0o777 if writable_folder else 0o555)
    answer = subprocess.run([sys.executable, "-c", DROPPED, str(path)], capture_output=True, text=True, check=True)
    public_folder.chmod(0o755)
    assert answer.stdout.startswith(f"{path}: there is no permission to write it")
    assert names_in(public_folder) == (["a.csv"] if writable_folder else [])


def test_a_full_device_is_told():
    with pytest.raises(OutputError, match=r"/dev/full: the disk is full"), open_writer("/dev/full") as writer:
        writer.write(b"x" * 100)


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_nothing_behind_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / name).write_bytes(b"old")
    writer = open_writer(tmp_path / name)
    writer.write(b"new" * 10)
    if call == "write":
        monkeypatch.setattr(writer._sink, "_write_all", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"the disk is full; .*nothing was left behind"):
        writer.commit()
    assert (tmp_path / name).read_bytes() == b"old"
    assert names_in(tmp_path) == [name]


def test_a_file_that_may_grow_no_more_leaves_nothing_behind(tmp_path: Path):
    program = """
import resource, sys
from penstock.errors import OutputError
from penstock.streams import open_writer
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with open_writer(sys.argv[1], streams=[]) as writer:
        for _ in range(10):
            writer.write(b"x" * (1 << 20))
except OutputError as error:
    print(error)
"""
    path = str(tmp_path / "a")
    answer = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{path}: writing failed: File too large; nothing was left behind\n"
    assert names_in(tmp_path) == []


@pytest.mark.usefixtures("gzip_library")
@pytest.mark.parametrize("streams", [[], ["gz"]])
def test_a_file_object_is_written_through_and_not_closed(streams: list[str]):
    target = io.BytesIO()
    with open_writer(target, streams=streams) as writer:
        writer.write(b"text")
    assert (gzip.decompress(target.getvalue()) if streams else target.getvalue()) == b"text"


def test_a_file_object_is_flushed_and_gets_all_even_when_it_takes_little_at_once():
    class Slow(io.RawIOBase):
        taken = b""
        flushed = False

        def writable(self) -> bool:
            return True

        def write(self, data: memoryview) -> int:  # type: ignore[override]
            self.taken += bytes(data[:3])
            return len(data[:3])

        def flush(self) -> None:
            self.flushed = True

    slow = Slow()
    with open_writer(slow, streams=["gz"]) as writer:  # type: ignore[arg-type]
        writer.write(b"text")
    assert gzip.decompress(slow.taken) == b"text"
    assert slow.flushed
    assert not slow.closed


def test_a_broken_pipe_of_a_file_object_passes_through():
    reading, writing = os.pipe()
    os.close(reading)
    with (
        open(writing, "wb", buffering=0) as pipe,
        pytest.raises(BrokenPipeError),
        open_writer(pipe) as writer,
    ):
        writer.write(b"text")


def test_a_file_object_of_text_and_an_unknown_stream_are_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="text mode"):
        open_writer(io.StringIO())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no stream 'rar'"):
        open_writer(tmp_path / "a", streams=["rar"])
    assert names_in(tmp_path) == []


def test_a_forked_child_that_forgets_its_copy_leaves_the_parents_file(tmp_path: Path):
    program = """
import os, sys
from penstock.streams import open_writer
with open_writer(sys.argv[1]) as writer:
    writer.write(b"whole")
    child = os.fork()
    if not child:
        writer.close()
        os._exit(0)
    os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], check=True)
    assert (tmp_path / "a").read_bytes() == b"whole"
