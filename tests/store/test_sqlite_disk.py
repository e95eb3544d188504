"""A full disk: nothing that was stored is lost, and work goes on when there is room."""

import os
import sqlite3
import subprocess
from contextlib import closing

import pytest

from penstock.errors import StoreError, StoreFull
from penstock.query import Query
from penstock.store import close_stores, open_store


def fill(store, new_row, size=20_000):
    """Insert until the disk is full; return the ids of jobs that were accepted."""
    accepted = []
    for _ in range(2_000):
        row = new_row(fields='{"text": "' + "x" * size + '"}')
        try:
            store.insert_jobs([row])
        except StoreFull as error:
            return accepted, error
        accepted.append(row.id)
    raise AssertionError("the disk was never full")


def test_a_store_that_may_not_grow_is_full_and_keeps_what_it_has(tmp_path, new_row):
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    with store.connections.reading() as connection:
        connection.execute("PRAGMA max_page_count = 60").fetchall()
    accepted, error = fill(store, new_row)
    assert str(tmp_path / "a.db") in str(error)
    assert "nothing that was stored is lost" in str(error)
    assert [row.id for row in store.find_jobs(Query())] == accepted
    with store.connections.reading() as connection:
        connection.execute("PRAGMA max_page_count = 100000").fetchall()
    store.insert_jobs([new_row()])
    assert store.count_jobs(Query()) == len(accepted) + 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        reason = f"mounting a small tmpfs needs root and CAP_SYS_ADMIN: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    close_stores()
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.linux
def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(small_disk, new_row, make_slices):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    store = open_store(f"sqlite:///{small_disk}/a.db")
    accepted, error = fill(store, new_row)
    assert str(small_disk / "a.db") in str(error)
    assert accepted
    assert [row.id for row in store.find_jobs(Query())] == accepted
    for _ in range(3):
        with pytest.raises(StoreError):
            store.insert_jobs([new_row(fields='{"text": "' + "x" * 3_000_000 + '"}')])
    ballast.unlink()
    job = new_row(batch=True)
    store.insert_jobs([job])
    store.append_slices(job.id, "main", make_slices([1]))
    assert [row.id for row in store.find_jobs(Query())] == [*accepted, job.id]
    close_stores()
    with closing(sqlite3.connect(small_disk / "a.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (len(accepted) + 1,)
