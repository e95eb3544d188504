import io
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.streams.cases import STREAMS, Trickle, encoded

from penstock.errors import ConfigurationError, InputError
from penstock.streams import open_reader, open_writer

TEXT = b"some text of the file\n" * 5000


def archive(**entries: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("folder/", b"")
        for name, data in entries.items():
            made.writestr(name, data)
    return target.getvalue()


def read(source: Any, **options: Any) -> bytes:
    with open_reader(source, streams=[("zip", options)]) as reader:
        return reader.read()


@pytest.mark.parametrize("opened", [io.BytesIO, Trickle])
def test_the_first_file_is_read_or_the_one_that_is_named(opened: Any):
    data = archive(one=TEXT, two=b"2")
    assert read(opened(data)) == TEXT
    assert read(opened(data), entry="two") == b"2"


def test_an_entry_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"holds no 'x'; it holds a, b, c, d, e and 1 more"):
        read(io.BytesIO(archive(a=b"", b=b"", c=b"", d=b"", e=b"", f=b"")), entry="x")
    with pytest.raises(InputError, match="the zip archive holds no file"):
        read(io.BytesIO(archive()))
    with pytest.raises(ConfigurationError, match="entry of zip is the name of a file"):
        read(io.BytesIO(archive()), entry=1)


def test_a_file_object_is_read_from_where_it_is():
    source = io.BytesIO(b"skip" + archive(one=TEXT))
    source.seek(4)
    assert read(source) == TEXT


@pytest.mark.parametrize(
    ("name", "streams", "entry"),
    [
        ("a.csv.zip", None, "a.csv"),
        ("a.csv.ZIP", None, "a.csv"),
        ("a.csv.gz.zip", None, "a.csv.gz"),
        ("a.csv.zip.gz", None, "a.csv"),
        ("a.dat", ["zip"], "a.dat"),
        ("a.dat", [("zip", {"entry": "b.csv"})], "b.csv"),
    ],
)
def test_the_one_entry_is_named_like_the_file(tmp_path: Path, name: str, streams: Any, entry: str):
    with open_writer(tmp_path / name, streams=streams) as writer:
        writer.write(TEXT)
    raw = [stream for stream in ("gz",) if name.endswith("zip.gz")]
    with open_reader(tmp_path / name, streams=raw) as reader, zipfile.ZipFile(io.BytesIO(reader.read())) as made:
        assert made.namelist() == [entry]
        assert made.testzip() is None


def test_an_entry_of_a_nameless_file_is_called_file():
    with zipfile.ZipFile(io.BytesIO(encoded(b"", "zip"))) as made:
        assert made.namelist() == ["file"]


@pytest.mark.parametrize("data", [b"", TEXT])
def test_unzip_reads_ours_and_we_read_those_of_zip(tmp_path: Path, data: bytes):
    with open_writer(tmp_path / "a.csv.zip") as writer:
        writer.write(data)
    subprocess.run(["unzip", "-tq", tmp_path / "a.csv.zip"], check=True, capture_output=True)
    told = subprocess.run(["unzip", "-p", tmp_path / "a.csv.zip", "a.csv"], check=True, capture_output=True)
    assert told.stdout == data
    (tmp_path / "b").write_bytes(data)
    subprocess.run(["zip", "-q", "b.zip", "b"], check=True, cwd=tmp_path)
    with open_reader(tmp_path / "b.zip") as reader:
        assert reader.read() == data


def test_an_entry_in_another_compression_is_refused():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("one", TEXT)
    with pytest.raises(InputError, match=r"'one' is encrypted, or not deflated; pack it anew with zip"):
        read(io.BytesIO(target.getvalue()))


def test_a_changed_checksum_or_name_is_refused():
    data = archive(one=TEXT)
    directory = data.rindex(b"PK\1\2")
    for at in (directory + 16, directory + 24, directory + 46):
        broken = bytearray(data)
        broken[at] ^= 0x10
        with pytest.raises(InputError, match="the zip data is damaged"):
            read(io.BytesIO(broken))


def test_what_is_spooled_is_sealed_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made: list[Any] = []

    def temporary(**_: Any) -> Any:
        made.append((tmp_path / "spool").open("w+b"))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    data = b"".join(b"%d: secret text\n" % number for number in range(30_000))
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archived:
        archived.writestr("one", data)
    sealed = encoded(stored.getvalue(), "age")
    with open_reader(io.BytesIO(sealed), streams=["zip", STREAMS["age"]]) as reader:
        assert reader.read() == data
        made[0].flush()
        spooled = (tmp_path / "spool").read_bytes()
    assert len(spooled) == len(stored.getvalue())
    assert b"secret" not in spooled
    assert b"PK\3\4" not in spooled
    assert made[0].closed
