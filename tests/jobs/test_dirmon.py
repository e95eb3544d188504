"""`DirmonJob`: which files start, when, and what becomes of them."""

import errno
import os

import pytest
from tests.jobs.conftest import files_in

import penstock
from penstock import BatchJob, Job
from penstock.jobs import DirmonJob, UploadFile
from penstock.jobs.entries import move_entry
from penstock.query import Query
from penstock.server.messages import RunJob
from penstock.states import State
from penstock.streams.schemes.local import LocalFiles

DONE = []
"""(file name, records) of each file that was processed."""


class Load(BatchJob, kind="tests.jobs.Load"):
    label: str = "plain"

    def after_batch(self):
        (upload,) = self.input_category.uploads
        DONE.append((os.path.basename(upload.file_name).partition("_")[2], upload.record_count))

    def perform(self, line):
        if line == "broken":
            raise ValueError("broken")


class ReadsItself(Job, kind="tests.jobs.ReadsItself"):
    upload_file_name: str

    def perform(self):
        with open(self.upload_file_name) as file:
            DONE.append((os.path.basename(self.upload_file_name).partition("_")[2], len(file.readlines())))


KIND = Load.kind


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


@pytest.fixture
def look(driver, clock):
    """Return a function that has a look taken, and all that follows done."""
    DirmonJob.ensure()

    def look():
        DirmonJob.query.queued.update(run_at=None)
        driver.run()

    return look


class TestWhenAFileStarts:
    def test_one_that_grows_between_two_looks_does_not_start(self, box, watch, look):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1234\n")
        look()
        (box / "a.csv").write_text("1234\n5678\n")
        look()
        assert DONE == []
        assert files_in(box) == ["a.csv"]

    def test_one_that_two_looks_found_the_same_starts(self, box, watch, look):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1234\n5678\n")
        look()
        assert DONE == []
        look()
        assert DONE == [("a.csv", 2)]

    def test_one_that_was_written_to_without_growing_does_not_start(self, box, watch, look):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1234\n")
        look()
        (box / "a.csv").write_text("5678\n")
        os.utime(box / "a.csv", (1, 1))
        look()
        assert DONE == []

    def test_where_nobody_sees_half_a_file_it_starts_at_once(self, box, watch, look, monkeypatch):
        monkeypatch.setattr(LocalFiles, "shows_partial_files", False)
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1234\n")
        look()
        assert DONE == [("a.csv", 1)]

    def test_one_that_is_written_to_before_it_is_moved_is_left_for_the_next_looks(self, box, watch, driver):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n")
        dirmon = DirmonJob.ensure()
        driver.run()
        DirmonJob.query.queued.update(run_at=None)
        while not UploadFile.query.exists():
            driver.step()
        (box / "a.csv").write_text("1\n2\n")
        driver.run()
        assert (DONE, files_in(box), UploadFile.query.count()) == ([], ["a.csv"], 0)
        assert dirmon.id

    def test_the_oldest_starts_first(self, box, watch, look):
        watch(box / "*.csv", KIND)
        for age, name in enumerate(["c", "a", "b"]):
            (box / f"{name}.csv").write_text("1\n")
            os.utime(box / f"{name}.csv", (1000 + age, 1000 + age))
        look()
        look()
        assert [name for name, _ in DONE] == ["c.csv", "a.csv", "b.csv"]

    def test_looks_are_taken_every_five_minutes_unless_something_else_is_said(self, driver, clock):
        DirmonJob.ensure()
        driver.run()
        (following,) = DirmonJob.query
        assert (following.run_at - clock.now()).total_seconds() == 300
        following.update(check_seconds=20, run_at=None)
        driver.run()
        (following,) = DirmonJob.query
        assert (following.run_at - clock.now()).total_seconds() == 20

    def test_there_is_one_dirmon_only(self, configured_store):
        DirmonJob.create()
        with pytest.raises(penstock.PenstockError, match="already"):
            DirmonJob.create()


