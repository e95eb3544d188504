"""Outputs of batch jobs as people get them."""

import io

import pytest

from penstock import BatchJob, Job, Result
from penstock.errors import ConfigurationError, JobIncomplete, JobNotFound
from penstock.ids import new_id
from penstock.model import kinds
from penstock.service.outputs import download_job


class Turned(BatchJob, kind="tests.service.outputs.Turned"):
    slice_size = 2
    output_categories = ["main", "short"]  # noqa: RUF012

    def perform(self, record):
        if record == "bad":
            raise ValueError("is bad")
        return Result(record, "short") if len(record) < 2 else record[::-1]


class Plain(Job, kind="tests.service.outputs.Plain"):
    def perform(self):
        return None


@pytest.fixture
def job(configured_store):
    made = Turned()
    made.upload(["abc", "d", "efg"])
    made.perform_now()
    return made


def test_an_output_is_written_in_input_order_and_its_file_is_remembered(configured_store, job, tmp_path):
    path = tmp_path / "out.txt"
    view = download_job(configured_store, job.id, str(path), by="ada")
    assert view == {"id": str(job.id), "category": "main", "file": str(path), "records": 2}
    assert path.read_text() == "cba\ngfe\n"
    path.unlink()
    assert download_job(configured_store, job.id, by="ada")["file"] == str(path)
    assert path.exists()


def test_another_output_goes_to_an_open_file(configured_store, job):
    stream = io.BytesIO()
    view = download_job(configured_store, job.id, stream, category="short", by="ada")
    assert (view["file"], view["records"], stream.getvalue()) == (None, 1, b"d\n")


def test_the_class_need_not_be_imported(configured_store, job, tmp_path):
    kinds.forget(Turned.kind)
    try:
        assert download_job(configured_store, job.id, str(tmp_path / "out.txt"), by="ada")["records"] == 2
    finally:
        kinds.register(Turned, ())


def test_a_job_that_is_not_completed_gives_what_there_is_only_when_asked_for_a_part(configured_store, tmp_path):
    job = Turned()
    job.upload(["abc", "def", "ghi", "bad"])
    with pytest.raises(ValueError, match="is bad"):
        job.perform_now()
    configured_store.update_job(job.id, {"draft": False})
    path = tmp_path / "out.txt"
    with pytest.raises(JobIncomplete, match="--partial"):
        download_job(configured_store, job.id, str(path), by="ada")
    assert not path.exists()
    assert download_job(configured_store, job.id, str(path), partial=True, by="ada")["records"] == 3


def test_what_cannot_be_written_is_refused(configured_store, job):
    with pytest.raises(ConfigurationError, match="it has: main, short"):
        download_job(configured_store, job.id, "out.txt", category="none", by="ada")
    with pytest.raises(ConfigurationError, match="--output"):
        download_job(configured_store, job.id, by="ada")
    with pytest.raises(ConfigurationError, match="no batch job"):
        download_job(configured_store, Plain.create().id, "out.txt", by="ada")
    with pytest.raises(JobNotFound):
        download_job(configured_store, new_id(), "out.txt", by="ada")
