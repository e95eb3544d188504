"""Jobs of a store that keeps nothing: they reach it only when more than their end is to be known."""

from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock.ids import new_id
from penstock.model.failure import Failure
from penstock.server.dispatcher import Dispatcher
from penstock.server.messages import KindFacts
from penstock.states import State
from penstock.store.rows import JobRow


@pytest.fixture
def express(played):
    """A `Played` whose dispatcher takes jobs by `submit` and stores them only if need be, and what it told."""
    played.dispatcher = Dispatcher(
        played.store, "server-1", lambda worker, messages: played.out[worker].extend(messages), keeps_nothing=True
    )
    played.told = []
    played.dispatcher.on_endings = played.told.extend
    return played


def submit(express, kind="Copy", **columns):
    row = JobRow(id=new_id(), kind=kind, batch=False, created_at=penstock_clock.now(), **columns)
    express.dispatcher.submit([row])
    return row


def test_a_job_that_is_done_was_never_stored(express):
    express.seat()
    row = submit(express)
    (task,) = express.take_turn()
    assert (task.row.id, task.row.state, task.row.attempt) == (row.id, State.RUNNING, 1)
    assert express.store.job(row.id) is None
    express.done(task)
    express.turn()
    assert [(ending.row.id, str(ending.move)) for ending in express.told] == [(row.id, "complete")]
    assert express.store.job(row.id) is None


def test_a_job_that_fails_is_stored_as_failed(express):
    express.seat()
    row = submit(express)
    (task,) = express.take_turn()
    express.done(task, failure=Failure("ValueError", "no").to_json())
    express.turn()
    assert express.job(row).state is State.FAILED
    assert [str(ending.move) for ending in express.told] == ["fail"]


def test_a_job_whose_worker_died_is_stored_and_runs_again_with_its_crash_counted(express):
    express.seat()
    row = submit(express)
    (task,) = express.take_turn()
    express.dispatcher.worker_died("w1", "w1", "killed", {task.key: 0})
    express.turn()
    express.seat("w2")
    (again,) = express.take_turn("w2")
    assert (again.row.id, again.row.attempt, again.row.crash_count) == (row.id, 2, 1)


def test_the_most_urgent_goes_first_and_the_older_of_two_alike(express):
    rows = [submit(express, priority=priority) for priority in (50, 10, 50, 1)]
    express.seat(slots=4)
    assert [task.row.id for task in express.take_turn()] == [rows[place].id for place in (3, 1, 0, 2)]


def test_the_older_goes_first_whatever_its_kind(express):
    rows = [submit(express, kind) for kind in ("Copy", "Copy", "Tiny", "Copy", "Tiny", "Tiny", "Copy")]
    express.seat(slots=5)
    assert [task.row.id for task in express.take_turn()] == [row.id for row in rows[:5]]


def test_no_more_is_handed_out_than_there_is_room_for(express):
    rows = [submit(express) for _ in range(5)]
    express.seat(slots=2)
    tasks = express.take_turn()
    assert [task.row.id for task in tasks] == [row.id for row in rows[:2]]
    express.done(tasks[0], seconds=1.0)
    assert express.take_turn()[0].row.id == rows[2].id


def test_what_is_large_is_handed_out_where_a_slot_is_free(express):
    rows = [submit(express, fields='{"text":"%s"}' % ("x" * (5 << 20))) for _ in range(4)]
    express.seat(slots=3)
    assert [task.row.id for task in express.take_turn()] == [row.id for row in rows[:3]]


def test_what_waits_for_something_is_stored(express):
    later = penstock_clock.now() + timedelta(seconds=5)
    rows = [
        submit(express, run_at=later),
        submit(express, unique_key="k"),
        submit(express, throttle_group="g"),
        submit(express, destroy_on_complete=False),
    ]
    express.turn()
    assert all(express.store.job(row.id) for row in rows)


def test_jobs_of_a_limited_kind_are_stored_when_the_limit_is_known(express):
    row = submit(express, kind="Few")
    express.turn()
    assert express.store.job(row.id) is None
    express.seat(slots=5, kinds=[KindFacts("Few", False, [], "Few", limit=1)])
    submit(express, kind="Few")
    assert len(express.take_turn()) == 1
    assert express.store.job(row.id) is not None


def test_a_job_that_waits_can_be_withdrawn_once(express):
    row = submit(express)
    express.turn()
    assert express.dispatcher.withdraw(row.id)
    assert not express.dispatcher.withdraw(row.id)
    express.seat()
    assert express.take_turn() == []


def test_a_job_that_runs_can_be_stored_to_be_moved_and_its_end_is_refused_then(express):
    express.seat()
    row = submit(express)
    (task,) = express.take_turn()
    express.dispatcher.store_held(row.id)
    assert express.store.update_job(row.id, {"state": State.ABORTED}, expect={"state": State.RUNNING})
    express.done(task)
    express.turn()
    assert express.job(row).state is State.ABORTED
    assert express.told == []


def test_a_busy_dispatcher_knows_when_a_job_is_due_that_came_just_now(express):
    express.seat(slots=2)
    submit(express)
    (task,) = express.take_turn()
    express.turn()
    express.done(task)
    due = penstock_clock.now() + timedelta(milliseconds=200)
    submit(express, run_at=due)
    assert express.dispatcher._turn() == due


class TestTheStoreIsLookedAt:
    """Where the last look found nothing, and nothing but jobs that are not stored comes and goes, it is left alone."""

    def looks(self, express):
        looks = express.dispatcher._wait(None)
        express.dispatcher._turn(looks=looks)
        return looks

    def test_not_for_jobs_that_are_only_passed_on(self, express):
        express.seat()
        assert self.looks(express)
        submit(express)
        assert not self.looks(express)
        (task,) = express.handed()
        express.done(task)
        assert not self.looks(express)
        assert len(express.told) == 1

    def test_when_something_woke_that_may_have_come_into_it(self, express):
        express.seat()
        assert self.looks(express)
        job = express.add_job()
        express.dispatcher.wake()
        assert self.looks(express)
        assert [task.row.id for task in express.handed()] == [job.id]

    def test_as_long_as_something_waits_there(self, express):
        express.seat()
        express.add_job(priority=1)
        express.add_job()
        assert self.looks(express)
        submit(express)
        assert self.looks(express)

    def test_as_long_as_something_is_held_back_there(self, express):
        express.seat(kinds=[KindFacts("Copy", False, [], "Copy"), KindFacts("Limited", False, [], "Limited", limit=1)])
        express.add_job("Limited")
        express.add_job("Limited")
        for _ in range(3):
            submit(express)
            assert self.looks(express)

    def test_at_the_moment_at_which_something_in_it_is_due(self, express, clock):
        express.seat()
        assert self.looks(express)
        submit(express, run_at=penstock_clock.now() + timedelta(seconds=0.5))
        express.turn()
        due = express.dispatcher._turn(looks=False)
        clock.advance(0.6)
        assert express.dispatcher._wait(due or penstock_clock.now())

    def test_once_a_second_whatever_else_there_is_to_do(self, express, clock):
        express.seat()
        assert self.looks(express)
        submit(express)
        assert not self.looks(express)
        clock.advance(1.1)
        submit(express)
        assert self.looks(express)

    def test_when_a_new_job_is_to_be_stored_with_the_turn(self, express):
        express.seat()
        assert self.looks(express)
        row = submit(express, unique_key="k")
        express.dispatcher._turn(looks=express.dispatcher._wait(None))
        assert [task.row.id for task in express.handed()] == [row.id]
