"""Wake-ups: listeners hear of commits, and of commits only."""

import threading
from contextlib import closing

import pytest

from penstock.clock import now
from penstock.errors import PenstockError
from penstock.states import State
from penstock.store import Topic
from penstock.store.rows import JobSettlement

DEADLINE = 10


class Ear:
    """Counts wake-ups and lets a test wait for them."""

    def __init__(self):
        self.heard = 0
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.heard += 1
            self._changed.notify_all()

    def wait_for(self, count):
        """Tell whether so many were heard before the deadline."""
        with self._changed:
            return self._changed.wait_for(lambda: self.heard >= count, DEADLINE)


def test_a_new_job_wakes_who_waits_for_work(store, new_row):
    ear = Ear()
    with closing(store.listen(Topic.WORK, ear)):
        store.insert_jobs([new_row()])
        assert ear.wait_for(1)


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.ABORTED])
def test_the_end_of_a_job_wakes_who_waits_for_it(store, add_job, state):
    ear, job = Ear(), add_job()
    with closing(store.listen(Topic.ENDED, ear)):
        store.update_job(job.id, {"state": state})
        assert ear.wait_for(1)


def test_a_settled_job_wakes_who_waits_for_it(store, add_job):
    ear, job = Ear(), add_job()
    store.claim_jobs([job], server="s", now=now())
    with closing(store.listen(Topic.ENDED, ear)):
        store.settle_jobs([JobSettlement(job.id, 1, None)])
        assert ear.wait_for(1)


def test_a_destroyed_job_wakes_who_waits_for_it(store, add_job):
    ear, job = Ear(), add_job()
    with closing(store.listen(Topic.ENDED, ear)):
        store.destroy_job(job.id)
        assert ear.wait_for(1)


@pytest.mark.parametrize("act", ["hand_back_job", "hand_back_slice", "release", "retry", "append", "publish"])
def test_work_that_comes_back_wakes_who_waits_for_work(
    store, add_job, add_batch, claim_slices, settled, make_slices, act
):
    job, batch = add_job(), add_batch([1, 1])
    draft = add_job("Lines", batch=True, draft=True, uploader="u")
    store.claim_jobs([job], server="server-1", now=now())
    first, second = claim_slices(batch)
    store.settle_slices([settled(batch, second, done=0, exception="{}", output=None)], server="server-1")
    acts = {
        "hand_back_job": lambda: store.hand_back_job(job.id, 1, crashed=False),
        "hand_back_slice": lambda: store.hand_back_slice(batch.id, first, crashed=False),
        "release": lambda: store.release_server("server-1"),
        "retry": lambda: store.retry_slices(batch.id),
        "append": lambda: store.append_slices(batch.id, "main", make_slices([1])),
        "publish": lambda: store.update_job(draft.id, {"draft": False, "uploader": None}),
    }
    ear = Ear()
    with closing(store.listen(Topic.WORK, ear)):
        acts[act]()
        assert ear.wait_for(1)


def test_what_was_committed_can_be_read_when_the_wake_up_comes(store, new_row):
    row, seen = new_row(), []
    ear = Ear()

    def look():
        seen.append(store.job(row.id) is not None)
        ear()

    with closing(store.listen(Topic.WORK, look)):
        with store.transaction():
            store.insert_jobs([row])
            assert seen == []
        assert ear.wait_for(1)
    assert seen[0]


def test_a_transaction_that_was_undone_wakes_nobody(store, new_row):
    ear = Ear()
    with closing(store.listen(Topic.WORK, ear)):
        with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
            store.insert_jobs([new_row()])
            _ = 1 / 0
        assert ear.heard == 0
        store.insert_jobs([new_row()])
        assert ear.wait_for(1)
    # Closed, everything sent was delivered: a wake-up of the first transaction would have come before.
    assert ear.heard == 1


def test_a_refused_statement_wakes_nobody_later(store, add_job, new_row):
    job, ear = add_job(), Ear()
    with closing(store.listen(Topic.ENDED, ear)):
        with pytest.raises(PenstockError):
            store.update_job(job.id, {"state": "cancelled", "priority": -1})
        store.insert_jobs([new_row()])
    assert ear.heard == 0


def test_many_writes_in_one_transaction_are_one_wake_up(store, new_row):
    ear = Ear()
    with closing(store.listen(Topic.WORK, ear)):
        with store.transaction():
            for _ in range(5):
                store.insert_jobs([new_row()])
        assert ear.wait_for(1)
    assert ear.heard == 1


def test_every_listener_hears_and_a_closed_one_no_longer(store, new_row):
    ears = [Ear(), Ear(), Ear()]
    listening = [store.listen(Topic.WORK, ear) for ear in ears]
    listening[0].close()
    listening[0].close()
    store.insert_jobs([new_row()])
    assert all(ear.wait_for(1) for ear in ears[1:])
    assert ears[0].heard == 0
    for one in listening:
        one.close()


def test_topics_are_kept_apart(store, new_row):
    work, ended = Ear(), Ear()
    with closing(store.listen(Topic.WORK, work)), closing(store.listen(Topic.ENDED, ended)):
        store.insert_jobs([new_row()])
        assert work.wait_for(1)
    assert ended.heard == 0


def test_a_callback_may_use_the_store(store, new_row):
    ear, found = Ear(), []

    def look():
        if not found:
            found.extend(store.candidates(["Copy"], limit=5))
            store.claim_jobs(found, server="s", now=now())
        ear()

    row = new_row()
    with closing(store.listen(Topic.WORK, look)):
        store.insert_jobs([row])
        assert ear.wait_for(1)
    assert store.job(row.id).state is State.RUNNING
