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


def test_an_exception_undoes_everything_in_the_block(store, add_job, add_batch, claim_slices, make_slices):
    job, batch = add_job(), add_batch([1, 1])
    before = store.job(job.id), store.job(batch.id), store.accounts(batch.id)
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        store.claim_jobs(store.candidates(["Copy"], limit=1), server="s", now=now())
        claim_slices(batch, limit=1)
        store.append_slices(batch.id, "main", make_slices([1]))
        store.update_job(batch.id, {"priority": 1})
        store.destroy_job(job.id)
        raise Stop
    assert (store.job(job.id), store.job(batch.id), store.accounts(batch.id)) == before


@pytest.mark.one_store
def test_an_exception_undoes_what_was_settled_or_handed_back(store, add_batch, claim_slices, settled):
    batch = add_batch([1, 1, 1])
    first, second = claim_slices(batch, limit=2)
    before = store.job(batch.id), store.accounts(batch.id)
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        store.settle_slices([settled(batch, first)], server="s")
        store.hand_back_slice(batch.id, second, crashed=True)
        raise Stop
    assert (store.job(batch.id), store.accounts(batch.id)) == before


@pytest.mark.one_store
def test_an_exception_leaves_no_trace_of_a_claim_of_slices(store, add_batch, claim_slices):
    batch = add_batch([1])
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        claim_slices(batch)
        raise Stop
    (claimed,) = claim_slices(batch)
    assert claimed.attempt == 1


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
    with pytest.raises(Exception, match=r"(?i)unique"):
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


def test_who_takes_turns_sees_what_those_before_it_stored(store, new_row):
    """As for what is looked for first, and stored where it is not found."""
    start = threading.Barrier(4)

    def ensure():
        start.wait(10)
        with store.transaction():
            store.take_turns("ensure Copy")
            if store.count_jobs(Query()) == 0:
                store.insert_jobs([new_row()])

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.count_jobs(Query()) == 1


def test_turns_under_another_name_are_not_waited_for(store):
    with store.transaction():
        store.take_turns("a")
        store.take_turns("b")
        store.take_turns("a")
