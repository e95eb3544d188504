"""Held jobs: not to be claimed for a while, whatever else they say, and why."""

from datetime import timedelta

import pytest

from penstock.ids import new_id
from penstock.query import Query
from penstock.states import SliceState, State, SubState
from penstock.store.rows import JobSettlement

REASON = "the disk is nearly full"


@pytest.fixture
def at(clock):
    """Return the moment so many seconds from the start of the test; None stays None."""
    start = clock.now()
    return lambda seconds: None if seconds is None else start + timedelta(seconds=seconds)


@pytest.fixture
def hold(store, clock, at):
    """Hold a job until so many seconds from the start of the test."""

    def held(job, seconds, reason=REASON):
        return store.hold_job(job.id, until=at(seconds), reason=reason, now=clock.now())

    return held


@pytest.fixture
def offered(store, clock):
    """Return the ids of what can be claimed now, after what is due was released as each claim does."""

    def ids():
        store.release_due_jobs(clock.now())
        return [row.id for row in store.candidates(["Copy", "Lines"], limit=99)]

    return ids


class TestHolding:
    def test_a_held_job_says_until_when_why_and_since_when(self, store, add_job, hold, clock, at):
        job = add_job()
        clock.advance(3)
        assert hold(job, 10)
        row = store.job(job.id)
        assert (row.held_until, row.throttled_by, row.throttled_at) == (at(10), REASON, at(3))
        assert (row.state, row.run_at, row.attempt) == (State.QUEUED, None, 0)

    def test_held_again_for_the_same_reason_it_says_since_when_it_was_first(self, store, add_job, hold, clock, at):
        job = add_job()
        hold(job, 5)
        clock.advance(6)
        hold(job, 11)
        assert (store.job(job.id).held_until, store.job(job.id).throttled_at) == (at(11), at(0))
        clock.advance(6)
        hold(job, 20, "the API is down")
        row = store.job(job.id)
        assert (row.throttled_by, row.throttled_at) == ("the API is down", at(12))

    def test_held_again_for_less_it_is_held_for_less(self, add_job, hold, offered, clock):
        job = add_job()
        hold(job, 100)
        hold(job, 5)
        clock.advance(5)
        assert offered() == [job.id]

    def test_a_claim_keeps_why_and_since_when_for_the_job_may_be_held_again(
        self, store, add_job, add_batch, hold, offered, clock, at
    ):
        job, batch = add_job(), add_batch(started=False)
        hold(job, 5)
        hold(batch, 5)
        clock.advance(5)
        assert offered() == [job.id, batch.id]
        (claimed,) = store.claim_jobs([store.job(job.id)], server="s", now=clock.now())
        started = store.start_batch(batch.id, sub_state=SubState.BEFORE, server="s", now=clock.now())
        for row in (claimed, started):
            assert (row.throttled_by, row.throttled_at, row.held_until) == (REASON, at(0), None)
            assert store.job(row.id) == row

    def test_a_batch_job_that_starts_with_its_slices_says_no_more_why_it_waited(
        self, store, add_batch, hold, offered, clock
    ):
        batch = add_batch(started=False)
        hold(batch, 5)
        clock.advance(5)
        assert offered() == [batch.id]
        started = store.start_batch(batch.id, sub_state=SubState.PROCESSING, server="s", now=clock.now())
        assert (started.throttled_by, started.throttled_at) == (None, None)

    @pytest.mark.parametrize("state", [s for s in State if s not in (State.QUEUED, State.RUNNING)])
    def test_a_job_that_is_neither_queued_nor_running_is_left_as_it_is(self, store, add_job, hold, state):
        job = add_job(state=state)
        before = store.job(job.id)
        assert not hold(job, 10)
        assert store.job(job.id) == before

    def test_a_job_that_is_not_there_is_false(self, store, clock):
        assert not store.hold_job(new_id(), until=clock.now(), reason=REASON, now=clock.now())

    def test_a_hold_belongs_to_the_transaction(self, store, add_job, hold, offered, undone):
        job = add_job()
        with undone():
            hold(job, 10)
        assert offered() == [job.id]
        assert store.job(job.id).throttled_by is None

    def test_it_holds_no_other_job(self, add_job, hold, offered):
        job, other = add_job(), add_job()
        hold(job, 10)
        assert offered() == [other.id]


