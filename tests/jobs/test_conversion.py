"""`Conversion`: every pair of formats gives the same rows back."""

import importlib.util
import itertools
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.jobs import Conversion
from penstock.states import State
from penstock.streams import open_reader

DOCS = Path(__file__).parents[2] / "docs"


def script():
    spec = importlib.util.spec_from_file_location("conversions", DOCS / "conversions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()
ROWS, write, read = SCRIPT.ROWS, SCRIPT.write, SCRIPT.read


def convert(driver, source, target, **values):
    job = Conversion.create(source=str(source), target=str(target), destroy_on_complete=False, **values)
    driver.run()
    return job.reload()


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SCRIPT.SOURCES, SCRIPT.TARGETS)))
def test_every_pair_gives_the_same_rows_back(driver, tmp_path, source, target):
    if "parquet" in (source, target):
        pytest.importorskip("pyarrow")
    if source == "xlsx":
        pytest.importorskip("openpyxl")
    write(tmp_path / f"a.{source}", ROWS)
    job = convert(driver, tmp_path / f"a.{source}", tmp_path / f"b.{target}")
    assert job.state == State.COMPLETED, job.exception
    assert read(tmp_path / f"b.{target}") == ROWS


def test_the_table_in_the_docs_is_what_conversions_give_now():
    pytest.importorskip("pyarrow")
    pytest.importorskip("openpyxl")
    text = (DOCS / "jobs-included.md").read_text("utf-8")
    assert text == SCRIPT.page(text), "run: python docs/conversions.py"
    assert "differ" not in SCRIPT.table()


def test_lines_are_copied_where_no_name_tells_a_format(driver, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    convert(driver, tmp_path / "a.txt", tmp_path / "b.txt.zst")
    with open_reader(tmp_path / "b.txt.zst") as reader:
        assert reader.read() == b"one\n\ntwo\n"


def test_fixed_width_is_read_and_written_by_its_layout(driver, tmp_path):
    write(tmp_path / "a.csv", [{"id": "7", "name": "Ada"}])
    layout = {"layout": [{"size": 3, "key": "id"}, {"size": 5, "key": "name"}]}
    convert(driver, tmp_path / "a.csv", tmp_path / "b.txt", target_format="fixed", target_options=layout)
    assert (tmp_path / "b.txt").read_text() == "7  Ada  \n"
    convert(driver, tmp_path / "b.txt", tmp_path / "c.csv", source_format="fixed", source_options=layout)
    assert read(tmp_path / "c.csv") == [{"id": "7", "name": "Ada"}]


def test_columns_are_chosen_and_put_in_order(driver, tmp_path):
    write(tmp_path / "a.csv", ROWS)
    convert(driver, tmp_path / "a.csv", tmp_path / "b.csv", columns=["note", "id"])
    assert read(tmp_path / "b.csv") == [{"note": row["note"], "id": row["id"]} for row in ROWS]


def test_a_row_whose_columns_would_be_lost_fails_rather_than_lose_them(driver, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2, "b": 3}\n')
    job = convert(driver, tmp_path / "a.jsonl", tmp_path / "b.csv")
    assert job.state == State.FAILED
    (failed,) = job.each_failed_record()
    assert "columns that are not written: b" in str(failed)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"source": "a.txt", "target": "b.csv"}, "a.txt: its name tells no format; give source_format"),
        ({"source": "a.csv", "target": "b.txt"}, "b.txt: its name tells no format; give target_format"),
        ({"source": "a.csv", "target": "b.xlsx"}, "b.xlsx: xlsx files are only read"),
        ({"source": "a.csv", "target": "b.csv", "target_format": "wood"}, "wood"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(configured_store, values, told):
    with pytest.raises(ConfigurationError, match=told):
        Conversion.create(**values)
    assert not Conversion.query.exists()


def test_a_source_that_is_missing_fails_the_job_and_a_retry_goes_on(driver, tmp_path):
    job = convert(driver, tmp_path / "a.csv", tmp_path / "b.jsonl")
    assert job.state == State.FAILED
    assert "a.csv" in job.exception.summary
    write(tmp_path / "a.csv", ROWS)
    job.retry()
    driver.run()
    assert read(tmp_path / "b.jsonl") == ROWS
