"""Downloads and outputs: whole or refused, in the order of the input."""

import io
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from penstock import BatchJob, Result
from penstock.batch.rendering import render_line
from penstock.errors import ConfigurationError, JobIncomplete, OutputError


class Upper(BatchJob, kind="tests.batch.download.Upper"):
    slice_size = 2
    collect_output = True
    destroy_on_complete = False

    def perform(self, record):
        return record.upper() if isinstance(record, str) else record


class Parted(BatchJob, kind="tests.batch.download.Parted"):
    slice_size = 2
    output_categories = ["good", "bad"]  # noqa: RUF012

    def perform(self, record):
        return Result(record, "bad") if record % 2 else record


@pytest.fixture
def done(configured_store):
    job = Upper()
    job.upload(["a", "b", "c", "d", "e"])
    return job.perform_now()


def test_a_path_is_written_in_the_order_of_the_input(done, tmp_path):
    assert done.download(tmp_path / "out.txt") == 5
    assert (tmp_path / "out.txt").read_bytes() == b"A\nB\nC\nD\nE\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_an_open_file_is_written_and_left_open(done):
    target = io.BytesIO()
    assert done.download(target) == 5
    assert target.getvalue() == b"A\nB\nC\nD\nE\n"


def test_each_category_goes_where_it_is_sent(configured_store, tmp_path):
    job = Parted()
    job.upload(range(6))
    job.perform_now()
    assert (job.download(tmp_path / "good"), job.download(tmp_path / "bad", "bad")) == (3, 3)
    assert ((tmp_path / "good").read_text(), (tmp_path / "bad").read_text()) == ("0\n2\n4\n", "1\n3\n5\n")


def test_a_category_that_there_is_not_is_refused_by_name(done, tmp_path):
    with pytest.raises(KeyError, match="no output category 'other'"):
        done.download(tmp_path / "out.txt", "other")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("job_class", [Upper, Parted], ids=["collect_output", "output_categories"])
def test_a_second_download_without_a_target_goes_where_the_first_went(configured_store, tmp_path, job_class):
    job = job_class()
    job.upload([2, 4])
    job.perform_now()
    path = tmp_path / "out.txt"
    job.download(path)
    path.unlink()
    assert job.download() == 2
    assert path.read_text() == "2\n4\n"
    path.unlink()
    assert job.reload().download() == 2
    assert path.exists()


def test_a_download_without_any_target_is_refused(done):
    with pytest.raises(ConfigurationError, match="no target"):
        done.download()


def test_an_incomplete_job_is_refused_and_the_old_file_stays(configured_store, tmp_path):
    job = Upper()
    job.upload(["a"])
    job.save()
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(JobIncomplete, match="is queued"):
        job.download(path)
    assert path.read_text() == "old"


def test_partial_writes_what_there_is(configured_store, tmp_path):
    class Breaks(Upper):
        def perform(self, record):
            if record == "d":
                raise ValueError(record)
            return record

    job = Breaks()
    job.upload(list("abcdef"))
    with pytest.raises(ValueError, match="d"):
        job.perform_now()
    assert job.download(tmp_path / "out.txt", partial=True) == 3
    assert (tmp_path / "out.txt").read_text() == "a\nb\nc\n"


@pytest.mark.parametrize("partial", [False, True])
def test_a_destroyed_job_is_refused_and_the_old_file_stays(configured_store, done, tmp_path, partial):
    path = tmp_path / "out.txt"
    path.write_text("old")
    configured_store.destroy_job(done.id)
    with pytest.raises(JobIncomplete, match="is gone"):
        done.download(path, partial=partial)
    assert path.read_text() == "old"


def test_a_target_that_cannot_be_written_is_an_output_error(done, tmp_path):
    with pytest.raises(OutputError):
        done.download(tmp_path / "nowhere" / "out.txt")
    with pytest.raises(OutputError):
        done.download(tmp_path)


def test_a_download_that_breaks_leaves_the_old_file(done, tmp_path, monkeypatch):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def broken(_):
        raise RuntimeError("broken")

    from penstock.batch.download import download_output

    with pytest.raises(RuntimeError):
        download_output(done, path, None, partial=False, progress=broken)
    assert [
        (one.name, one.read_text())
        for one in tmp_path.iterdir()
        if one.name != "penstock.db" and one.suffix in (".txt", ".part")
    ] == [("out.txt", "old")]


def test_output_iterates_slices_and_in_them_records_with_their_types(configured_store):
    job = Upper()
    given = ["a", 1, None, (1, 2), Decimal("1.0"), date(2026, 1, 1), b"x"]
    job.upload(given)
    job.perform_now()
    slices = list(job.output)
    assert [(output.number, len(output)) for output in slices] == [(1, 2), (2, 2), (3, 2), (4, 1)]
    assert list(slices[0]) == ["A", 1]
    found = list(job.output.records())
    assert found == ["A", *given[1:]]
    assert list(map(type, found)) == list(map(type, ["A", *given[1:]]))


def test_output_of_another_category_is_got_by_name(configured_store):
    job = Parted()
    job.upload(range(5))
    job.perform_now()
    assert list(job.output.records()) == [0, 2, 4]
    assert list(job.output["bad"].records()) == [1, 3]
    with pytest.raises(KeyError):
        _ = job.output["other"]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ("text", b"text\n"),
        ("ä", "ä\n".encode()),
        ("", b"\n"),
        (None, b"\n"),
        (b"\xff", b"\xff\n"),
        (1, b"1\n"),
        (1.5, b"1.5\n"),
        (True, b"true\n"),
        (Decimal("1.10"), b"1.10\n"),
        (date(2026, 1, 2), b"2026-01-02\n"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), b"2026-01-02T03:04:00Z\n"),
        (uuid.UUID(int=1), b"00000000-0000-0000-0000-000000000001\n"),
        ([1, "ä", None], '[1, "ä", null]\n'.encode()),
        ((1, 2), b"[1, 2]\n"),
        ({"a": {"b": Decimal("2")}}, b'{"a": {"b": "2"}}\n'),
        (1 << 70, b"1180591620717411303424\n"),
        ([b"\xff\xfe"], None),
        (float("inf"), None),
        ([float("nan")], None),
    ],
    ids=repr,
)
def test_a_record_is_rendered_as_one_line(record, line):
    rendered = render_line(record)
    assert rendered.count(b"\n") == 1
    assert rendered.endswith(b"\n")
    if line is not None:
        assert rendered == line