class TestWhatBecomesOfIt:
    def test_it_is_archived_under_the_id_of_its_job(self, box, watch, look, monkeypatch):
        watch(box / "*.csv", KIND, properties={"destroy_on_complete": False, "label": "x"})
        (box / "a.csv").write_text("1\n")
        look()
        look()
        (job,) = Load.query
        assert files_in(box) == [f"archive/{job.id}_a.csv"]
        assert (job.state, job.label, job.description) == (State.COMPLETED, "x", "orders: a.csv")
        assert UploadFile.query.count() == 0

    def test_it_is_deleted_once_it_is_stored_where_the_entry_says_so(self, box, watch, look):
        watch(box / "*.csv", KIND, after="delete")
        (box / "a.csv").write_text("1\n")
        look()
        look()
        assert (DONE, files_in(box)) == ([("a.csv", 1)], [])

    def test_an_archive_elsewhere_on_another_file_system_takes_copies(self, box, watch, look, monkeypatch):
        refuse_renames(monkeypatch, errno.EXDEV)
        watch(box / "in" / "*.csv", KIND, archive=str(box / "done"))
        (box / "in").mkdir()
        (box / "done").mkdir()
        (box / "in" / "a.csv").write_text("1\n")
        look()
        look()
        assert DONE == [("a.csv", 1)]
        assert [name.partition("_")[2] for name in files_in(box)] == ["a.csv"]

    def test_a_job_that_reads_files_itself_is_told_where_it_is(self, box, watch, look):
        watch(box / "*.csv", ReadsItself.kind)
        (box / "a.csv").write_text("1\n2\n")
        look()
        look()
        assert DONE == [("a.csv", 2)]

    def test_the_same_name_may_come_again(self, box, watch, look):
        watch(box / "*.csv", KIND)
        for count in (1, 2):
            (box / "a.csv").write_text("1\n" * count)
            look()
            look()
        assert DONE == [("a.csv", 1), ("a.csv", 2)]
        assert len(files_in(box)) == 2


class TestWhichFiles:
    @pytest.mark.parametrize(
        ("pattern", "started"),
        [
            ("**/*", ["a.csv", "b.TXT", "c.csv", "d.csv"]),
            ("*.{csv,txt}", ["a.csv", "b.TXT"]),
            ("[ab].*", ["a.csv", "b.TXT"]),
            ("?.csv", ["a.csv"]),
            (" *.CSV ", ["a.csv"]),
        ],
    )
    def test_those_that_fit_start_but_none_that_are_hidden_or_archived(self, box, watch, look, pattern, started):
        for name in ("a.csv", "b.TXT", ".hidden.csv", "archive/old.csv", "my_archive2/c.csv", "x/d.csv", "x/archive/e"):
            (box / name).parent.mkdir(exist_ok=True)
            (box / name).write_text("1\n")
        watch(f"{box}/{pattern.strip()} ", KIND)
        look()
        look()
        assert sorted(name for name, _ in DONE) == started

    @pytest.mark.parametrize(
        "name", ["new\nline.csv", "tab\t.csv", "ä ö.csv", "[x].csv", "100%.csv", "a?b#c.csv", "'\"$(x).csv"]
    )
    def test_whatever_it_is_called_it_comes_through(self, box, watch, look, name):
        watch(box / "*.csv", KIND)
        (box / name).write_text("1\n")
        look()
        look()
        assert [(name, 1)] == DONE

    def test_a_name_as_long_as_can_be_is_cut_at_its_beginning(self, box, watch, look):
        watch(box / "*.csv", KIND)
        (box / ("ä" * 125 + ".csv")).write_text("1\n")
        look()
        look()
        assert DONE == [("ä" * 107 + ".csv", 1)]

    def test_a_name_that_is_not_utf8_is_left_and_the_others_start(self, box, watch, look, caplog):
        caplog.set_level("INFO", "penstock.jobs")
        watch(box / "*.csv", KIND)
        bad = os.path.join(os.fsencode(box), b"\xff.csv")
        with open(bad, "w") as file:
            file.write("1\n")
        (box / "a.csv").write_text("1\n")
        look()
        look()
        assert DONE == [("a.csv", 1)]
        assert os.path.exists(bad)
        assert "its name is not UTF-8; rename it" in caplog.text

    def test_a_link_out_of_the_root_is_left_and_the_others_start(self, box, watch, look, tmp_path, caplog):
        caplog.set_level("INFO", "penstock.jobs")
        watch(box / "**/*.csv", KIND)
        (tmp_path / "secret.csv").write_text("1\n")
        (box / "link.csv").symlink_to(tmp_path / "secret.csv")
        (box / "folder").symlink_to(tmp_path)
        (box / "a.csv").write_text("1\n")
        look()
        look()
        assert DONE == [("a.csv", 1)]
        assert (tmp_path / "secret.csv").exists()
        assert "a link that leads out of allowed_roots" in caplog.text

    def test_a_link_inside_the_root_would_start_its_file_twice_and_is_left(self, box, watch, look):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n")
        (box / "latest.csv").symlink_to("a.csv")
        look()
        look()
        assert DONE == [("a.csv", 1)]

    def test_one_that_cannot_be_read_is_left_and_the_others_start(self, box, watch, look, monkeypatch, caplog):
        caplog.set_level("INFO", "penstock.jobs")
        original = LocalFiles.open_source

        def guarded(self, place):
            if "locked" in place:
                raise PermissionError(errno.EACCES, "Permission denied")
            return original(self, place)

        monkeypatch.setattr(LocalFiles, "open_source", guarded)
        watch(box / "*.csv", KIND)
        for name in ("locked.csv", "a.csv"):
            (box / name).write_text("1\n")
        look()
        look()
        assert DONE == [("a.csv", 1)]
        assert "locked.csv" in files_in(box)
        assert "it cannot be read: Permission denied" in caplog.text


