"""Servers that work on one PostgreSQL at once: nobody waits where that can be helped, and nothing is done twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from penstock.clock import now
from penstock.errors import StoreBusy
from penstock.states import SliceState, State, SubState
from penstock.store import Topic
from penstock.store.rows import JobSettlement

SOON = 10


@pytest.fixture
def store(postgres):
    return postgres


@pytest.fixture
def beside(store):
    """Run a function in a transaction of another thread; the transaction stays open for the length of the block."""

    @contextmanager
    def run(act):
        done, end = threading.Event(), threading.Event()

        def work():
            with store.transaction():
                result = act()
                done.set()
                assert end.wait(SOON)
                return result

        with ThreadPoolExecutor(1) as threads:
            future = threads.submit(work)
            try:
                assert done.wait(SOON), future.exception(0)
                yield
            finally:
                end.set()
            future.result(SOON)

    return run


def take(store, server, limit=5, kind="Copy"):
    """Claim as a dispatcher does; return the ids."""
    with store.transaction():
        won = store.claim_jobs(store.candidates([kind], limit=limit), server=server, now=now())
    return [row.id for row in won]


class TestClaims:
    def test_two_at_once_get_different_jobs_in_their_order_and_neither_waits(self, store, new_row, beside):
        rows = [new_row() for _ in range(10)]
        store.insert_jobs(rows)
        with beside(lambda: store.claim_jobs(store.candidates(["Copy"], limit=5), server="s1", now=now())):
            assert take(store, "s2") == [row.id for row in rows[5:]]
        assert {store.job(row.id).server for row in rows[:5]} == {"s1"}

    def test_across_kinds_and_groups_the_most_urgent_that_are_free_are_taken(self, store, add_job, beside):
        jobs = [add_job("AB"[n % 2], priority=n + 1, throttle_group=("x", None)[n % 4 < 2]) for n in range(12)]
        asked = {"groups": [("A", "x"), ("B", "x")], "limit": 4}
        with beside(lambda: store.candidates(["A", "B"], **asked)), store.transaction():
            found = [row.id for row in store.candidates(["A", "B"], **asked)]
            assert len(found) == 4
            assert not set(found) & {job.id for job in jobs[:4]}

    def test_a_claim_of_jobs_that_another_is_claiming_wins_none_and_does_not_wait(self, store, add_job, beside):
        job = add_job()
        with beside(lambda: store.claim_jobs([store.job(job.id)], server="s1", now=now())):
            assert store.claim_jobs([job], server="s2", now=now()) == []

    def test_who_finds_all_work_in_others_hands_is_called_to_look_again(self, store, add_job, beside):
        add_job()
        heard = threading.Event()
        with closing(store.listen(Topic.WORK, heard.set)), beside(lambda: store.candidates(["Copy"], limit=5)):
            assert take(store, "s2") == []
            assert heard.wait(SOON)
        assert len(take(store, "s2")) == 1

    def test_what_was_locked_and_not_taken_is_free_again_afterwards(self, store, add_job, beside):
        job = add_job()
        with beside(lambda: store.candidates(["Copy"], limit=5)):
            pass
        assert take(store, "s2") == [job.id]

    def test_four_servers_do_every_job_once(self, store, new_row):
        rows = [new_row("AB"[n % 2], priority=1 + n % 3) for n in range(400)]
        store.insert_jobs(rows)
        start = threading.Barrier(4)

        def serve(server):
            start.wait(SOON)
            done, mine = [], []
            while True:
                with store.transaction():
                    assert store.settle_jobs([JobSettlement(row.id, row.attempt, None) for row in mine]) == []
                    done += [row.id for row in mine]
                    mine = store.claim_jobs(store.candidates(["A", "B"], limit=7), server=server, now=now())
                if not mine and not store.candidates(["A", "B"], limit=1):
                    return done

        with ThreadPoolExecutor(4) as threads:
            done = Counter(job_id for found in threads.map(serve, "abcd") for job_id in found)
        assert done == Counter(row.id for row in rows)

    def test_a_batch_job_is_shared_by_servers_that_claim_at_once(self, store, add_batch, beside):
        job = add_batch([1] * 6)

        def claim(server):
            (found,) = store.candidates(["Lines"], limit=5)
            return store.claim_slices(found.id, server=server, limit=3, max_bytes=1 << 20)

        with beside(lambda: claim("s1")), store.transaction():
            assert [one.number for one in claim("s2")] == [4, 5, 6]
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 6}


class TestBatchJobs:
    def test_of_two_that_settle_the_last_slices_at_once_one_sees_that_nothing_is_left(
        self, store, add_batch, claim_slices, settled
    ):
        job = add_batch([1, 1])
        slices = claim_slices(job)
        both, looked = threading.Barrier(2), []

        def settle(claimed):
            with store.transaction():
                assert store.settle_slices([settled(job, claimed)], server=f"s{claimed.number}") == []
                both.wait(SOON)
                looked.append(store.standing(job.id).finished)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(settle, slices))
        assert sorted(looked) == [False, True]

    def test_a_look_that_finds_no_slice_does_not_hide_one_that_is_coming_back(
        self, store, add_batch, claim_slices, beside
    ):
        job = add_batch([1])
        (claimed,) = claim_slices(job)
        with ThreadPoolExecutor(1) as threads:
            with beside(lambda: store.hand_back_slice(job.id, claimed, crashed=False)):
                look = threads.submit(claim_slices, job)
            assert look.result(SOON) in ([], [claimed._replace(attempt=2)])
        if store.slice_counts(job.id) == {SliceState.QUEUED: 1}:
            assert [row.id for row in store.candidates(["Lines"], limit=1)] == [job.id]

    def test_who_settles_the_last_slice_and_who_finds_none_left_do_not_wait_in_a_ring(
        self, store, add_batch, claim_slices, settled
    ):
        job = add_batch([1])
        (claimed,) = claim_slices(job)
        both, looked = threading.Barrier(2), []

        def look(act):
            with store.transaction():
                act()
                both.wait(SOON)
                standing = store.standing(job.id)
                looked.append(standing.finished)
                if standing.finished:
                    store.update_job(job.id, {"sub_state": SubState.AFTER})

        with ThreadPoolExecutor(2) as threads:
            acts = [lambda: store.settle_slices([settled(job, claimed)], server="s"), lambda: claim_slices(job)]
            list(threads.map(look, acts))
        assert True in looked

    def test_slices_that_another_is_claiming_do_not_end_the_look(self, store, add_batch, claim_slices, beside):
        job = add_batch([1])
        with beside(lambda: claim_slices(job)):
            assert store.claim_slices(job.id, server="s2", limit=1, max_bytes=99) == []
            assert [row.id for row in store.candidates(["Lines"], limit=1)] == [job.id]

    def test_a_claim_rewrites_no_payload(self, store, add_batch, claim_slices):
        job = add_batch([1, 1, 1])

        def places():
            return store.connections.fetch(
                f"SELECT slice_id, ctid::text, xmin::text FROM {store.place.schema}.slice_payloads ORDER BY slice_id"
            )

        before = places()
        for claimed in claim_slices(job):
            store.hand_back_slice(job.id, claimed, crashed=True)
        claim_slices(job)
        assert places() == before


class TestLimits:
    def test_a_settlement_does_not_wait_for_a_claim_that_minds_a_limit(self, store, add_job, beside):
        job = add_job()
        job.limit_name = "Copy"
        store.claim_jobs([job], server="s1", now=now())
        with beside(store.limits):
            assert store.settle_jobs([JobSettlement(job.id, 1, None)]) == []
        assert store.limits() == {}

    def test_a_claim_that_minds_a_limit_waits_for_another_one(self, store, add_job, beside):
        job = add_job()

        def claim():
            job.limit_name = "Copy"
            assert store.limits() == {}
            store.claim_jobs([job], server="s1", now=now())

        def look():
            with store.transaction():
                return store.limits()

        with ThreadPoolExecutor(1) as threads:
            with beside(claim):
                seen = threads.submit(look)
                assert not seen.done()
            assert seen.result(SOON) == {"Copy": 1}

    def test_to_look_at_limits_outside_a_transaction_waits_for_nobody(self, store, beside):
        with beside(store.limits):
            assert store.limits() == {}


def test_of_two_transactions_that_wait_for_each_other_one_is_undone_and_told_so(store, add_job):
    jobs, both = [add_job(), add_job()], threading.Barrier(2)

    def change(order):
        try:
            with store.transaction():
                store.update_job(jobs[order[0]].id, {"priority": 1})
                both.wait(SOON)
                store.update_job(jobs[order[1]].id, {"worker": "w"})
        except StoreBusy as error:
            return str(error)

    with ThreadPoolExecutor(2) as threads:
        told = [one for one in threads.map(change, [(0, 1), (1, 0)]) if one]
    assert len(told) == 1
    assert "may be tried again" in told[0]
    assert sorted(store.job(job.id).priority for job in jobs) == [1, 50]


def test_a_job_read_in_a_transaction_is_not_changed_by_others_before_its_end(store, add_job):
    job = add_job()
    with ThreadPoolExecutor(1) as threads:
        with store.transaction():
            read = store.job(job.id)
            other = threads.submit(store.update_job, job.id, {"state": State.PAUSED})
            assert not other.done()
            assert store.update_job(job.id, {"priority": read.priority + 1}, expect={"state": State.QUEUED})
        assert other.result(SOON)
    assert (store.job(job.id).state, store.job(job.id).priority) == (State.PAUSED, 51)


def test_a_batch_job_is_started_by_one_of_many(store, add_batch):
    job, start = add_batch(started=False), threading.Barrier(4)

    def begin(server):
        start.wait(SOON)
        return store.start_batch(job.id, sub_state=SubState.BEFORE, server=server, now=now()) is not None

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(begin, "abcd")) == [False, False, False, True]
