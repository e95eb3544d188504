"""Limits: how many jobs run under each name, exact whatever moves them."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.clock import now
from penstock.ids import new_id
from penstock.query import Query
from penstock.states import State, SubState
from penstock.store.rows import JobRow, JobSettlement

ENDS = [state for state in State if state is not State.RUNNING]


@pytest.fixture
def claim(store):
    """Claim jobs, counted against a limit; return them as they are now."""

    def take(*rows, limit="Copy", server="s1"):
        for row in rows:
            row.limit_name = limit
        return store.claim_jobs(rows, server=server, now=now())

    return take


@pytest.fixture
def start(store, add_batch):
    """Start a batch job, counted against a limit."""

    def begin(slices=(1, 1), *, sub_state=SubState.PROCESSING, limit="Lines", server="s1"):
        job = add_batch(slices, started=False)
        return store.start_batch(job.id, sub_state=sub_state, server=server, now=now(), limit_name=limit)

    return begin


def running(store):
    """Count the jobs that run by the limit that they name."""
    rows = store.find_jobs(Query(states=(State.RUNNING,)))
    return dict(Counter(row.limit_name for row in rows if row.limit_name is not None))


class TestWaysIn:
    def test_at_first_nothing_runs(self, store):
        assert store.limits() == {}

    def test_each_claimed_job_counts_against_the_limit_it_names(self, store, add_job, claim):
        claim(add_job(), add_job(), limit="a")
        claim(add_job(), limit="b")
        assert store.limits() == {"a": 2, "b": 1}

    def test_a_claimed_job_says_which_limit_it_counts_against(self, store, add_job, claim):
        (row,) = claim(add_job(), limit="a")
        assert row.limit_name == "a"
        assert store.job(row.id) == row

    def test_a_job_that_names_no_limit_counts_against_none(self, store, add_job, claim):
        claim(add_job(), limit=None)
        assert store.limits() == {}

    def test_the_limit_of_the_attempt_counts_and_not_that_of_an_earlier_one(self, store, add_job, claim):
        (row,) = claim(add_job(), limit="a")
        store.hand_back_job(row.id, 1, crashed=False)
        claim(store.job(row.id), limit="b")
        assert store.limits() == {"b": 1}
        store.hand_back_job(row.id, 2, crashed=False)
        claim(store.job(row.id), limit=None)
        assert store.limits() == {}

    def test_a_job_that_was_not_won_is_not_counted(self, store, add_job, claim):
        taken, paused, stale, free = (add_job() for _ in range(4))
        claim(taken, limit="first")
        store.update_job(paused.id, {"state": State.PAUSED})
        claim(store.job(stale.id), limit="first")
        store.hand_back_job(stale.id, 1, crashed=False)
        assert [row.id for row in claim(taken, paused, stale, free, limit="second")] == [free.id]
        assert store.limits() == {"first": 1, "second": 1}

    @pytest.mark.parametrize("sub_state", [SubState.BEFORE, SubState.PROCESSING])
    def test_a_batch_job_counts_once_from_its_start(self, store, start, sub_state):
        row = start(sub_state=sub_state, limit="a")
        assert row.limit_name == "a"
        assert store.limits() == {"a": 1}
        assert store.start_batch(row.id, sub_state=sub_state, server="s2", now=now(), limit_name="b") is None
        assert store.limits() == {"a": 1}

    def test_slices_do_not_count(self, store, start, claim_slices, settled):
        job = start([1, 1, 1])
        first, second, _ = claim_slices(job)
        assert store.limits() == {"Lines": 1}
        store.settle_slices([settled(job, first)], server="server-1")
        store.hand_back_slice(job.id, second, crashed=True)
        assert store.limits() == {"Lines": 1}

    def test_the_parts_of_a_batch_jobs_life_are_one_run(self, store, start):
        job = start(sub_state=SubState.BEFORE)
        for sub_state in (SubState.PROCESSING, SubState.AFTER, SubState.PROCESSING):
            assert store.update_job(job.id, {"sub_state": sub_state, "state": State.RUNNING})
            assert store.limits() == {"Lines": 1}

    def test_a_batch_job_that_runs_again_without_a_claim_counts_again(self, store, start):
        job = start()
        store.update_job(job.id, {"state": State.FAILED})
        assert store.limits() == {}
        store.update_job(job.id, {"state": State.RUNNING, "sub_state": SubState.PROCESSING})
        assert store.limits() == {"Lines": 1}

    def test_a_batch_job_that_queued_on_its_way_counts_against_the_limit_of_its_new_start(self, store, start):
        job = start(limit="a")
        store.update_job(job.id, {"state": State.PAUSED})
        store.update_job(job.id, {"state": State.QUEUED})
        assert store.limits() == {}
        store.start_batch(job.id, sub_state=SubState.PROCESSING, server="s2", now=now(), limit_name="b")
        assert store.limits() == {"b": 1}


class TestWaysOut:
    @pytest.mark.parametrize("state", [None, *ENDS])
    def test_a_settled_job_no_longer_counts(self, store, add_job, claim, state):
        row, other = claim(add_job(), add_job())
        changes = None if state is None else {"state": state, "server": None}
        assert store.settle_jobs([JobSettlement(row.id, 1, changes)]) == []
        assert store.limits() == {"Copy": 1}
        assert store.settle_jobs([JobSettlement(other.id, 1, changes)]) == []
        assert store.limits() == {}

    def test_a_refused_settlement_leaves_the_count(self, store, add_job, claim):
        (row,) = claim(add_job())
        for changes in (None, {"state": State.COMPLETED}):
            late = JobSettlement(row.id, 0, changes)
            assert store.settle_jobs([late]) == [late]
        assert store.limits() == {"Copy": 1}

    def test_of_many_settlements_each_counts_once_though_some_are_refused(self, store, add_job, claim):
        rows = claim(*(add_job() for _ in range(6)))
        settlements = [JobSettlement(row.id, 1 + n % 2, None) for n, row in enumerate(rows)]
        assert len(store.settle_jobs(settlements)) == 3
        assert store.limits() == {"Copy": 3}

    @pytest.mark.parametrize("crashed", [False, True])
    def test_a_job_handed_back_no_longer_counts(self, store, add_job, claim, crashed):
        (row,) = claim(add_job())
        assert store.hand_back_job(row.id, 0, crashed=crashed) is None
        assert store.limits() == {"Copy": 1}
        store.hand_back_job(row.id, 1, crashed=crashed)
        assert store.limits() == {}

    def test_a_released_servers_jobs_no_longer_count_and_those_of_others_do(self, store, add_job, claim):
        claim(add_job(), add_job(), limit="a", server="dead")
        claim(add_job(), limit="b", server="dead")
        claim(add_job(), limit="a", server="alive")
        store.release_server("dead")
        assert store.limits() == {"a": 1}

    @pytest.mark.parametrize("state", ENDS)
    def test_a_job_that_somebody_moved_no_longer_counts(self, store, add_job, claim, state):
        (row,) = claim(add_job())
        assert store.update_job(row.id, {"state": state}, expect={"state": State.RUNNING})
        assert store.limits() == {}

    def test_a_move_that_is_refused_or_of_another_column_leaves_the_count(self, store, add_job, claim):
        (row,) = claim(add_job())
        assert not store.update_job(row.id, {"state": State.FAILED}, expect={"attempt": 9})
        assert store.update_job(row.id, {"priority": 1, "state": State.RUNNING})
        assert store.limits() == {"Copy": 1}

    def test_a_running_job_that_is_destroyed_no_longer_counts(self, store, add_job, claim, start):
        (row,) = claim(add_job())
        batch = start([1] * 3)
        store.destroy_job(row.id)
        assert store.limits() == {"Lines": 1}
        store.destroy_job(batch.id)
        assert store.limits() == {}

    def test_a_job_that_ended_before_and_is_destroyed_is_not_counted_out_twice(self, store, add_job, claim):
        ended, _ = claim(add_job(), add_job())
        store.settle_jobs([JobSettlement(ended.id, 1, {"state": State.COMPLETED})])
        store.destroy_job(ended.id)
        assert store.limits() == {"Copy": 1}

    @pytest.mark.parametrize(
        ("sub_state", "left"),
        [(SubState.BEFORE, {}), (SubState.PROCESSING, {"Lines": 1}), (SubState.AFTER, {"Lines": 1})],
    )
    @pytest.mark.parametrize("way", ["hand_back_job", "release_server"])
    def test_a_batch_job_whose_server_is_gone_counts_as_long_as_it_runs(self, store, start, way, sub_state, left):
        job = start(sub_state=SubState.BEFORE)
        server = None if sub_state is SubState.PROCESSING else "s1"
        store.update_job(job.id, {"sub_state": sub_state, "server": server})
        if way == "hand_back_job":
            store.hand_back_job(job.id, 1, crashed=False)
        else:
            store.release_server("s1")
        assert store.limits() == left == running(store)


class TestTransactions:
    def test_a_claim_sees_what_it_has_taken_itself(self, store, add_job, claim):
        with store.transaction():
            claim(add_job())
            assert store.limits() == {"Copy": 1}
            claim(add_job())
            assert store.limits() == {"Copy": 2}

    def test_what_is_rolled_back_was_never_counted(self, store, add_job, claim, undone):
        (row,) = claim(add_job())
        more = add_job()
        for act in (lambda: claim(more), lambda: store.hand_back_job(row.id, 1, crashed=False)):
            with undone():
                act()
            assert store.limits() == {"Copy": 1} == running(store)

    def test_a_claim_beside_a_transaction_that_is_rolled_back_counts_its_own_only(self, store, add_job, claim, undone):
        jobs = [add_job() for _ in range(5)]
        inside, about_to_claim = threading.Event(), threading.Event()

        def undo():
            with undone():
                claim(*jobs[:3], server="s1")
                inside.set()
                assert about_to_claim.wait(10)

        with ThreadPoolExecutor(1) as threads:
            other = threads.submit(undo)
            assert inside.wait(10)
            about_to_claim.set()
            # Waits for the other's end, or it would read what the other has written and takes back.
            with store.transaction():
                seen = store.limits()
                won = claim(*map(store.job, (jobs[0].id, jobs[4].id)), server="s2")
            other.result(10)
        assert seen == {}
        assert len(won) == 2
        assert store.limits() == {"Copy": 2} == running(store)

    def test_servers_that_look_before_they_claim_never_pass_a_limit(self, store, new_row):
        most, rows = 3, [new_row() for _ in range(90)]
        store.insert_jobs(rows)
        start, seen = threading.Barrier(4), []

        def serve(server):
            start.wait(10)
            mine = []
            while True:
                with store.transaction():
                    store.settle_jobs([JobSettlement(row.id, row.attempt, None) for row in mine[:1]])
                    del mine[:1]
                    free = most - store.limits().get("Copy", 0)
                    found = store.candidates(["Copy"], limit=free) if free else []
                    for row in found:
                        row.limit_name = "Copy"
                    mine += store.claim_jobs(found, server=server, now=now())
                    seen.append((store.limits().get("Copy", 0), running(store).get("Copy", 0)))
                    if not mine and not store.candidates(["Copy"], limit=1):
                        return

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(serve, "abcd"))
        assert {counted for counted, _ in seen} <= set(range(most + 1))
        assert all(counted == really for counted, really in seen)
        assert store.limits() == {}


# Any sequence ------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from([
            "add", "add_batch", "claim", "claim", "start", "settle", "settle_late", "hand_back", "release",
            "move", "move", "destroy", "hold", "time", "undone",
        ]),
        st.integers(0, 7),
        st.integers(0, 7),
    ),
    max_size=30,
)  # fmt: skip
LIMITS = (None, "a", "b")
SERVERS = ("s1", "s2")


class Actors:
    """Does one step after another, on jobs chosen by number."""

    def __init__(self, store, clock, rolled_back):
        self.store, self.clock, self.rolled_back = store, clock, rolled_back

    def pick(self, number, **wanted):
        rows = [row for row in self.store.find_jobs(Query()) if all(getattr(row, k) == v for k, v in wanted.items())]
        return rows[number % len(rows)] if rows else None

    def add(self, _one, _two):
        self.store.insert_jobs([JobRow(id=new_id(), kind="Copy", batch=False, created_at=now())])

    def add_batch(self, _one, _two):
        self.store.insert_jobs([JobRow(id=new_id(), kind="Lines", batch=True, created_at=now(), record_count=0)])

    def claim(self, one, two):
        rows = self.store.candidates(["Copy"], limit=1 + one % 3)
        for row in rows:
            row.limit_name = LIMITS[two % 3]
        self.store.claim_jobs(rows, server=SERVERS[one % 2], now=now())

    def start(self, one, two):
        row = self.pick(one, batch=True, state=State.QUEUED)
        if row is not None:
            sub_state = (SubState.BEFORE, SubState.PROCESSING)[two % 2]
            self.store.start_batch(
                row.id, sub_state=sub_state, server=SERVERS[one % 2], now=now(), limit_name=LIMITS[two % 3]
            )

    def settle(self, one, two):
        row = self.pick(one, batch=False, state=State.RUNNING)
        if row is not None:
            changes = None if two == 0 else {"state": ENDS[two % len(ENDS)], "server": None}
            assert self.store.settle_jobs([JobSettlement(row.id, row.attempt, changes)]) == []

    def settle_late(self, one, two):
        row = self.pick(one)
        if row is not None:
            changes = None if two == 0 else {"state": ENDS[two % len(ENDS)]}
            assert self.store.settle_jobs([JobSettlement(row.id, row.attempt - 1, changes)]) != []

    def hand_back(self, one, two):
        row = self.pick(one)
        if row is not None:
            self.store.hand_back_job(row.id, row.attempt, crashed=two % 2 == 0)

    def release(self, one, _two):
        self.store.release_server(SERVERS[one % 2])

    def move(self, one, two):
        row = self.pick(one)
        if row is not None:
            state = list(State)[two % len(State)]
            if row.batch or state is not State.RUNNING:
                sub_state = SubState.PROCESSING if row.batch and state is State.RUNNING else None
                self.store.update_job(row.id, {"state": state, "sub_state": sub_state})

    def destroy(self, one, _two):
        row = self.pick(one)
        if row is not None:
            self.store.destroy_job(row.id)

    def hold(self, one, two):
        row = self.pick(one)
        if row is not None:
            self.store.hold_job(row.id, until=now() + timedelta(seconds=two), reason="r", now=now())

    def time(self, one, _two):
        self.clock.advance(one)
        self.store.release_due_jobs(now())

    def undone(self, one, two):
        with self.rolled_back():
            for name in ("claim", "start", "move", "destroy"):
                getattr(self, name)(one, two)


@given(steps=STEPS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_sequence_of_steps_the_limits_are_the_jobs_that_run(store, clock, undone, steps):
    for row in list(store.find_jobs(Query())):
        store.destroy_job(row.id)
    assert store.limits() == {}
    actors = Actors(store, clock, undone)
    for name, one, two in steps:
        getattr(actors, name)(one, two)
        assert store.limits() == running(store), name
