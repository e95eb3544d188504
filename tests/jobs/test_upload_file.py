"""`UploadFile` by hand."""

import pytest

import penstock
from penstock import BatchJob, Singleton, after_create
from penstock import clock as penstock_clock
from penstock.errors import ConfigurationError, UnknownKind
from penstock.jobs import UploadFile
from penstock.jobs.sights import Sight
from penstock.states import State


class Load(BatchJob, kind="tests.jobs.upload_file.Load"):
    destroy_on_complete = False
    label: str = "plain"

    def perform(self, line):
        return None


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1\n2\n")
    return path


def test_a_file_becomes_a_job_and_stays_where_it_is(driver, source):
    UploadFile.create(source=str(source), job_kind=Load.kind, properties={"label": "x"}, description="by hand")
    driver.run()
    (job,) = Load.query
    assert (job.state, job.record_count, job.label, job.description) == (State.COMPLETED, 2, "x", "by hand")
    assert source.exists()
    assert UploadFile.query.count() == 0


def test_here_and_now_it_does_the_same(configured_store, source):
    UploadFile(source=str(source), job_kind=Load.kind).perform_now()
    assert Load.query.queued.count() == 1


def test_a_missing_file_fails_it_with_its_name_and_leaves_no_job(driver, source):
    source.unlink()
    job = UploadFile.create(source=str(source), job_kind=Load.kind)
    driver.run()
    assert job.reload().state == State.FAILED
    assert str(source) in job.exception.message
    assert penstock.Job.query.count() == 1
    source.write_text("1\n")
    job.retry()
    driver.run()
    assert Load.query.completed.count() == 1


class Alone(Singleton, BatchJob, kind="tests.jobs.upload_file.Alone"):
    destroy_on_complete = False

    def perform(self, line):
        return None


def test_a_job_of_which_there_may_be_one_is_waited_for_and_nothing_of_the_upload_stays(
    driver, source, clock, configured_store
):
    first = Alone(run_at=clock.now().replace(year=2040))
    first.upload(["x"])
    first.save()
    job = UploadFile.create(source=str(source), job_kind=Alone.kind)
    driver.run()
    assert (job.reload().state, job.is_started) == (State.QUEUED, False)
    assert "same unique key" in job.exception.message
    assert configured_store.drafts() == []
    first.destroy()
    clock.advance(100)
    driver.run()
    (job,) = Alone.query
    assert (job.state, job.record_count) == (State.COMPLETED, 2)


class Fussy(BatchJob, kind="tests.jobs.upload_file.Fussy"):
    destroy_on_complete = False

    @after_create
    def refuse(self):
        if MOOD:
            raise OSError(MOOD.pop())

    def perform(self, line):
        return None


MOOD = []


def test_what_fails_in_the_last_moment_is_undone_whole_and_tried_again(driver, source, clock, configured_store):
    MOOD.append("not today")
    job = UploadFile.create(source=str(source), job_kind=Fussy.kind)
    driver.run()
    assert (job.reload().state, job.is_started) == (State.QUEUED, False)
    assert (configured_store.drafts(), Fussy.query.count()) == ([], 0)
    clock.advance(100)
    driver.run()
    (job,) = Fussy.query
    assert (job.state, job.record_count) == (State.COMPLETED, 2)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"properties": {"colour": 1}}, "has no field 'colour'"),
        ({"after": "delete"}, "only a file that was moved"),
        ({"archived": "/etc/passwd", "after": "delete"}, "needs its sight"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(configured_store, source, values, told):
    with pytest.raises(ConfigurationError, match=told):
        UploadFile.create(source=str(source), job_kind=Load.kind, **values)
    with pytest.raises(UnknownKind):
        UploadFile.create(source=str(source), job_kind="Nobody")
    assert penstock.Job.query.count() == 0


@pytest.mark.parametrize("is_started", [False, True])
def test_nothing_outside_the_roots_is_moved_or_deleted_whoever_made_the_job(driver, box, source, tmp_path, is_started):
    sight = Sight(4, penstock_clock.now())
    job = UploadFile.create(
        source=str(source), job_kind=Load.kind, archived=f"{source}.old", sight=sight, after="delete",
        is_started=is_started,
    )  # fmt: skip
    (tmp_path / "a.csv.old").write_text("x")
    driver.run()
    assert job.reload().state == State.FAILED
    assert "does not lie in allowed_roots" in job.exception.message
    assert source.exists()
    assert (tmp_path / "a.csv.old").exists()


def test_the_same_file_does_not_wait_twice(configured_store, source):
    UploadFile.create(source=str(source), job_kind=Load.kind)
    with pytest.raises(penstock.PenstockError, match="already"):
        UploadFile.create(source=str(source), job_kind=Load.kind)
