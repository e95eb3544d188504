"""From what a worker said to what the store is told."""

from datetime import timedelta

import pytest

from penstock import clock
from penstock.ids import new_id
from penstock.model.failure import Failure, parse_failure
from penstock.server.messages import Decision, JobDone, SliceDone
from penstock.server.settling import (
    HeldHook,
    HeldJob,
    HeldSlice,
    crash_of_job,
    crash_of_slice,
    due_hooks,
    lost_slice,
    moves_of,
    settlement_of_job,
    settlement_of_slice,
    summary_of,
    timed_out,
    values_after_hook,
)
from penstock.states import Move, State, SubState
from penstock.store.rows import ClaimedSlice, JobRow, NewOutput

NOW = clock.EPOCH
WRONG = Failure("ValueError", "wrong\nin detail").to_json()


def row(**columns):
    columns = {"batch": False, "state": State.RUNNING, "attempt": 3, "server": "s", "worker": "w", **columns}
    return JobRow(id=new_id(), kind="K", created_at=NOW, **columns)


def done(*, failure=None, result=None, columns=None, fields=None, decided=None):
    return JobDone(1, 0.5, failure, result, columns or {}, fields or {}, decided)


def decision(move, *, at=None, reason=None, kind_wide=False, failure=None):
    return Decision(move, at, reason, kind_wide, failure)


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
        "crash_count": 0,
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


# What the work decided about its job --------------------------------------------------------------

LATER = NOW + timedelta(hours=1)
OFF_WORKER = {"server": None, "worker": None}


def after(reply, **columns):
    """Return what is stored of a regular job after a reply."""
    found = settlement_of_job(HeldJob(row(failure_count=1, crash_count=2, started_at=NOW, **columns)), reply, NOW)
    assert found.attempt == 3
    return found.changes


def test_a_job_that_is_to_be_tried_again_is_queued_with_its_failure_counted_and_kept_to_be_seen():
    found = after(done(failure=WRONG, decided=decision(Move.RETRY, at=LATER)))
    assert found == {
        **OFF_WORKER,
        "state": State.QUEUED,
        "sub_state": None,
        "run_at": LATER,
        "failure_count": 2,
        "exception": WRONG,
        "crash_count": 0,
        "completed_at": None,
        "result": None,
    }


def test_a_job_that_is_to_be_tried_again_at_once_has_no_time():
    assert after(done(failure=WRONG, decided=decision(Move.RETRY)), run_at=NOW)["run_at"] is None


def test_what_a_failed_attempt_changed_is_stored_though_it_is_tried_again():
    reply = done(failure=WRONG, decided=decision(Move.RETRY, at=LATER), columns={"priority": 7}, fields={"a": 1})
    found = settlement_of_job(HeldJob(row()), reply, NOW)
    assert (found.changes["priority"], found.fields) == (7, {"a": 1})


def test_a_snoozed_job_is_queued_for_its_time_without_a_failure():
    found = after(done(decided=decision(Move.REQUEUE, at=LATER)))
    assert found == {
        **OFF_WORKER,
        "state": State.QUEUED,
        "sub_state": None,
        "started_at": None,
        "run_at": LATER,
        "result": None,
    }


def test_a_job_held_alone_waits_until_then_and_keeps_its_time_to_run():
    found = after(done(decided=decision(Move.REQUEUE, at=LATER, reason="disk")), run_at=NOW)
    assert (found["held_until"], found["throttled_by"], found["throttled_at"]) == (LATER, "disk", NOW)
    assert "run_at" not in found


def test_a_job_held_with_its_kind_may_be_asked_again_as_soon_as_the_kind_may():
    found = after(done(decided=decision(Move.REQUEUE, at=LATER, reason="disk", kind_wide=True)))
    assert (found["throttled_by"], found["throttled_at"]) == ("disk", NOW)
    assert "held_until" not in found
    assert "run_at" not in found


