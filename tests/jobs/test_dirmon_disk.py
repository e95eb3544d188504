"""An archive on another file system, which is full: nothing is lost, and the file goes on when there is room."""

import pytest
from tests.jobs.conftest import files_in
from tests.store.test_sqlite_disk import small_disk  # noqa: F401  (a fixture)

import penstock
from penstock import BatchJob
from penstock.jobs import DirmonJob, UploadFile
from penstock.states import State

DONE = []


class Load(BatchJob, kind="tests.jobs.disk.Load"):
    def perform(self, line):
        DONE.append(line)


@pytest.mark.linux
def test_a_full_archive_is_told_and_goes_on_when_there_is_room(box, watch, driver, clock, small_disk):  # noqa: F811
    DONE.clear()
    penstock.configure(allowed_roots=[str(box), str(small_disk)])
    watch(box / "*.txt", Load.kind, archive=str(small_disk))
    (box / "a.txt").write_text(f"{'x' * 999}\n" * 500)
    (small_disk / "ballast").write_bytes(b"x" * 3_900_000)
    DirmonJob.ensure()
    for _ in range(4):
        DirmonJob.query.queued.update(run_at=None)
        driver.run()
    (job,) = UploadFile.query
    assert (job.state, files_in(box), files_in(small_disk)) == (State.QUEUED, ["a.txt"], ["ballast"])
    assert "the disk is full; free some space" in job.exception.message
    (small_disk / "ballast").unlink()
    clock.advance(200)
    driver.run()
    assert len(DONE) == 500
    assert (files_in(box), files_in(small_disk)) == ([], [f"{job.job_id}_a.txt"])
