"""The SQLite store's files: their modes, and paths at which there can be no store."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from penstock.errors import StoreUnavailable, StoreVersionError
from penstock.query import Query
from penstock.store import Topic, close_stores, open_store

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="only root can take another user's place"
)


def test_every_file_is_for_its_owner_alone_whatever_the_umask(tmp_path, new_row):
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/a.db")
        store.insert_jobs([new_row()])
        with closing(store.listen(Topic.WORK, lambda: None)), closing(store.appear("host:1")):
            modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert {"a.db", "a.db-wal", "a.db-shm", "a.db-lock", "a.db-live"} <= modes.keys()
    assert modes.pop("a.db-live") == 0o700
    assert {name: oct(mode) for name, mode in modes.items() if mode != 0o600} == {}


@pytest.fixture
def place(tmp_path):
    """A folder that any user may enter, unlike `tmp_path`, whose parents only its owner may."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def refusal(path):
    with pytest.raises(StoreUnavailable) as caught:
        open_store(f"sqlite:///{path}")
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


class TestNoStoreHere:
    def test_a_folder_that_does_not_exist_is_named(self, tmp_path):
        assert "folder" in refusal(tmp_path / "none" / "a.db")
        assert list(tmp_path.iterdir()) == []

    def test_a_path_that_is_a_folder_is_named(self, tmp_path):
        (tmp_path / "a.db").mkdir()
        refusal(tmp_path / "a.db")

    def test_a_folder_that_is_a_file_is_named(self, tmp_path):
        (tmp_path / "file").write_text("text")
        refusal(tmp_path / "file" / "a.db")

    def test_a_file_that_is_no_database_is_named_and_left_as_it_is(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("not a database\n" * 100)
        mode = path.stat().st_mode
        assert "not a SQLite database" in refusal(path)
        assert path.read_text() == "not a database\n" * 100
        assert path.stat().st_mode == mode

    def test_a_damaged_store_is_named(self, tmp_path):
        path = tmp_path / "a.db"
        open_store(f"sqlite:///{path}")
        close_stores()
        with path.open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * (path.stat().st_size - 100))
        assert "damaged" in refusal(path)

    def test_another_programs_database_is_not_changed_into_a_store(self, tmp_path):
        path = tmp_path / "other.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE jobs (name TEXT)")
        with pytest.raises(Exception, match=r"other\.db"):
            open_store(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert tables == [("jobs",)]

    @pytest.mark.linux
    @needs_root
    @pytest.mark.parametrize("case", ["folder", "file", "read-only file"])
    def test_what_the_user_may_not_write_is_named(self, place, run_python, case):
        path = place / "a.db"
        if case != "folder":
            open_store(f"sqlite:///{path}")
            close_stores()
        if case == "read-only file":
            for entry in place.iterdir():
                entry.chmod(0o444)
        script = """
import os, sys
from penstock.errors import StoreUnavailable
from penstock.store import open_store
import penstock.store.sqlite
os.seteuid(65534)
try:
    open_store("sqlite:///" + sys.argv[1])
except StoreUnavailable as error:
    print(error)
"""
        done = run_python(script, path)
        assert done.returncode == 0, done.stderr
        assert str(path) in done.stdout
        assert "choose another --store" in done.stdout or "check who owns it" in done.stdout

    @pytest.mark.linux
    def test_a_refused_open_leaves_no_file_open(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("not a database\n" * 100)
        refusal(path)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            refusal(path)
        assert len(os.listdir("/proc/self/fd")) <= before


class TestVersions:
    def test_a_newer_schema_is_refused_and_both_versions_named(self, tmp_path):
        path = tmp_path / "a.db"
        open_store(f"sqlite:///{path}")
        close_stores()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO schema_migrations (version, name) VALUES (99, 'later')")
        with pytest.raises(StoreVersionError, match=r"schema 99, this Penstock knows \d+: upgrade") as caught:
            open_store(f"sqlite:///{path}")
        assert str(path) in str(caught.value)

    def test_opened_again_the_schema_is_not_touched(self, tmp_path):
        path = tmp_path / "a.db"
        url = f"sqlite:///{path}"
        open_store(url)
        close_stores()
        with closing(sqlite3.connect(path)) as connection:
            before = connection.execute("PRAGMA schema_version").fetchone()
        open_store(url)
        close_stores()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA schema_version").fetchone() == before


class TestDurability:
    @pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
    def test_the_setting_decides_how_commits_reach_the_disk(self, tmp_path, durability, synchronous):
        import penstock

        penstock.configure(durability=durability)
        store = open_store(f"sqlite:///{tmp_path}/a.db")
        with store.connections.reading() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)


@pytest.mark.linux
def test_threads_that_ended_leave_no_connection_open(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/a.db")

    def read():
        thread = threading.Thread(target=store.count_jobs, args=(Query(),))
        thread.start()
        thread.join()

    read()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        read()
    assert len(os.listdir("/proc/self/fd")) < before + 15


def test_space_of_dropped_slices_goes_back_to_the_file_system(tmp_path, monkeypatch, new_row, make_slices):
    monkeypatch.setattr("penstock.store.sqlite.servers.SPARE_PAGES", 20)
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    row = new_row(batch=True)
    store.insert_jobs([row])
    close_stores()
    empty = path.stat().st_size
    store = open_store(f"sqlite:///{path}")
    for _ in range(10):
        store.append_slices(
            row.id, "main", [piece._replace(payload=b"T" + b"x" * 500_000) for piece in make_slices([1, 1])]
        )
    store.destroy_job(row.id)
    store.give_space_back()
    close_stores()
    assert path.stat().st_size < empty + 500_000


def test_a_reserve_of_space_is_kept_for_the_next_job(tmp_path, new_row, make_slices):
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    row = new_row(batch=True)
    store.insert_jobs([row])
    store.append_slices(row.id, "main", [piece._replace(payload=b"T" + b"x" * 2_000_000) for piece in make_slices([1])])
    store.destroy_job(row.id)
    store.give_space_back()
    close_stores()
    assert path.stat().st_size > 2_000_000


CLOSED_UNDER_SOMEBODY = """
import sys, threading
from penstock.errors import StoreClosed
from penstock.store import close_stores, open_store

COUNTING = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT i FROM n"
store = open_store(sys.argv[1])
begun = threading.Event()


def count():
    try:
        while True:
            with store.connections.reading() as connection:
                cursor = connection.execute(COUNTING)
                begun.set()
                cursor.fetchall()
    except StoreClosed as error:
        print(error)


threads = [threading.Thread(target=count) for _ in range(4)]
for thread in threads:
    thread.start()
begun.wait()
close_stores()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_store_that_is_closed_under_others_lets_them_finish_and_refuses_what_they_want_next(tmp_path, kind):
    url = f"sqlite:///{tmp_path / 'a.db'}" if kind == "file" else "sqlite://"
    ended = subprocess.run(
        [sys.executable, "-c", CLOSED_UNDER_SOMEBODY, url], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("the store is closed") == 4