@pytest.mark.parametrize("kind_wide", [False, True])
@pytest.mark.parametrize(("before", "since"), [("disk", NOW - timedelta(hours=2)), ("API", NOW), (None, NOW)])
def test_a_job_held_again_says_since_when_it_waits_for_this_reason(kind_wide, before, since):
    reply = done(decided=decision(Move.REQUEUE, at=LATER, reason="disk", kind_wide=kind_wide))
    found = after(reply, throttled_by=before, throttled_at=before and NOW - timedelta(hours=2))
    assert (found["throttled_by"], found["throttled_at"]) == ("disk", since)


@pytest.mark.parametrize(
    "reply",
    [
        done(),
        done(failure=WRONG),
        done(failure=WRONG, decided=decision(Move.RETRY, at=LATER)),
        done(decided=decision(Move.REQUEUE, at=LATER)),
        done(decided=decision(Move.ABORT)),
    ],
    ids=["completed", "failed", "retried", "snoozed", "aborted"],
)
def test_a_job_that_has_run_says_no_more_why_it_waited(reply):
    found = after(reply, throttled_by="disk", throttled_at=NOW, destroy_on_complete=False)
    assert (found["throttled_by"], found["throttled_at"]) == (None, None)


@pytest.mark.parametrize(
    ("move", "state"), [(Move.ABORT, State.ABORTED), (Move.PAUSE, State.PAUSED), (Move.COMPLETE, State.COMPLETED)]
)
def test_a_job_that_moved_itself_is_there_and_off_its_worker(move, state):
    found = after(done(decided=decision(move)), destroy_on_complete=False)
    assert (found["state"], found["server"], found["worker"], found["completed_at"]) == (state, None, None, NOW)


def test_a_job_that_failed_itself_has_its_own_failure():
    found = after(done(decided=decision(Move.FAIL, failure=WRONG)))
    assert (found["state"], found["exception"], found["failure_count"]) == (State.FAILED, WRONG, 2)


def test_a_job_that_completed_itself_keeps_what_it_returned_before():
    found = after(done(decided=decision(Move.COMPLETE), result=b"x"), destroy_on_complete=False)
    assert (found["result"], found["percent_complete"]) == (b"x", 100)


@pytest.mark.parametrize("move", [Move.ABORT, Move.PAUSE, Move.REQUEUE, Move.FAIL, Move.RETRY])
def test_only_a_completed_job_is_destroyed_on_completion(move):
    failure = WRONG if move is Move.RETRY else None
    found = settlement_of_job(HeldJob(row()), done(failure=failure, decided=decision(move, at=LATER)), NOW)
    assert found.changes is not None


def test_a_job_whose_hooks_are_due_is_not_deleted():
    due = {"pending_hooks": "after_complete", "hooks_server": "s"}
    found = settlement_of_job(HeldJob(row()), done(), NOW, due)
    assert found.changes["state"] is State.COMPLETED
    assert {name: found.changes[name] for name in due} == due


# The moves of an end, and their hooks --------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "moves"),
    [
        (done(), (Move.COMPLETE,)),
        (done(failure=WRONG), (Move.FAIL,)),
        (done(failure=WRONG, decided=decision(Move.RETRY)), (Move.FAIL, Move.RETRY)),
        *((done(decided=decision(move)), (move,)) for move in (Move.REQUEUE, Move.ABORT, Move.PAUSE, Move.FAIL)),
    ],
)
def test_the_moves_of_an_end_come_in_their_order(reply, moves):
    assert moves_of(reply) == moves


@pytest.mark.parametrize(
    ("hooks", "due"),
    [
        ([], {}),
        (["before_fail", "after_complete"], {}),
        (["after_retry"], {"pending_hooks": "after_retry", "hooks_server": "s"}),
        (["after_retry", "after_fail"], {"pending_hooks": "after_fail after_retry", "hooks_server": "s"}),
    ],
)
def test_hooks_that_the_class_has_are_due_in_the_order_of_the_moves(hooks, due):
    assert due_hooks((Move.FAIL, Move.RETRY), hooks, "s") == due


# Hooks of batch jobs that decide -------------------------------------------------------------------


def batch_row(sub_state, **columns):
    return row(batch=True, sub_state=sub_state, started_at=NOW, failure_count=1, crash_count=2, **columns)


