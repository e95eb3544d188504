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