class TestTrouble:
    def test_an_entry_that_cannot_be_looked_at_is_failed_and_the_others_go_on(self, box, watch, look, configured_store):
        for name in ("bad", "good"):
            (box / name).mkdir()
            (box / name / "a.csv").write_text("1\n")
            watch(box / name / "*.csv", KIND, name)
        configured_store.update_entry("bad", {"kind": "Nobody"})
        look()
        look()
        assert DONE == [("a.csv", 1)]
        bad = configured_store.entry("bad")
        assert bad.state == "failed"
        assert "no class for kind 'Nobody' was imported" in bad.error
        configured_store.update_entry("bad", {"kind": KIND})
        move_entry(configured_store, "bad", "enable")
        look()
        look()
        assert len(DONE) == 2

    def test_an_entry_whose_root_was_taken_away_is_failed(self, box, watch, look, configured_store, tmp_path):
        watch(box / "*.csv", KIND)
        penstock.configure(allowed_roots=[str(tmp_path / "elsewhere")])
        look()
        assert "does not lie in allowed_roots" in configured_store.entry("orders").error

    def test_a_full_archive_loses_nothing_and_is_tried_again(self, box, watch, look, driver, clock, monkeypatch):
        refuse_renames(monkeypatch, errno.ENOSPC, "No space left on device")
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n")
        look()
        look()
        (job,) = UploadFile.query
        assert (job.state, files_in(box), DONE) == (State.QUEUED, ["a.csv"], [])
        assert "No space left on device; it stays there" in job.exception.summary
        monkeypatch.undo()
        clock.advance(100)
        driver.run()
        assert DONE == [("a.csv", 1)]

    def test_a_file_that_cannot_be_uploaded_waits_in_the_archive_and_is_not_started_again(self, box, watch, look):
        watch(box / "*.gz", KIND)
        (box / "a.gz").write_text("no gzip")
        for _ in range(4):
            look()
        (job,) = UploadFile.query
        assert job.state == State.FAILED
        assert files_in(box) == [f"archive/{job.job_id}_a.gz"]
        (box / "a.gz").write_text("still none")
        look()
        look()
        assert UploadFile.query.failed.count() == 2

    def test_one_that_failed_to_be_moved_is_not_started_again_beside_it(self, box, watch, look, driver, monkeypatch):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n")
        monkeypatch.setattr(UploadFile, "retry_rules", {})
        refuse_renames(monkeypatch, errno.EACCES, "Permission denied")
        for _ in range(4):
            look()
        (job,) = UploadFile.query
        assert (job.state, files_in(box)) == (State.FAILED, ["a.csv"])
        monkeypatch.undo()
        job.retry()
        driver.run()
        assert DONE == [("a.csv", 1)]

    def test_an_entry_that_is_not_enabled_is_not_looked_at(self, box, watch, look, configured_store):
        watch(box / "*.csv", KIND)
        move_entry(configured_store, "orders", "disable")
        (box / "a.csv").write_text("1\n")
        look()
        look()
        assert DONE == []


