import os
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock.errors import ConfigurationError
from penstock.streams.pipelines import pipeline_of
from penstock.streams.registry import known_codecs


def names(place: object, streams: list[str] | None = None) -> list[str]:
    return [step.codec.name for step in pipeline_of(place, streams)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv.gz", ["gz"]),
        ("a.csv.GZ", ["gz"]),
        ("a.gzip", ["gz"]),
        ("a.gz.gzip", ["gz", "gz"]),
        ("a.gz.csv", []),
        ("a.csv", []),
        ("a", []),
        ("gz", []),
        (".gz", []),
        ("a.gz.", []),
        ("folder.gz/a", []),
        ("", []),
        (Path("x/a.gz"), ["gz"]),
    ],
)
def test_a_pipeline_is_the_known_extensions_at_the_end_of_the_base_name(path: str | Path, expected: list[str]):
    assert names(path) == expected


def test_streams_override_the_name_and_an_empty_list_means_raw():
    assert names("a.csv", ["gz"]) == ["gz"]
    assert names("a.csv", [".GZIP"]) == ["gz"]
    assert names("a.csv.gz", []) == []


def test_an_open_file_has_no_pipeline_of_its_own(tmp_path: Path):
    with (tmp_path / "a.gz").open("wb") as file:
        assert names(file) == []


def test_an_unknown_stream_is_refused_with_the_known_ones_named():
    with pytest.raises(ConfigurationError, match=r"no stream 'rar'; known are: gz"):
        pipeline_of("a", ["rar"])


def test_every_codec_can_be_named_by_each_of_its_extensions():
    for codec in known_codecs():
        assert codec.name in codec.extensions
        assert all(pipeline_of("a", [extension])[0].codec is codec for extension in codec.extensions)


def test_importing_streams_imports_no_codec_library():
    program = """
import sys
old = set(sys.modules)
import penstock.streams
libraries = "gzip bz2 lzma zlib isal isal.igzip zipfile backports.zstd lz4 pyrage cryptography paramiko obstore ssl"
print(set(libraries.split()) & (set(sys.modules) - old))
"""
    # Without site: the start-up of an environment may import what it likes.
    path = str(Path(next(iter(penstock.__path__))).parent)
    answer = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "set()\n"