class TestEndOfAHold:
    @pytest.mark.parametrize("run_at", [None, -5, 0, 3, 10, 20])
    @pytest.mark.parametrize("held", [None, -5, 3, 10])
    @pytest.mark.parametrize("way", ["inserted", "edited", "held"])
    def test_a_job_is_offered_when_both_its_times_have_come(
        self, store, add_job, hold, offered, clock, at, way, run_at, held
    ):
        if way == "inserted":
            job = add_job(run_at=at(run_at), held_until=at(held))
        elif way == "edited":
            job = add_job()
            store.update_job(job.id, {"run_at": at(run_at), "held_until": at(held)})
        else:
            job = add_job(run_at=at(run_at))
            if held is not None:
                hold(job, held)
        due = max(moment for moment in (run_at, held, 0) if moment is not None)
        for second in range(22):
            assert offered() == ([job.id] if second >= due else []), second
            clock.advance(1)

    @pytest.mark.parametrize("order", ["run_at first", "held first"])
    def test_next_due_is_the_next_moment_at_which_looking_is_worth_while(self, store, add_job, hold, clock, at, order):
        run_at, held = (4, 9) if order == "run_at first" else (9, 4)
        job = add_job(run_at=at(run_at))
        hold(job, held)
        # Never one that has passed, or a server would look again and again at once.
        assert store.next_due() == at(held)
        clock.advance(held)
        store.release_due_jobs(clock.now())
        assert store.next_due() == (at(9) if order == "held first" else None)
        clock.advance(9 - held)
        store.release_due_jobs(clock.now())
        assert store.next_due() is None

    def test_next_due_is_the_earliest_of_holds_and_schedules(self, store, add_job, hold, at):
        add_job(run_at=at(30))
        assert store.next_due() == at(30)
        hold(add_job(), 20)
        assert store.next_due() == at(20)
        add_job(run_at=at(10))
        assert store.next_due() == at(10)

    def test_a_person_may_end_a_hold(self, store, add_job, hold, offered):
        job = add_job()
        hold(job, 100)
        store.update_job(job.id, {"held_until": None})
        assert offered() == [job.id]
        assert store.next_due() is None

    def test_a_job_that_is_paused_meanwhile_is_not_offered_when_its_hold_ends(
        self, store, add_job, hold, offered, clock
    ):
        job = add_job()
        hold(job, 5)
        store.update_job(job.id, {"state": State.PAUSED})
        clock.advance(6)
        assert offered() == []
        store.update_job(job.id, {"state": State.QUEUED})
        assert offered() == [job.id]

    def test_a_hold_outlasts_a_pause(self, store, add_job, hold, offered, clock):
        job = add_job()
        hold(job, 5)
        store.update_job(job.id, {"state": State.PAUSED})
        store.update_job(job.id, {"state": State.QUEUED})
        assert offered() == []
        clock.advance(5)
        assert offered() == [job.id]

    @pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.ABORTED])
    def test_a_job_that_ended_meanwhile_is_not_offered_when_its_hold_ends(
        self, store, add_job, hold, offered, clock, state
    ):
        job = add_job()
        hold(job, 5)
        store.update_job(job.id, {"state": state})
        clock.advance(6)
        assert offered() == []
        assert store.job(job.id).state is state
        assert store.next_due() is None

    def test_a_held_draft_is_not_offered_before_it_is_published(self, store, add_job, offered, clock, at):
        draft = add_job("Lines", batch=True, draft=True, uploader="u", held_until=at(5))
        clock.advance(6)
        assert offered() == []
        store.update_job(draft.id, {"draft": False, "uploader": None})
        assert offered() == [draft.id]

    def test_a_draft_published_while_it_is_held_waits_for_the_end(self, store, add_job, offered, clock, at):
        draft = add_job("Lines", batch=True, draft=True, uploader="u", held_until=at(5))
        store.update_job(draft.id, {"draft": False, "uploader": None})
        assert offered() == []
        clock.advance(5)
        assert offered() == [draft.id]

    def test_a_held_job_of_a_group_is_not_waiting_in_it(self, store, add_job, hold, clock):
        job = add_job(throttle_group="x")
        hold(job, 5)
        assert store.waiting_groups(["Copy"]) == []
        assert store.candidates([], groups=[("Copy", "x")], limit=9) == []
        clock.advance(5)
        store.release_due_jobs(clock.now())
        assert store.waiting_groups(["Copy"]) == [("Copy", "x")]


class TestRegularJobsHeldWhileTheyRun:
    @pytest.fixture
    def running(self, store, add_job, clock):
        (row,) = store.claim_jobs([add_job(destroy_on_complete=False)], server="s1", now=clock.now())
        return row

    def test_it_runs_on_and_may_be_settled(self, store, running, hold, offered, clock):
        assert hold(running, 10)
        assert store.settle_jobs([JobSettlement(running.id, 1, {"state": State.COMPLETED, "server": None})]) == []
        clock.advance(11)
        assert offered() == []
        assert store.job(running.id).state is State.COMPLETED

    @pytest.mark.parametrize("way", ["hand_back_job", "release_server", "settle_jobs"])
    def test_queued_again_it_waits_for_the_end_of_the_hold(self, store, running, hold, offered, clock, way):
        hold(running, 10)
        back_in_the_queue(store, running, way)
        assert store.job(running.id).state is State.QUEUED
        assert offered() == []
        clock.advance(10)
        assert offered() == [running.id]

    @pytest.mark.parametrize("way", ["hand_back_job", "release_server", "settle_jobs"])
    def test_queued_again_it_waits_for_the_time_that_it_was_put_off_to(self, store, running, offered, clock, at, way):
        store.update_job(running.id, {"run_at": at(10)})
        back_in_the_queue(store, running, way)
        assert offered() == []
        assert store.next_due() == at(10)
        clock.advance(10)
        assert offered() == [running.id]

    def test_a_settlement_may_hold_it(self, store, running, offered, clock, at):
        changes = {"state": State.QUEUED, "server": None, "held_until": at(5), "throttled_by": REASON}
        store.settle_jobs([JobSettlement(running.id, 1, changes)])
        assert offered() == []
        clock.advance(5)
        assert offered() == [running.id]
        assert store.job(running.id).throttled_by == REASON