class TestKilled:
    @pytest.mark.parametrize(("fatal", "after"), list(zip(range(10), ["archive", "delete"] * 5, strict=True)))
    def test_killed_before_any_step_the_file_is_processed_once(
        self, box, watch, driver, clock, fatal, after, monkeypatch
    ):
        """The worker dies at the beginning, or at the end, of the piece of work with this number."""
        watch(box / "*.csv", KIND, after=after)
        (box / "a.csv").write_text("1\n2\n")
        DirmonJob.create(check_seconds=10)
        for number in range(40):
            task = driver.take()
            if task is None:
                clock.advance(10)
            elif number == fatal:
                driver.crash(task)
            else:
                driver.perform(task)
                driver.turn()
        assert DONE == [("a.csv", 2)]
        assert len(files_in(box)) == (1 if after == "archive" else 0)

    @pytest.mark.parametrize("step", ["move", "upload", "mark", "started"])
    def test_what_dies_in_the_middle_of_an_upload_is_done_once(
        self, box, watch, look, driver, clock, step, monkeypatch
    ):
        class Killed(BaseException):
            pass

        def die(*_args, **_kwargs):
            raise Killed

        started = UploadFile._start_target

        def die_when_started(*args):
            started(*args)
            raise Killed

        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n2\n")
        look()
        task = claimed_upload(driver)
        where = {"move": (UploadFile, "_keep"), "upload": (Load, "upload"), "mark": (UploadFile, "_mark_started")}
        with monkeypatch.context() as patch:
            if step == "started":
                patch.setattr(UploadFile, "_start_target", die_when_started)
            else:
                patch.setattr(*where[step], die)
            (job,) = UploadFile.query
            with pytest.raises(Killed):
                job.perform()
        driver.crash(task)
        driver.run()
        assert DONE == [("a.csv", 2)]
        assert UploadFile.query.count() == 0

    def test_an_attempt_that_was_given_up_starts_nothing(self, box, watch, look, driver, configured_store):
        watch(box / "*.csv", KIND)
        (box / "a.csv").write_text("1\n")
        look()
        task = claimed_upload(driver)
        (late,) = UploadFile.query
        driver.crash(task)
        with pytest.raises(penstock.PenstockError, match="nothing is started"):
            late.perform()
        assert configured_store.count_jobs(Query(kinds=(KIND,))) == 0
        driver.run()
        assert DONE == [("a.csv", 1)]


def claimed_upload(driver):
    """Have the next look taken, and return the job that it makes for a file as its worker gets it."""
    DirmonJob.query.queued.update(run_at=None)
    while (task := driver.take()) is not None:
        if isinstance(task, RunJob) and task.row.kind == UploadFile.kind:
            return task
        driver.perform(task)
        driver.turn()
    raise AssertionError("no file was started")


def refuse_renames(monkeypatch, number, text="Invalid cross-device link"):
    """Have the system refuse to rename files of users, not those that writers put in place."""
    original = os.replace

    def replace(source, target):
        if ".part" not in str(source):
            raise OSError(number, text)
        original(source, target)

    monkeypatch.setattr("penstock.streams.schemes.local.os.replace", replace)
