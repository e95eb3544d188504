"""Formats by name and by file name."""

from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.tabular import TextFormat, format_named, format_of, register_format, registry
from penstock.tabular.delimited import Psv


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(registry, "_own", {})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("users.csv", "csv"),
        ("users.csv.gz", "csv"),
        ("/data.psv/a.psv.enc", "psv"),
        ("/data.psv/a.txt", None),
        (Path("A.TSV.GZ.PGP"), "tsv"),
        ("a.2026-01-01.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.tab", "tsv"),
        ("csv", None),
        (".csv", None),
        ("csv.gz", None),
        ("a.csv.psv", "psv"),
        ("a.json", None),
        ("a.", None),
        ("", None),
    ],
)
def test_a_format_is_found_anywhere_among_the_extensions(path, name):
    assert format_of(path) == name


@pytest.mark.parametrize("name", ["csv", "tsv", "psv", "jsonl"])
def test_a_text_format_is_one(name):
    found = format_named(name)
    assert isinstance(found, TextFormat)
    assert found.name == name


def test_a_format_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(
        ConfigurationError, match="there is no format 'cvs'; known are: csv, tsv, psv, jsonl, fixed, parquet, xlsx"
    ):
        format_named("cvs")


def test_a_format_of_your_own_is_found_by_name_and_extension():
    register_format("colons", lambda **options: Psv(delimiter=":", **options), extensions=[".COL"])
    assert format_of("a.col.gz") == "colons"
    assert list(format_named("colons").parse(["1:2"], ["a", "b"])) == [{"a": "1", "b": "2"}]


def test_a_format_of_your_own_may_be_replaced_but_not_one_of_penstocks():
    register_format("colons", Psv)
    register_format("colons", Psv)
    with pytest.raises(ConfigurationError, match="the format 'csv' is there already; give yours another name"):
        register_format("csv", Psv)
