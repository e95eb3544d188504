"""Inputs, stores and disks that are no good: one clear line, an exit code, and nothing half done."""

import gzip
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.process.lab import NOBODY, PENSTOCK, Ended, Lab

from penstock.store.statements import load_migrations

pytestmark = [pytest.mark.process, pytest.mark.sqlite("files of stores, and small disks under them")]

JOBS = """
    from penstock import BatchJob

    class Turned(BatchJob):
        collect_output = True
        def perform(self, line):
            return line[::-1]

    class Wide(BatchJob):
        collect_output = True
        def perform(self, line):
            return line * 40
"""
OVERLAP = pytest.mark.parametrize("overlap", [[], ["--overlap"]], ids=["", "overlap"])
ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="needs root: it mounts a small disk or drops privileges"
)


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


def check_refusal(lab: Lab, ended: Ended, *names: str) -> str:
    """One line that names what is wrong, an exit code, and nothing left; returns the line."""
    assert ended.code not in (0, 130), ended.err
    assert "Traceback" not in ended.err
    assert len(ended.told) == 1, ended.err
    assert not ended.untold, ended.err
    for name in names:
        assert name in ended.told[0]
    assert not lab.path("out.txt").exists()
    assert not lab.litter()
    return ended.told[0]


def run_it(lab: Lab, source: str, *words: str, **options: object) -> Ended:
    return lab.run("jobs:Turned", "--input", source, "--output", "out.txt", *words, **options)  # type: ignore[arg-type]


def missing(lab: Lab) -> None:
    pass


def empty(lab: Lab) -> None:
    lab.path("in.txt.gz").write_bytes(gzip.compress(b""))


def directory(lab: Lab) -> None:
    lab.path("in.txt.gz").mkdir()


