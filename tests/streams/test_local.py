import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, InputError, OutputError
from penstock.streams import Scheme, file_system, open_reader, open_writer, register_scheme
from penstock.streams.places import name_of, without_credentials
from penstock.streams.schemes import table
from penstock.streams.schemes.globs import glob_of
from penstock.streams.schemes.local import LocalFiles


def test_a_file_url_is_the_path_it_names(tmp_path: Path):
    url = f"file://{tmp_path}/a%20b.csv.gz"
    with open_writer(url) as writer:
        writer.write(b"text")
    assert os.listdir(tmp_path) == ["a b.csv.gz"]
    for same in (url, f"file:{tmp_path}/a b.csv.gz", f"FILE://localhost{tmp_path}/a%20b.csv.gz"):
        with open_reader(same) as reader:
            assert reader.read() == b"text"
    with pytest.raises(InputError, match="a file: URL of another machine; write three slashes"):
        open_reader("file://tmp/a")
    with pytest.raises(OutputError, match="a file: URL of another machine"):
        open_writer("file://tmp/a")


def test_a_path_is_never_taken_for_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a%20b:c").write_bytes(b"text")
    for place in ("a%20b:c", Path("a%20b:c"), tmp_path / "a%20b:c"):
        with open_reader(place) as reader:
            assert reader.read() == b"text"


def test_an_unknown_scheme_and_an_unknown_option_are_refused(tmp_path: Path):
    for opened in (open_reader, open_writer):
        with pytest.raises(ConfigurationError, match="there is no scheme 'gopher'; known are: file, http, https, s3"):
            opened("gopher://me:secret@host/a")
        with pytest.raises(ConfigurationError, match="a: file has no option 'endpoint'; known are: none"):
            opened(tmp_path / "a", scheme_options={"endpoint": "x"})
    with pytest.raises(ConfigurationError, match="an open file has no option"), (tmp_path / "a").open("wb") as file:
        open_writer(file, scheme_options={"endpoint": "x"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host:1/a/b.csv?key=secret#secret", "https://host:1/a/b.csv"),
        ("sftp://me:se@cret@host/a", "sftp://host/a"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("file:/a", "file:/a"),
        ("http://[secret/a", "http://"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str):
    assert name_of(url) == without_credentials(url) == shown


def test_files_are_asked_for_moved_and_deleted(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"text")
    place = str(tmp_path / "a")
    with file_system(place) as files:
        assert files.exists(place)
        assert not files.exists(str(tmp_path))
        assert files.size(place) == 4
        files.move(place, f"file://{tmp_path}/new/folder/b")
        assert not files.exists(place)
        files.delete(place)
        files.delete(str(tmp_path / "new/folder/b"))
        assert not files.exists(str(tmp_path / "new/folder/b"))
        with pytest.raises(FileNotFoundError):
            files.size(place)


NAMES = ["a.csv", "B.CSV", "c.txt", ".hidden.csv", "x/d.csv", "x/y/e.csv", "x/.git/f.csv", "x/{g}.csv"]


@pytest.mark.parametrize(
    ("pattern", "options", "found"),
    [
        ("*.csv", {}, ["B.CSV", "a.csv"]),
        ("*.csv", {"case_sensitive": True}, ["a.csv"]),
        ("*.csv", {"hidden": True}, [".hidden.csv", "B.CSV", "a.csv"]),
        ("*.{csv,txt}", {}, ["B.CSV", "a.csv", "c.txt"]),
        ("{a.*,*.TXT}", {}, ["a.csv", "c.txt"]),
        ("?.csv", {}, ["B.CSV", "a.csv"]),
        ("??.csv", {}, []),
        ("[ac].*", {}, ["a.csv", "c.txt"]),
        ("[b-z].*", {}, ["B.CSV", "c.txt"]),
        ("[!a].*", {}, ["B.CSV", "c.txt"]),
        ("[z-a].csv", {}, ["a.csv"]),
        ("x[/]d.csv", {}, []),
        ("x[!q]d.csv", {}, []),
        ("x/[[{]g}.csv", {}, ["x/{g}.csv"]),
        ("**/*.csv", {}, ["B.CSV", "a.csv", "x/d.csv", "x/y/e.csv", "x/{g}.csv"]),
        ("x/**/*.csv", {"hidden": True}, ["x/.git/f.csv", "x/d.csv", "x/y/e.csv", "x/{g}.csv"]),
        ("*/*.csv", {}, ["x/d.csv", "x/{g}.csv"]),
        ("x/y/**", {}, ["x/y/e.csv"]),
        ("a.csv", {}, ["a.csv"]),
        ("A.csv", {}, []),
        (".hidden.csv", {}, [".hidden.csv"]),
        ("x", {}, []),
        ("gone/*", {}, []),
        ("a.csv/*", {}, []),
    ],
)
def test_patterns_find_files(tmp_path: Path, pattern: str, options: dict[str, Any], found: list[str]):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text")
    with file_system(tmp_path) as files:
        entries = sorted(files.children(f"{tmp_path}/{pattern}", **options))
    assert [os.path.relpath(entry.place, tmp_path) for entry in entries] == found
    assert {entry.size for entry in entries} <= {4}
    assert all(entry.modified.tzinfo for entry in entries)


@given(path=st.text(st.characters(exclude_characters="*{?["), min_size=1))
def test_a_pattern_without_wildcards_fits_itself_and_nothing_else(path: str):
    glob = glob_of(path, case_sensitive=False, hidden=False)
    assert glob.fits(path)
    assert not glob.fits(path + "x")


def test_a_scheme_of_ones_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Shelf(LocalFiles):
        def open_source(self, place: str) -> Any:
            return super().open_source(str(tmp_path / place.removeprefix("shelf://")))

    monkeypatch.setattr(table, "_SCHEMES", dict(table._SCHEMES))
    register_scheme(Scheme("shelf", lambda _place, _options: Shelf(), ("depth",)))
    (tmp_path / "a").write_bytes(b"text")
    with open_reader("shelf://a", scheme_options={"depth": 1}) as reader:
        assert reader.read() == b"text"