def back_in_the_queue(store, row, way):
    if way == "hand_back_job":
        store.hand_back_job(row.id, row.attempt, crashed=True)
    elif way == "release_server":
        store.release_server(row.server)
    else:
        store.settle_jobs([JobSettlement(row.id, row.attempt, {"state": State.QUEUED, "server": None})])


class TestBatchJobsHeldWhileTheyRun:
    def test_their_slices_rest_and_go_on_when_the_hold_ends(self, store, add_batch, hold, offered, clock):
        job = add_batch()
        assert hold(job, 10)
        assert offered() == []
        assert (store.job(job.id).state, store.job(job.id).sub_state) == (State.RUNNING, SubState.PROCESSING)
        clock.advance(10)
        assert offered() == [job.id]

    def test_slices_under_way_are_settled_all_the_same(self, store, add_batch, claim_slices, settled, hold, offered):
        job = add_batch([1, 1])
        first, _ = claim_slices(job)
        hold(job, 10)
        assert store.settle_slices([settled(job, first)], server="server-1") == []
        assert store.progress(job.id).processed == 1
        assert offered() == []

    @pytest.mark.parametrize("way", ["hand_back_slice", "release_server", "append_slices", "rests", "retry_slices"])
    def test_slices_that_come_do_not_end_the_hold(
        self, store, add_batch, claim_slices, settled, make_slices, hold, offered, clock, way
    ):
        job = add_batch([3, 3])
        first, second = claim_slices(job)
        store.settle_slices([settled(job, second, done=0, exception="{}", output=None)], server="server-1")
        hold(job, 10)
        {
            "hand_back_slice": lambda: store.hand_back_slice(job.id, first, crashed=False),
            "release_server": lambda: store.release_server("server-1"),
            "append_slices": lambda: store.append_slices(job.id, "main", make_slices([1])),
            "rests": lambda: store.settle_slices([settled(job, first, done=1)._replace(rests=True)], server="server-1"),
            "retry_slices": lambda: store.retry_slices(job.id),
        }[way]()
        assert offered() == []
        clock.advance(10)
        assert offered() == [job.id]
        assert store.slice_counts(job.id)[SliceState.QUEUED] >= 1

    def test_a_retry_that_waits_goes_on_in_its_slices_at_its_time(
        self, store, add_batch, claim_slices, settled, offered, clock, at
    ):
        job = add_batch([1])
        store.settle_slices([settled(job, claim_slices(job)[0], done=0, exception="{}", output=None)], server="s")
        store.update_job(job.id, {"state": State.FAILED})
        store.retry_slices(job.id)
        store.update_job(job.id, {"state": State.RUNNING, "sub_state": SubState.PROCESSING, "held_until": at(5)})
        assert offered() == []
        clock.advance(5)
        assert offered() == [job.id]

    @pytest.mark.parametrize("sub_state", [SubState.BEFORE, SubState.AFTER])
    def test_one_that_runs_a_hook_is_offered_to_nobody_when_the_hold_ends(
        self, store, add_batch, hold, offered, clock, sub_state
    ):
        job = add_batch()
        store.update_job(job.id, {"sub_state": sub_state, "server": "s1"})
        hold(job, 5)
        clock.advance(6)
        assert offered() == []

    @pytest.mark.parametrize(("sub_state", "state"), [(SubState.BEFORE, State.QUEUED), (SubState.AFTER, State.RUNNING)])
    def test_one_handed_back_from_a_hook_waits_for_the_end_of_the_hold(
        self, store, add_batch, hold, offered, clock, sub_state, state
    ):
        job = add_batch()
        store.update_job(job.id, {"sub_state": sub_state, "server": "s1"})
        hold(job, 5)
        assert store.hand_back_job(job.id, 1, crashed=False) == 0
        assert store.job(job.id).state is state
        assert offered() == []
        clock.advance(5)
        assert offered() == [job.id]

    def test_one_without_queued_slices_is_looked_at_once_more_when_the_hold_ends(
        self, store, add_batch, claim_slices, hold, offered, clock
    ):
        """It may be finished, which the look finds out."""
        job = add_batch([1])
        claim_slices(job)
        assert claim_slices(job) == []
        hold(job, 5)
        clock.advance(5)
        assert offered() == [job.id]

    def test_counting_and_finding_do_not_mind_a_hold(self, store, add_batch, hold):
        job = add_batch()
        hold(job, 10)
        assert store.count_by_state(Query()) == {State.RUNNING: 1}
        assert [row.id for row in store.find_jobs(Query())] == [job.id]