def truncated(lab: Lab) -> None:
    # Cut late, when slices have been stored and, with --overlap, performed.
    lines = b"".join(b"%d %s\n" % (n, os.urandom(30).hex().encode()) for n in range(100_000))
    packed = gzip.compress(lines, 1)
    lab.path("in.txt.gz").write_bytes(packed[: len(packed) - len(packed) // 20])


def no_gzip(lab: Lab) -> None:
    lab.path("in.txt.gz").write_bytes(b"this is plain text\n")


def bad_text(lab: Lab) -> None:
    lab.path("in.txt.gz").write_bytes(gzip.compress(b"sound\n" * 150_000 + b"br\xffken\n" + b"sound\n" * 10))


@OVERLAP
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "in.txt.gz"),
        (empty, "is empty"),
        (directory, "directory"),
        (truncated, "in.txt.gz"),
        (no_gzip, "in.txt.gz"),
        (bad_text, "line 150,001"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_input_that_is_no_good_is_refused_in_one_line_and_leaves_nothing(
    jobs: Lab, make: Callable[[Lab], None], says: str, overlap: list[str]
) -> None:
    make(jobs)
    check_refusal(jobs, run_it(jobs, "in.txt.gz", *overlap), "in.txt.gz", says)
    assert jobs.jobs() == []


def test_an_empty_plain_file_and_an_empty_pipe_are_refused(jobs: Lab) -> None:
    jobs.path("in.txt").touch()
    check_refusal(jobs, run_it(jobs, "in.txt"), "in.txt", "empty")
    check_refusal(jobs, run_it(jobs, "-"), "standard input", "empty")
    assert jobs.jobs() == []


@pytest.mark.linux
@ROOT_ONLY
def test_a_file_that_may_not_be_read_is_refused(jobs: Lab) -> None:
    jobs.lines("in.txt", 10)
    os.chown(jobs.path("in.txt"), NOBODY, NOBODY)
    jobs.path("in.txt").chmod(0o600)
    check_refusal(jobs, run_it(jobs, "in.txt", powerless=True), "in.txt", "ermission")
    assert jobs.jobs() == []


@OVERLAP
@pytest.mark.parametrize(("how", "becomes"), [("replace", "br\ufffdken"), ("clean", "brken")])
def test_bytes_that_are_no_text_are_replaced_or_dropped_where_that_is_asked_for(
    jobs: Lab, how: str, becomes: str, overlap: list[str]
) -> None:
    jobs.path("in.txt").write_bytes("sound ä\tx\n".encode() * 3 + b"br\xffken\n" + b"end\x01\n")
    ended = run_it(jobs, "in.txt", "--encoding-errors", how, *overlap)
    assert ended.code == 0, ended.err
    end = "end" if how == "clean" else "end\x01"
    lines = ["sound ä\tx"] * 3 + [becomes, end]
    assert jobs.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)


@OVERLAP
def test_a_line_of_100_mb_is_refused_with_its_number_in_bounded_memory(jobs: Lab, overlap: list[str]) -> None:
    with jobs.path("in.txt").open("wb") as file:
        file.write(b"short\n" * 3)
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\nshort\n")
    peak = jobs.path("peak.txt")
    measured = """
        import resource, subprocess, sys
        code = subprocess.run(sys.argv[1:]).returncode
        with open("peak.txt", "w") as file:
            file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
        sys.exit(code)
    """
    words = ["run", "jobs:Turned", "--input", "in.txt", "--output", "out.txt", *overlap]
    ended = run_python(jobs, measured, PENSTOCK, *words)
    check_refusal(jobs, ended, "in.txt", "4", "max_record")
    assert int(peak.read_text()) < 150_000, "kilobytes of the biggest process"
    assert jobs.jobs() == []


def run_python(lab: Lab, source: str, *words: str) -> Ended:
    from textwrap import dedent

    done = subprocess.run(
        [sys.executable, "-c", dedent(source), *words],
        cwd=lab.folder,
        env=lab.environment,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


# Stores ------------------------------------------------------------------------------------------


def no_folder(lab: Lab) -> str:
    return "nowhere/penstock.db"


def a_directory(lab: Lab) -> str:
    lab.path("there").mkdir()
    return "there"


def a_text_file(lab: Lab) -> str:
    lab.path("store.db").write_text("this is no database, but a longer text\n" * 1000)
    return "store.db"


def below_a_file(lab: Lab) -> str:
    lab.path("file").write_text("x")
    return "file/penstock.db"


@pytest.mark.parametrize("make", [no_folder, a_directory, a_text_file, below_a_file], ids=lambda make: make.__name__)
def test_a_store_that_cannot_be_opened_is_refused_by_name_and_left_as_it_is(
    jobs: Lab, make: Callable[[Lab], str]
) -> None:
    jobs.lines("in.txt", 1000)
    name = make(jobs)
    before = tree(jobs.folder)
    check_refusal(jobs, run_it(jobs, "in.txt", "--store", name), name)
    assert {path for path in tree(jobs.folder) - before if "-lock" not in path} == set()


def tree(folder: Path) -> set[str]:
    return {f"{path} {path.stat().st_size}" for path in folder.rglob("*")}


@OVERLAP
def test_a_second_output_that_cannot_be_opened_is_refused_before_there_is_a_job(jobs: Lab, overlap: list[str]) -> None:
    jobs.lines("in.txt", 10)
    jobs.path("taken.part-of").mkdir()
    ended = run_it(jobs, "in.txt", "--output", "taken.part-of", *overlap)
    assert ended.code != 0
    assert "taken.part-of" in ended.err
    assert jobs.jobs() == []
    assert not jobs.litter()


@pytest.mark.linux
@ROOT_ONLY
def test_a_store_in_a_folder_without_permission_is_refused(jobs: Lab) -> None:
    jobs.lines("in.txt", 1000)
    jobs.path("closed").mkdir()
    os.chown(jobs.path("closed"), NOBODY, NOBODY)
    check_refusal(jobs, run_it(jobs, "in.txt", "--store", "closed/p.db", powerless=True), "closed/p.db")
    assert not list(jobs.path("closed").iterdir())


@pytest.mark.linux
@ROOT_ONLY
def test_a_store_of_another_user_is_refused_and_not_changed(jobs: Lab) -> None:
    jobs.lines("in.txt", 1000)
    assert run_it(jobs, "in.txt").code == 0
    jobs.path("out.txt").unlink()
    for path in jobs.folder.glob("penstock.db*"):
        os.chown(path, NOBODY, NOBODY)
    check_refusal(jobs, run_it(jobs, "in.txt", powerless=True), "penstock.db")
    assert jobs.jobs() == []


def test_a_store_of_a_newer_schema_is_refused_and_not_changed(jobs: Lab) -> None:
    jobs.lines("in.txt", 1000)
    assert run_it(jobs, "in.txt").code == 0
    jobs.path("out.txt").unlink()
    with closing(sqlite3.connect(jobs.path("penstock.db"))) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(schema_migrations)")]
        chosen = ", ".join("max(version) + 1000" if name == "version" else name for name in columns)
        connection.execute(f"INSERT INTO schema_migrations SELECT {chosen} FROM schema_migrations")
    told = check_refusal(
        jobs, run_it(jobs, "in.txt"), "penstock.db", f"schema {1000 + load_migrations('sqlite_migrations')[-1][0]}"
    )
    assert "upgrade Penstock" in told


# Full disks --------------------------------------------------------------------------------------


@contextmanager
def small_disk(lab: Lab, name: str, size: str) -> Iterator[Path]:
    path = lab.path(name)
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "penstock-test", str(path)], check=True)
    try:
        path.chmod(0o777)
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def grow(path: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)


