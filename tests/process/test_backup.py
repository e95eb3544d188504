"""A backup that is made while everybody writes is whole, and what it remembers of servers holds nobody up."""

import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.process.lab import Lab, wait_for

pytestmark = [pytest.mark.process, pytest.mark.sqlite("a copy of the file; PostgreSQL's is made by its own tools")]

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
BACKUP = re.search(r"```python\n(# backup\.py\n.*?)```", PAGE.read_text("utf-8"), re.S)[1]
"""The program that the page gives its readers."""
JOBS = """
    import os, time
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Note(Job):
        destroy_on_complete = False
        name: str
        def perform(self):
            os.write(LOG, f"{self.name}\\n".encode())

    class Gate(Note):
        def perform(self):
            super().perform()
            while not os.path.exists("open"):
                time.sleep(0.01)

    class Lines(BatchJob):
        slice_size = 5
        collect_output = True
        destroy_on_complete = False
        def perform(self, line):
            if line.startswith("line 203 "):
                while not os.path.exists("open"):
                    time.sleep(0.01)
            return line[::-1]
"""


@pytest.fixture
def folder(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    lab.module("backup", BACKUP)
    return lab


def back_up(lab: Lab, copy: str) -> Path:
    lab.python("import runpy; runpy.run_path('backup.py')", "penstock.db", copy)
    return lab.path(copy)


def restore(lab: Lab, copy: str) -> None:
    for old in lab.folder.glob("penstock.db*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copy(lab.path(copy), lab.path("penstock.db"))


def noted(lab: Lab) -> list[str]:
    log = lab.path("log.txt")
    return log.read_text("utf-8").split() if log.exists() else []


def asked(lab: Lab, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{lab.path('penstock.db')}?mode=ro", uri=True)) as store:
        return store.execute(query).fetchall()


def states(lab: Lab) -> dict[str, str]:
    """Return the states of the jobs by kind; of several jobs of a kind, the newest's."""
    return dict(asked(lab, "SELECT kind, state FROM jobs ORDER BY id"))


def is_under_way(lab: Lab) -> bool:
    running = asked(lab, "SELECT count(*) FROM slices WHERE state = 'running'")
    return noted(lab) == ["gate"] and running[0][0] > 0


def all_completed(lab: Lab) -> bool:
    return asked(lab, "SELECT DISTINCT state FROM jobs") == [("completed",)]


def command(lab: Lab, *words: str) -> None:
    ended = lab.run(*words, command="jobs")
    assert ended.code == 0, ended.err


def test_copies_that_are_made_while_a_server_and_programs_write_are_whole(folder):
    folder.python("from jobs import Note; Note.create(name='first')")
    server = folder.start("--app", "jobs", "--workers", "4", command="server")
    folder.python(
        """
        import subprocess, sys, threading
        from jobs import Note
        done = threading.Event()
        def write():
            number = 0
            while not done.is_set():
                Note.create(name=f"n{number}")
                number += 1
        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        for number in range(5):
            subprocess.run([sys.executable, "backup.py", "penstock.db", f"copy{number}.db"], check=True)
        done.set()
        for writer in writers:
            writer.join()
        """
    )
    server.signal(15)
    assert server.end().code == 0
    counts = []
    for number in range(5):
        path = folder.path(f"copy{number}.db")
        assert path.stat().st_mode & 0o077 == 0
        with closing(sqlite3.connect(path)) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts.append(copy.execute("SELECT count(*) FROM jobs").fetchone()[0])
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 0


def test_what_a_restored_backup_held_runs_again_as_after_a_crash_and_its_leases_are_void(folder):
    folder.lines("in.txt", 300)
    job = folder.python(
        "from jobs import *; Gate.create(name='gate'); job = Lines(); job.upload('in.txt'); job.save(); print(job.id)"
    )
    job_id = job.decode().strip()
    server = folder.start("--app", "jobs", "--workers", "3", command="server")
    wait_for(lambda: is_under_way(folder), "both to be under way")
    back_up(folder, "copy.db")
    folder.path("open").touch()
    wait_for(lambda: all_completed(folder), "the end of both")
    server.signal(15)
    assert server.end().code == 0

    restore(folder, "copy.db")
    assert states(folder) == {"Gate": "running", "Lines": "running"}
    again = folder.start("--app", "jobs", "--workers", "3", command="server")
    wait_for(lambda: all_completed(folder), "the end of both, once more")
    assert "is dead" in again.err
    assert noted(folder) == ["gate", "gate"]
    command(folder, "download", job_id, "--output", "out.txt")
    lines = folder.path("in.txt").read_text("utf-8").splitlines()
    assert folder.path("out.txt").read_text("utf-8").splitlines() == [line[::-1] for line in lines]
    again.signal(15)
    assert again.end().code == 0


def test_held_as_the_page_says_nothing_of_a_restored_backup_runs_until_somebody_lets_it(folder):
    folder.lines("in.txt", 300)
    made = folder.python(
        "from jobs import *; Gate.create(name='gate'); Note.create(name='later', run_at=None, priority=99);"
        "job = Lines(); job.upload('in.txt'); job.save(); print(job.id)"
    )
    job_id = made.decode().strip()
    server = folder.start("--app", "jobs", "--workers", "2", command="server")
    wait_for(lambda: is_under_way(folder), "both to be under way")
    back_up(folder, "copy.db")
    server.kill_group()
    server.end()

    restore(folder, "copy.db")
    for line in re.findall(r"^\$ penstock jobs ((?:pause|fail) .*)$", PAGE.read_text("utf-8"), re.M):
        command(folder, *shlex.split(line))
    assert states(folder) == {"Gate": "failed", "Note": "paused", "Lines": "paused"}
    folder.path("open").touch()
    again = folder.start("--app", "jobs", "--workers", "2", command="server")
    folder.python("from jobs import Note; Note.create(name='new').wait(timeout=60)")
    assert noted(folder) == ["gate", "new"]
    assert states(folder) == {"Gate": "failed", "Note": "completed", "Lines": "paused"}
    command(folder, "resume", "--all", "--yes", "--state", "paused")
    command(folder, "retry", "--all", "--yes")
    wait_for(lambda: all_completed(folder), "the end of all")
    assert sorted(noted(folder)) == ["gate", "gate", "later", "new"]
    folder.check(job_id)
    again.signal(15)
    assert again.end().code == 0
