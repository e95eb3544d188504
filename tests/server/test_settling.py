"""From what a worker said to what the store is told."""

import pytest

from penstock import clock
from penstock.ids import new_id
from penstock.model.failure import Failure, parse_failure
from penstock.server.messages import JobDone, SliceDone
from penstock.server.settling import (
    HeldHook,
    HeldJob,
    HeldSlice,
    crash_of_job,
    crash_of_slice,
    settlement_of_job,
    settlement_of_slice,
    summary_of,
    values_after_hook,
)
from penstock.states import State, SubState
from penstock.store.rows import ClaimedSlice, JobRow, NewOutput

NOW = clock.EPOCH
WRONG = Failure("ValueError", "wrong\nin detail").to_json()


def row(**columns):
    columns = {"batch": False, "state": State.RUNNING, "attempt": 3, "server": "s", "worker": "w", **columns}
    return JobRow(id=new_id(), kind="K", created_at=NOW, **columns)


def done(*, failure=None, result=None, columns=None, fields=None):
    return JobDone(1, 0.5, failure, result, columns or {}, fields or {})


HELD = HeldSlice(new_id(), "K", ClaimedSlice(5, 2, 4, 101, 10, 3, 0, b""))


def test_a_slice_is_settled_at_its_attempt_from_where_it_began():
    outputs = [NewOutput("main", 7, b"T")]
    found = settlement_of_slice(HELD, SliceDone(1, 0.5, 10, outputs, None))
    assert (found.job_id, found.slice_id, found.number, found.attempt) == (HELD.job_id, 5, 2, 4)
    assert (found.start, found.done, found.outputs, found.exception) == (3, 10, tuple(outputs), None)


def test_a_destroyed_job_that_left_nothing_is_deleted():
    found = settlement_of_job(HeldJob(row()), done(), NOW)
    assert (found.attempt, found.changes) == (3, None)


@pytest.mark.parametrize("left", [{"columns": {"percent_complete": 5}}, {"fields": {"a": 1}}, {"result": b"x"}])
def test_what_a_job_leaves_is_stored(left):
    found = settlement_of_job(HeldJob(row(destroy_on_complete=False)), done(**left), NOW)
    assert found.changes["state"] is State.COMPLETED
    assert found.changes["result"] == left.get("result")
    assert found.fields == left.get("fields", {})


def test_the_move_wins_over_columns_that_user_code_set():
    found = settlement_of_job(
        HeldJob(row(destroy_on_complete=False)), done(columns={"percent_complete": 5, "priority": 7}), NOW
    )
    assert (found.changes["percent_complete"], found.changes["priority"]) == (100, 7)
    assert (found.changes["server"], found.changes["worker"], found.changes["completed_at"]) == (None, None, NOW)


def test_a_failed_job_is_kept_though_it_is_destroyed_on_completion():
    found = settlement_of_job(HeldJob(row(failure_count=1)), done(failure=WRONG), NOW)
    assert (found.changes["state"], found.changes["failure_count"]) == (State.FAILED, 2)
    assert found.changes["exception"] == WRONG


def test_after_before_batch_a_job_processes_and_nobody_holds_it():
    held = HeldHook(row(batch=True, sub_state=SubState.BEFORE), "before_batch")
    found = values_after_hook(held, done(columns={"record_count": 7}, fields={"a": 1}), NOW)
    assert found == {
        "record_count": 7,
        "fields": {"a": 1},
        "sub_state": SubState.PROCESSING,
        "server": None,
        "worker": None,
    }


def test_after_after_batch_a_job_is_completed():
    held = HeldHook(row(batch=True, sub_state=SubState.AFTER), "after_batch")
    found = values_after_hook(held, done(), NOW)
    assert (found["state"], found["sub_state"], found["percent_complete"]) == (State.COMPLETED, None, 100)


@pytest.mark.parametrize(("moment", "sub"), [("before_batch", SubState.BEFORE), ("after_batch", SubState.AFTER)])
def test_a_hook_that_raised_fails_the_job_where_it_is(moment, sub):
    found = values_after_hook(HeldHook(row(batch=True, sub_state=sub), moment), done(failure=WRONG), NOW)
    assert (found["state"], found["sub_state"], found["exception"]) == (State.FAILED, sub, WRONG)


def test_a_slice_that_crashed_too_often_fails_where_it_began_without_outputs():
    found = crash_of_slice(HELD, "killed by SIGSEGV", 106, "w:1")
    assert (found.start, found.done, found.outputs, found.attempt) == (3, 3, (), 4)
    failure = parse_failure(found.exception)
    assert (failure.record_number, failure.worker_name) == (106, "w:1")
    assert failure.message == "at record 106, 3 times; killed by SIGSEGV"


def test_a_crash_at_an_unknown_record_names_those_that_were_left():
    failure = parse_failure(crash_of_slice(HELD, "gone", 0, "w").exception)
    assert (failure.record_number, failure.message) == (None, "in records 104 to 110, 3 times; gone")


def test_a_job_that_crashed_too_often_counts_the_last_crash_too():
    found = crash_of_job(row(crash_count=2), "gone", NOW, "w")
    assert (found["state"], found["crash_count"], found["failure_count"]) == (State.FAILED, 3, 1)


def test_a_failure_is_summed_up_in_one_line():
    assert summary_of(WRONG) == "ValueError: wrong"
    assert summary_of(None) == ""