def check_full(ended: Ended) -> None:
    """One line says what is full; another, where there is a job, how to go on."""
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    assert not ended.untold, ended.err
    told = [line for line in ended.told if "to go on" not in line]
    assert len(told) == 1, ended.err
    assert "full" in told[0] or "space" in told[0]


@pytest.mark.linux
@ROOT_ONLY
@OVERLAP
def test_a_disk_that_is_full_during_the_upload_leaves_no_job_and_the_command_works_with_room(
    jobs: Lab, overlap: list[str]
) -> None:
    lines = jobs.lines("in.txt", 100_000)
    with small_disk(jobs, "disk", "3m") as disk:
        jobs.store = "disk/penstock.db"
        ended = run_it(jobs, "in.txt", *overlap)
        check_full(ended)
        assert "to go on" not in ended.err
        assert not jobs.path("out.txt").exists()
        assert not jobs.litter()
        assert jobs.jobs() == []
        grow(disk, "60m")
        ended = run_it(jobs, "in.txt", *overlap)
        assert ended.code == 0, ended.err
        assert jobs.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
        assert jobs.jobs() == []


@pytest.mark.linux
@ROOT_ONLY
@OVERLAP
def test_a_disk_that_is_full_during_processing_keeps_the_job_which_is_resumed_with_room(
    jobs: Lab, overlap: list[str]
) -> None:
    lines = jobs.lines("in.txt", 20_000)
    with small_disk(jobs, "disk", "14m") as disk:
        jobs.store = "disk/penstock.db"
        words = ("jobs:Wide", "--input", "in.txt", "--output", "out.txt", *overlap)
        ended = jobs.run(*words)
        check_full(ended)
        assert not jobs.path("out.txt").exists()
        assert not jobs.litter()
        # Without a single free block SQLite cannot even be read: it makes its -shm file anew.
        grow(disk, "120m")
        left = jobs.jobs()
        if left:
            jobs.check(left[0]["id"])
            assert f"penstock run --resume {left[0]['id']}" in ended.err
        else:
            assert "to go on" not in ended.err
            assert overlap, "the upload had room"
        again = jobs.printed_command(ended.err) if left else jobs.run(*words)
        assert again.code == 0, again.err
        assert jobs.path("out.txt").read_text("utf-8") == "".join(f"{line * 40}\n" for line in lines)
        assert jobs.jobs() == []


@pytest.mark.linux
@ROOT_ONLY
@OVERLAP
def test_a_full_disk_of_the_output_leaves_no_file_and_the_job_is_delivered_with_room(
    jobs: Lab, overlap: list[str]
) -> None:
    lines = jobs.lines("in.txt", 50_000)
    with small_disk(jobs, "disk", "1m") as disk:
        words = ("jobs:Turned", "--input", "in.txt", "--output", "disk/out.txt", *overlap)
        ended = jobs.run(*words)
        check_full(ended)
        assert list(disk.iterdir()) == []
        left = jobs.jobs()
        if left:
            jobs.check(left[0]["id"])
            assert f"penstock run --resume {left[0]['id']}" in ended.err
        else:
            assert "to go on" not in ended.err
            assert overlap, "all of it was processed"
        grow(disk, "20m")
        again = jobs.printed_command(ended.err) if left else jobs.run(*words)
        assert again.code == 0, again.err
        assert (disk / "out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
        assert jobs.jobs() == []