def test_a_batch_job_that_is_held_before_its_first_slice_is_queued_and_starts_afresh():
    held = HeldHook(batch_row(SubState.BEFORE), "before_batch")
    found = values_after_hook(held, done(decided=decision(Move.REQUEUE, at=LATER, reason="disk")), NOW)
    assert (found["state"], found["sub_state"], found["started_at"]) == (State.QUEUED, None, None)
    assert (found["held_until"], found["throttled_by"]) == (LATER, "disk")


def test_a_batch_job_that_is_tried_again_after_before_batch_starts_afresh_at_its_time():
    held = HeldHook(batch_row(SubState.BEFORE), "before_batch")
    found = values_after_hook(held, done(failure=WRONG, decided=decision(Move.RETRY, at=LATER)), NOW)
    assert (found["state"], found["sub_state"], found["run_at"]) == (State.QUEUED, None, LATER)
    assert (found["failure_count"], found["exception"], found["crash_count"]) == (2, WRONG, 0)


@pytest.mark.parametrize(
    ("limit", "state", "when"), [(None, State.RUNNING, "held_until"), ("K", State.QUEUED, "run_at")]
)
def test_a_batch_job_that_is_tried_again_after_after_batch_goes_on_there_at_its_time(limit, state, when):
    """One with a limit queues, or it might pass it; the other runs on, held."""
    held = HeldHook(batch_row(SubState.AFTER, limit_name=limit), "after_batch")
    found = values_after_hook(held, done(failure=WRONG, decided=decision(Move.RETRY, at=LATER)), NOW)
    assert (found["state"], found["sub_state"], found[when]) == (state, SubState.PROCESSING, LATER)
    assert (found["failure_count"], found["exception"]) == (2, WRONG)
    assert {"held_until", "run_at"} & found.keys() == {when}


@pytest.mark.parametrize(
    ("moment", "sub", "move", "state"),
    [
        ("before_batch", SubState.BEFORE, Move.ABORT, State.ABORTED),
        ("after_batch", SubState.AFTER, Move.ABORT, State.ABORTED),
        ("after_batch", SubState.AFTER, Move.COMPLETE, State.COMPLETED),
    ],
)
def test_a_batch_job_may_move_itself_in_a_hook(moment, sub, move, state):
    found = values_after_hook(HeldHook(batch_row(sub), moment), done(decided=decision(move)), NOW)
    assert (found["state"], found["server"], found["completed_at"]) == (state, None, NOW)


def test_what_a_hook_changed_is_stored_though_it_decided_otherwise():
    held = HeldHook(batch_row(SubState.BEFORE), "before_batch")
    reply = done(decided=decision(Move.ABORT), columns={"priority": 7}, fields={"a": 1})
    found = values_after_hook(held, reply, NOW)
    assert (found["priority"], found["fields"], found["state"]) == (7, {"a": 1}, State.ABORTED)


# Slices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reached", "failure", "decided", "rests"),
    [
        (10, None, None, False),
        (7, WRONG, None, False),
        (7, None, decision(Move.REQUEUE), True),
        (3, None, decision(Move.ABORT), True),
        (10, None, decision(Move.PAUSE), False),
        (7, WRONG, decision(Move.FAIL), False),
    ],
    ids=["through", "failed", "held", "moved at once", "moved at its last record", "failed and moved"],
)
def test_a_slice_rests_that_decided_something_and_is_neither_through_nor_failed(reached, failure, decided, rests):
    found = settlement_of_slice(HELD, SliceDone(1, 0.5, reached, [], failure, decided))
    assert (found.rests, found.done, found.exception) == (rests, reached, failure)


def test_a_slice_that_lost_its_worker_to_a_timeout_fails_where_it_began():
    found = lost_slice(HELD, timed_out("w:1", 106))
    assert (found.start, found.done, found.outputs, found.attempt, found.rests) == (3, 3, (), 4, False)
    failure = parse_failure(found.exception)
    assert (failure.class_name, failure.record_number, failure.worker_name) == (
        "penstock.errors.JobTimeout", 106, "w:1",
    )  # fmt: skip
    assert failure.message == "record 106: it took longer than it may, and did not end when it was told to"


def test_a_timeout_at_an_unknown_record_names_none():
    failure = timed_out("w:1", 0)
    assert failure.record_number is None
    assert failure.message.startswith("it took longer")
