"""Transactions: all or nothing, one for each thread."""

import threading

import pytest

from penstock.clock import now
from penstock.query import Query
from penstock.states import State


class Stop(Exception):
    """Raised by the tests themselves."""


def test_what_is_written_in_a_block_happens_together(store, new_row):
    rows = [new_row(), new_row()]
    with store.transaction():
        for row in rows:
            store.insert_jobs([row])
    assert store.count_jobs(Query()) == 2


def test_an_exception_undoes_everything_in_the_block(store, add_job, add_batch, claim_slices, settled, make_slices):
    job, batch = add_job(), add_batch([1, 1])
    (claimed,) = claim_slices(batch, limit=1)
    before = store.job(job.id), store.job(batch.id), store.accounts(batch.id)
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        store.claim_jobs(store.candidates(["Copy"], limit=1), server="s", now=now())
        store.settle_slices([settled(batch, claimed)], server="s")
        store.append_slices(batch.id, "main", make_slices([1]))
        store.update_job(batch.id, {"priority": 1})
        store.destroy_job(job.id)
        raise Stop
    assert (store.job(job.id), store.job(batch.id), store.accounts(batch.id)) == before


def test_a_block_inside_another_belongs_to_the_outer_one(store, new_row):
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        with store.transaction():
            store.insert_jobs([new_row()])
        assert store.count_jobs(Query()) == 1
        raise Stop
    assert store.count_jobs(Query()) == 0


def test_a_thread_sees_what_it_wrote_in_its_open_block(store, add_job):
    job = add_job()
    with store.transaction():
        store.update_job(job.id, {"priority": 3})
        assert store.job(job.id).priority == 3


def test_after_a_refused_statement_the_store_goes_on(store, add_job, new_row):
    job = add_job()
    with pytest.raises(Exception, match="UNIQUE"):
        store.insert_jobs([job])
    store.insert_jobs([new_row()])
    assert store.count_jobs(Query()) == 2


def test_after_an_undone_block_the_next_one_is_stored(store, new_row):
    with pytest.raises(Stop), store.transaction():
        raise Stop
    with store.transaction():
        store.insert_jobs([new_row()])
    assert store.count_jobs(Query()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_even_what_ends_a_program_undoes_the_block(store, new_row, error):
    with pytest.raises(error), store.transaction():  # noqa: PT012
        store.insert_jobs([new_row()])
        raise error
    assert store.count_jobs(Query()) == 0


def test_other_threads_wait_for_a_block_to_end(store, add_job):
    job = add_job()
    inside, finished = threading.Event(), threading.Event()
    results = []

    def other():
        inside.wait(10)
        results.append(store.update_job(job.id, {"priority": 2}, expect={"state": State.PAUSED}))
        finished.set()

    thread = threading.Thread(target=other)
    thread.start()
    with store.transaction():
        store.update_job(job.id, {"priority": 9})
        inside.set()
        assert not finished.wait(0.1)
        store.update_job(job.id, {"state": State.PAUSED})
    thread.join(10)
    assert results == [True]
    assert store.job(job.id).priority == 2


def test_writers_in_many_threads_lose_nothing(store, add_job):
    job = add_job(fields='{"n":0}')
    start = threading.Barrier(4)

    def work(server):
        start.wait()
        for _ in range(25):
            with store.transaction():
                store.update_job(job.id, {"failure_count": store.job(job.id).failure_count + 1})

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.job(job.id).failure_count == 100
