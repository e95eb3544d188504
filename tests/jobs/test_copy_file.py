"""`CopyFile`."""

import gzip

import pytest

import penstock
from penstock.jobs import CopyFile
from penstock.states import State


def copy(driver, **values):
    job = CopyFile.create(**{name: str(v) if name in ("source", "target") else v for name, v in values.items()})
    driver.run()
    return job.reload()


def test_a_file_is_copied_byte_for_byte_whatever_its_name_says(driver, tmp_path):
    data = gzip.compress(b"text")
    (tmp_path / "a.gz").write_bytes(data)
    job = copy(driver, source=tmp_path / "a.gz", target=f"file://{tmp_path}/b.txt")
    assert (job.state, job.bytes_copied, job.percent_complete) == (State.COMPLETED, len(data), 100)
    assert (tmp_path / "b.txt").read_bytes() == data
    assert job.description == f"Copying to file://{tmp_path}/b.txt"


def test_with_convert_what_the_names_say_is_undone_and_done(driver, tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    copy(driver, source=tmp_path / "a.gz", target=tmp_path / "b.txt", convert=True)
    assert (tmp_path / "b.txt").read_bytes() == b"text"


def test_a_source_that_is_missing_leaves_the_target_and_is_tried_again(driver, tmp_path, clock):
    (tmp_path / "b").write_text("old")
    job = copy(driver, source=tmp_path / "a", target=tmp_path / "b")
    assert (job.state, (tmp_path / "b").read_text()) == (State.QUEUED, "old")
    assert "/a" in job.exception.message
    (tmp_path / "a").write_text("new")
    clock.advance(100)
    driver.run()
    assert (tmp_path / "b").read_text() == "new"


def test_credentials_are_stored_sealed_and_so_is_what_might_tell_them(driver, tmp_path, configured_store, keys):
    job = copy(driver, source="s3://bucket/a", target=tmp_path / "b", source_options={"secret": "hunter2"})
    row = configured_store.job(job.id)
    assert "hunter2" not in row.fields
    assert "no option 'secret'" in job.exception.message
    assert "no option" not in row.exception
    assert job.state == State.FAILED


def test_without_a_keyring_credentials_are_refused(configured_store):
    with pytest.raises(penstock.PenstockError, match="key"):
        CopyFile.create(source="s3://b/a", target="/tmp/b", source_options={"secret_access_key": "x"})
