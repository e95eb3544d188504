"""The sweeper: what is in no hurry, and what of it a server that stops leaves to the next."""

import threading
from functools import partial

import pytest

from penstock.clock import now
from penstock.ids import new_id
from penstock.server import rescue
from penstock.server.rescue import Rescuer, Sweeper
from penstock.states import State
from penstock.store.rows import JobRow, NewSlice


@pytest.fixture
def doomed(sqlite_file):
    """Batch jobs that are out of sight already, as completed ones are that are to be destroyed."""
    rows = [JobRow(new_id(), "Lines", batch=True, created_at=now(), state=State.COMPLETED) for _ in range(3)]
    sqlite_file.insert_jobs(rows)
    for row in rows:
        sqlite_file.append_slices(row.id, "main", [NewSlice(1, 1, b"Tone\n")])
        sqlite_file.update_job(row.id, {"draft": True})
    return rows


def sweep(store, acts, stopping=None):
    sweeper = Sweeper(store, Rescuer(store, "server-1"))
    for act in acts:
        sweeper.do(act)
    sweeper.start()
    # Behind the end of what it may go on with, which is noted before it is waited for.
    put = sweeper._tasks.put
    sweeper._tasks.put = lambda task: (put(task), stopping and stopping.set())
    sweeper.stop()


def left(store, rows):
    return [row for row in rows if store.job(row.id) is not None]


def test_what_was_asked_for_is_done_before_it_ends(sqlite_file, doomed, monkeypatch):
    monkeypatch.setattr(rescue, "LAST_SECONDS", 60.0)
    sweep(sqlite_file, [partial(sqlite_file.destroy_job, row.id) for row in doomed])
    assert left(sqlite_file, doomed) == []


def test_jobs_that_are_out_of_sight_are_left_to_the_next_server_when_there_are_many(sqlite_file, doomed, monkeypatch):
    monkeypatch.setattr(rescue, "LAST_SECONDS", -1.0)
    done = []
    stopping = threading.Event()
    # Until it has been told to stop.
    acts = [lambda: stopping.wait(10), *(partial(sqlite_file.destroy_job, row.id) for row in doomed)]
    sweep(sqlite_file, [*acts, lambda: done.append("all else is done")], stopping)
    assert done == ["all else is done"]
    assert len(left(sqlite_file, doomed)) == 3
    Rescuer(sqlite_file, "server-2").look()
    assert left(sqlite_file, doomed) == []
