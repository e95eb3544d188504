"""Turns of the dispatcher, taken one by one, with workers played by the test."""

import queue
import threading
from contextlib import contextmanager

import pytest

from penstock import clock as penstock_clock
from penstock import events
from penstock.config import settings
from penstock.errors import StoreBusy, StoreUnavailable
from penstock.ids import new_id
from penstock.model.failure import Failure, parse_failure
from penstock.model.moves import move_job
from penstock.server.dispatcher import Dispatcher
from penstock.server.messages import (
    ForgetJob,
    JobDone,
    KindFacts,
    LearnJob,
    Recall,
    RunHook,
    RunJob,
    RunSlice,
    SliceDone,
)
from penstock.server.seats import MOST_BYTES
from penstock.states import Move, SliceState, State, SubState
from penstock.store.rows import JobRow, ServerRow

WRONG = Failure("ValueError", "wrong").to_json()


@contextmanager
def troubled(monkeypatch, store, method):
    """Let a method of the store fail as SQLite does when it is locked for too long."""

    def refuse(*_args, **_named):
        raise StoreBusy("locked")

    with monkeypatch.context() as patch:
        patch.setattr(store, method, refuse)
        yield


def told(heard, kind):
    return [event for event in heard if type(event) is kind]


# Claiming and settling ---------------------------------------------------------------------------


def test_a_job_goes_to_a_free_slot(played):
    job = played.add_job()
    played.seat()
    (task,) = played.take_turn()
    assert (type(task), task.row.id) == (RunJob, job.id)
    assert (played.job(job).state, played.job(job).attempt) == (State.RUNNING, 1)


def test_nothing_is_claimed_before_a_worker_has_joined(played):
    job = played.add_job()
    played.turn()
    assert played.job(job).state is State.QUEUED


def test_one_turn_settles_what_came_back_and_claims_what_is_next(played):
    first, second = played.add_job(destroy_on_complete=False), played.add_job()
    played.seat()
    (task,) = played.take_turn()
    played.done(task)
    (task,) = played.take_turn()
    assert task.row.id == second.id
    assert played.job(first).state is State.COMPLETED


def test_a_job_of_an_unknown_kind_stays_queued(played):
    job = played.add_job("Unheard")
    played.seat()
    assert played.take_turn() == []
    assert played.job(job).state is State.QUEUED


def test_jobs_go_in_the_order_of_priority_and_then_of_creation(played):
    rows = [played.add_job(priority=priority) for priority in (50, 10, 50, 90, 10)]
    played.seat()
    order = []
    for _ in rows:
        (task,) = played.take_turn()
        order.append(task.row.id)
        played.done(task)
    assert order == [rows[n].id for n in (1, 4, 0, 2, 3)]


def test_a_completed_job_is_removed_unless_it_says_otherwise(played, heard):
    gone, kept = played.add_job(), played.add_job(destroy_on_complete=False)
    played.seat(slots=2)
    for task in played.take_turn():
        played.done(task)
    played.turn()
    assert played.store.job(gone.id) is None
    assert (played.job(kept).state, played.job(kept).percent_complete) == (State.COMPLETED, 100)
    assert {event.job_id for event in told(heard, events.JobCompleted)} == {gone.id, kept.id}


def test_a_failed_job_keeps_its_failure(played, heard):
    job = played.add_job()
    played.seat()
    (task,) = played.take_turn()
    played.done(task, failure=WRONG)
    played.turn()
    assert (played.job(job).state, played.job(job).failure_count) == (State.FAILED, 1)
    assert parse_failure(played.job(job).exception).summary == "ValueError: wrong"
    assert [event.error for event in told(heard, events.JobFailed)] == ["ValueError: wrong"]


def test_an_expired_job_is_destroyed_and_not_started(played, heard):
    job = played.add_job(expires_at=penstock_clock.now())
    played.seat()
    assert played.take_turn() == []
    assert played.store.job(job.id) is None
    assert [event.job_id for event in told(heard, events.JobExpired)] == [job.id]


def test_an_expired_batch_job_is_destroyed_with_its_slices(played):
    job = played.add_batch(expires_at=penstock_clock.now())
    played.seat()
    assert played.take_turn() == []
    assert played.store.job(job.id) is None
    assert played.store.slice_counts(job.id) == {}


def test_a_scheduled_job_starts_when_it_is_due(played):
    played.clock.advance(100)
    due = penstock_clock.now()
    played.clock.advance(-60)
    job = played.add_job(run_at=due)
    played.seat()
    assert played.take_turn() == []
    assert played.dispatcher._turn() == due
    played.clock.advance(60)
    assert [task.row.id for task in played.take_turn()] == [job.id]


# A store in trouble ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["settle_jobs", "candidates", "claim_jobs", "release_due_jobs"])
def test_results_are_kept_when_the_store_refuses_a_turn_and_stored_later(played, monkeypatch, method):
    job, following = played.add_job(destroy_on_complete=False), played.add_job()
    played.seat()
    (task,) = played.take_turn()
    played.done(task)
    with troubled(monkeypatch, played.store, method), pytest.raises(StoreBusy):
        played.turn()
    assert played.job(job).state is State.RUNNING
    assert played.job(following).state is State.QUEUED
    assert played.handed() == []
    (task,) = played.take_turn()
    assert task.row.id == following.id
    assert played.job(job).state is State.COMPLETED


@contextmanager
def commit_in_doubt(store, monkeypatch, *, stored):
    """Have the connection be lost in the next commit, before or after it was stored."""
    real = store.transaction

    @contextmanager
    def transaction():
        with real():
            yield
            if not stored:
                raise StoreUnavailable("the connection was lost; whether the transaction was stored is not known")
        raise StoreUnavailable("the connection was lost; whether the transaction was stored is not known")

    with monkeypatch.context() as patch:
        patch.setattr(store, "transaction", transaction)
        yield


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("kind", ["Copy", "Lines", "Nightly"])
def test_what_was_claimed_by_a_commit_in_doubt_is_claimed_again(played, monkeypatch, stored, kind):
    if kind == "Copy":
        played.add_job(kind)
    else:
        played.add_batch(1, kind)
    played.seat()
    with commit_in_doubt(played.store, monkeypatch, stored=stored), pytest.raises(StoreUnavailable):
        played.turn()
    assert played.handed() == []
    found = [task for task in [*played.turns(), *played.turns()] if not isinstance(task, LearnJob)]
    assert len(found) == 1
    assert not getattr(found[0], "crash_count", 0)


def test_what_another_server_claimed_meanwhile_is_left_to_it(played, play, monkeypatch):
    job = played.add_job()
    batch = played.add_batch(1)
    played.seat(slots=2)
    with commit_in_doubt(played.store, monkeypatch, stored=False), pytest.raises(StoreUnavailable):
        played.turn()
    other = play(played.store, name="server-2")
    other.seat(slots=2)
    assert len([task for task in other.turns() if not isinstance(task, LearnJob)]) == 2
    played.turns()
    assert (played.job(job).state, played.job(job).server) == (State.RUNNING, "server-2")
    assert played.store.slice_counts(batch.id) == {SliceState.RUNNING: 1}


def test_results_of_slices_are_stored_once_after_a_refused_turn(played, monkeypatch):
    job = played.add_batch(1, destroy_on_complete=False)
    played.seat(slots=2)
    (task,) = played.take_turn()
    played.done(task)
    with troubled(monkeypatch, played.store, "standing"), pytest.raises(StoreBusy):
        played.turn()
    assert played.store.slice_counts(job.id) == {SliceState.RUNNING: 1}
    played.turn()
    assert played.job(job).state is State.COMPLETED
    assert [row.record_count for row in played.store.outputs(job.id, "main")] == [2]
    assert played.store.accounts(job.id).processed == 2


def test_a_piece_is_handed_out_though_the_store_gave_trouble_after_the_claim(played, monkeypatch):
    """The worker must be told of a job of another server's making, which needs no look at the store by then."""
    job = played.add_batch(1)
    played.store.start_batch(job.id, sub_state=SubState.PROCESSING, server="another", now=penstock_clock.now())
    played.seat()
    with troubled(monkeypatch, played.store, "job"):
        played.turn()
    messages = played.out["w1"]
    assert [type(message) for message in messages] == [LearnJob, RunSlice]


def test_the_thread_tries_again_after_the_store_refused(sqlite_memory, monkeypatch, heard):
    handed = queue.Queue()
    dispatcher = Dispatcher(sqlite_memory, "server-1", lambda _, messages: handed.put(messages))
    monkeypatch.setattr("penstock.server.dispatcher.RETRY_SECONDS", 0.0)
    sqlite_memory.register_server(ServerRow("server-1", "here", 1, "starting", penstock_clock.now(), 0, 1, 1))
    real, refused = sqlite_memory.candidates, []

    def candidates(*args, **named):
        if not refused:
            refused.append(1)
            raise StoreBusy("locked")
        return real(*args, **named)

    monkeypatch.setattr(sqlite_memory, "candidates", candidates)
    job = JobRow(id=new_id(), kind="Copy", batch=False, created_at=penstock_clock.now())
    sqlite_memory.insert_jobs([job])
    dispatcher.start()
    dispatcher.worker_ready("w1", 1, [KindFacts("Copy", False, [], "Copy")])
    (task,) = handed.get(timeout=10)
    assert task.row.id == job.id
    assert [str(event.error) for event in told(heard, events.StoreTroubled)] == ["locked"]
    dispatcher.close()
    assert sqlite_memory.job(job.id).state is State.QUEUED


def test_a_server_whose_row_is_gone_was_taken_for_dead_and_says_so(played):
    played.store.release_server("server-1")
    played.turn()
    assert [type(error) for error in played.lost] == [StoreUnavailable]


def test_one_that_was_suspended_and_taken_for_dead_claims_nothing_when_it_goes_on(played):
    played.seat()
    played.turn()
    job = played.add_job()
    played.store.release_server("server-1")
    played.clock.advance(settings().dead_after)
    played.turn()
    assert [type(error) for error in played.lost] == [StoreUnavailable]
    assert played.store.job(job.id).state is State.QUEUED


def test_one_that_was_suspended_shows_that_it_lives_before_it_claims(played):
    played.seat()
    played.turn()
    (before,) = [row.heartbeat for row in played.store.servers()]
    job = played.add_job()
    played.clock.advance(settings().dead_after)
    played.turn()
    assert [row.heartbeat for row in played.store.servers()] > [before]
    assert played.store.job(job.id).state is State.RUNNING


# Crashes -----------------------------------------------------------------------------------------


def test_what_a_dead_worker_worked_on_is_queued_again_with_a_crash_counted(played):
    job, batch = played.add_job(priority=10), played.add_batch(1)
    played.seat(slots=2)
    run_job, run_slice = played.take_turn()
    played.crash(run_job, run_slice)
    played.turn()
    assert (played.job(job).state, played.job(job).crash_count) == (State.QUEUED, 1)
    played.seat("w2", slots=2)
    again = played.take_turn("w2")
    assert [task.crash_count for task in again if isinstance(task, RunSlice)] == [1]
    assert played.store.slice_counts(batch.id) == {SliceState.RUNNING: 1}


def test_the_third_crash_fails_a_job_with_the_evidence(played, heard):
    job = played.add_job()
    for crash in range(1, 4):
        worker = f"w{crash}"
        played.seat(worker)
        (task,) = played.take_turn(worker)
        played.crash(task, worker=worker)
        played.turn()
    failure = parse_failure(played.job(job).exception)
    assert (played.job(job).state, played.job(job).crash_count) == (State.FAILED, 3)
    assert failure.class_name == "WorkerCrashed"
    assert "killed by SIGSEGV" in failure.message
    assert "last words" in failure.message
    assert failure.worker_name == "w3"
    assert len(told(heard, events.JobFailed)) == 1


def test_the_third_crash_fails_a_slice_at_the_record_the_worker_died_at(played):
    job = played.add_batch(1)
    for crash in range(1, 4):
        worker = f"w{crash}"
        played.seat(worker)
        (task,) = played.take_turn(worker)
        played.crash(task, worker=worker, place=2)
        played.turn()
    (failed,) = played.store.failed_slices(job.id)
    assert (failed.done, parse_failure(failed.exception).record_number) == (0, 2)
    assert "at record 2, 3 times; killed by SIGSEGV" in parse_failure(failed.exception).message
    assert played.job(job).state is State.FAILED


def test_a_crash_without_a_known_place_names_the_records_of_the_slice(played):
    job = played.add_batch(1)
    for crash in range(3):
        played.seat(f"w{crash}")
        (task,) = played.take_turn(f"w{crash}")
        played.crash(task, worker=f"w{crash}")
        played.turn()
    (failed,) = played.store.failed_slices(job.id)
    assert "in records 1 to 2" in parse_failure(failed.exception).message


def test_crashes_are_forgotten_by_a_retry(played):
    job = played.add_batch(1)
    for crash in range(3):
        played.seat(f"w{crash}")
        (task,) = played.take_turn(f"w{crash}")
        played.crash(task, worker=f"w{crash}")
        played.turn()
    move_job(played.store, job.id, Move.RETRY)
    played.seat("w9")
    (task,) = played.take_turn("w9")
    assert task.crash_count == 0


def test_what_a_dead_worker_had_not_started_goes_to_another_without_blame(played):
    jobs = [played.add_job() for _ in range(3)]
    played.seat(slots=3)
    tasks = played.take_turn()
    played.seat("w2", slots=3)
    played.crash(tasks[0])
    again = played.take_turn("w2")
    assert {task.row.id for task in again} >= {jobs[1].id, jobs[2].id}
    assert {task.row.crash_count for task in again if task.row.id != jobs[0].id} == {0}
    assert [played.job(job).attempt for job in jobs[1:]] == [1, 1]


def test_a_hook_that_kills_its_worker_three_times_fails_its_job(played):
    job = played.add_batch(0, "Nightly", record_count=None)
    for crash in range(3):
        played.seat(f"w{crash}")
        (task,) = played.take_turn(f"w{crash}")
        assert isinstance(task, RunHook)
        played.crash(task, worker=f"w{crash}")
        played.turn()
    assert (played.job(job).state, played.job(job).sub_state) == (State.FAILED, SubState.BEFORE)
    assert parse_failure(played.job(job).exception).class_name == "WorkerCrashed"


# Batch jobs --------------------------------------------------------------------------------------


def test_a_batch_job_completes_when_its_last_slice_is_done(played, heard):
    job = played.add_batch(3, destroy_on_complete=False)
    played.seat()
    for _ in range(3):
        (task,) = played.take_turn()
        played.done(task)
    played.turn()
    assert (played.job(job).state, played.job(job).sub_state) == (State.COMPLETED, None)
    assert [event.job_id for event in told(heard, events.JobStarted)] == [job.id]
    assert [event.job_id for event in told(heard, events.JobCompleted)] == [job.id]
    assert played.store.accounts(job.id).processed == 6


def test_a_completed_batch_job_is_destroyed_with_its_outputs_unless_it_says_otherwise(played):
    job = played.add_batch(1)
    played.seat()
    (task,) = played.take_turn()
    played.done(task)
    played.turn()
    assert played.store.job(job.id) is None
    assert list(played.store.outputs(job.id, "main")) == []


def test_a_worker_is_told_of_a_batch_job_once_and_told_to_forget_it_at_its_end(played):
    job = played.add_batch(2)
    played.seat()
    seen = []
    for _ in range(2):
        played.turn()
        messages = played.out.pop("w1")
        seen += [type(message) for message in messages]
        played.done(messages[-1])
    played.turn()
    assert seen == [LearnJob, RunSlice, RunSlice]
    assert [message.job_id for message in played.handed(kind=ForgetJob)] == [job.id]


def test_a_batch_job_with_a_failed_slice_goes_on_and_fails_at_its_end(played, heard):
    job = played.add_batch(3)
    played.seat()
    for failure in (None, WRONG, None):
        (task,) = played.take_turn()
        assert played.job(job).state is State.RUNNING
        played.done(task, failure=failure)
    played.turn()
    assert (played.job(job).state, played.job(job).sub_state) == (State.FAILED, SubState.PROCESSING)
    assert parse_failure(played.job(job).exception).summary == "SlicesFailed: 1 slice failed to process"
    assert [event.record_number for event in told(heard, events.SliceFailed)] == [3]
    assert played.store.accounts(job.id).failed == 2


def test_a_retried_batch_job_performs_its_failed_slices_and_completes(played):
    job = played.add_batch(2, destroy_on_complete=False)
    played.seat()
    for failure in (WRONG, None):
        (task,) = played.take_turn()
        played.done(task, failure=failure)
    played.turn()
    played.handed()
    move_job(played.store, job.id, Move.RETRY)
    played.turn()
    learn, task = played.out["w1"]
    assert (type(learn), task.number) == (LearnJob, 1)
    played.done(task)
    played.turn()
    assert played.job(job).state is State.COMPLETED
    assert played.store.accounts(job.id).outputs == {"main": 4}


def test_a_batch_job_without_records_completes(played):
    job = played.add_batch(0, destroy_on_complete=False)
    played.seat()
    played.turn()
    assert played.job(job).state is State.COMPLETED


@pytest.mark.parametrize("columns", [{"record_count": None}, {"uploader": "somebody"}])
def test_a_batch_job_whose_upload_goes_on_does_not_end(played, columns):
    job = played.add_batch(1, **columns)
    played.seat()
    (task,) = played.take_turn()
    played.done(task)
    played.turn()
    assert (played.job(job).state, played.job(job).sub_state) == (State.RUNNING, SubState.PROCESSING)


def test_before_batch_and_after_batch_are_each_handed_out_once(played):
    job = played.add_batch(1, "Nightly", destroy_on_complete=False)
    played.seat(slots=4)
    (before,) = played.take_turn()
    assert (type(before), before.moment) == (RunHook, "before_batch")
    assert played.take_turn() == []
    played.done(before)
    tasks = [*played.take_turn(), *played.take_turn()]
    assert [type(task) for task in tasks] == [RunSlice]
    played.done(tasks[0])
    (after,) = played.take_turn()
    assert (after.moment, played.job(job).sub_state) == ("after_batch", SubState.AFTER)
    assert played.take_turn() == []
    played.done(after)
    assert played.take_turn() == []
    assert (played.job(job).state, played.job(job).sub_state) == (State.COMPLETED, None)


@pytest.mark.parametrize("moment", ["before_batch", "after_batch"])
def test_a_hook_that_raises_fails_the_job_and_runs_again_after_a_retry(played, moment):
    job = played.add_batch(0, "Nightly", destroy_on_complete=False)
    played.seat()
    (task,) = played.take_turn()
    if moment == "after_batch":
        played.done(task)
        (task,) = played.take_turn() or played.take_turn()
    assert task.moment == moment
    played.done(task, failure=WRONG)
    assert played.take_turn() == []
    assert played.job(job).state is State.FAILED
    move_job(played.store, job.id, Move.RETRY)
    (task,) = played.take_turn() or played.take_turn()
    assert task.moment == moment


def test_a_hook_goes_to_one_worker_of_many_when_the_first_dies_before_it(played):
    played.add_batch(1, "Nightly")
    played.seat("w1")
    (before,) = played.take_turn()
    played.seat("w2")
    played.crash()
    (again,) = played.take_turn("w2")
    assert (again.moment, again.key) == (before.moment, before.key)


# Other people's moves ----------------------------------------------------------------------------


@pytest.mark.parametrize("move", [Move.PAUSE, Move.ABORT, Move.FAIL])
def test_slices_not_started_go_back_when_their_job_is_moved(played, move):
    job = played.add_batch(5)
    played.seat(slots=1)
    (first,) = played.take_turn()
    played.done(first, seconds=0.02)
    started, *waiting = played.take_turn()
    assert len(waiting) == 3
    move_job(played.store, job.id, move)
    played.clock.advance(2)
    played.turn()
    (recall,) = played.handed(kind=Recall)
    assert set(recall.keys) >= {task.key for task in waiting}
    played.dispatcher.worker_recalled("w1", [task.key for task in waiting])
    played.turn()
    played.done(started)
    played.turn()
    left = {} if move is Move.ABORT else {SliceState.QUEUED: 3}
    assert played.store.slice_counts(job.id) == left
    assert played.handed() == []


def test_a_paused_batch_job_goes_on_where_it_was_when_resumed(played):
    job = played.add_batch(2, destroy_on_complete=False)
    played.seat()
    (task,) = played.take_turn()
    move_job(played.store, job.id, Move.PAUSE)
    played.clock.advance(2)
    played.turn()
    played.done(task)
    played.turn()
    assert played.handed() == []
    assert played.job(job).state is State.PAUSED
    move_job(played.store, job.id, Move.RESUME)
    (task,) = played.take_turn()
    played.done(task)
    played.turn()
    assert played.job(job).state is State.COMPLETED
    assert played.store.accounts(job.id).outputs == {"main": 4}


def test_a_worker_is_told_again_of_a_job_that_was_edited(played):
    job = played.add_batch(2)
    played.seat()
    (task,) = played.take_turn()
    played.store.update_job(job.id, {"fields": {"slice_size": 7}})
    played.clock.advance(2)
    played.turn()
    played.done(task)
    played.turn()
    (learn,) = played.handed(kind=LearnJob)
    assert '"slice_size":7' in learn.row.fields


def test_a_late_result_of_an_old_attempt_is_refused(played, heard):
    job, batch = played.add_job(priority=10, destroy_on_complete=False), played.add_batch(1)
    played.seat(slots=2)
    run_job, run_slice = played.take_turn()
    played.store.release_server("server-1")
    played.store.claim_jobs([played.job(job)], server="another", now=penstock_clock.now())
    (again,) = played.store.claim_slices(batch.id, server="another", limit=1, max_bytes=100)
    played.done(run_job)
    played.done(run_slice)
    played.turn()
    assert {event.job_id for event in told(heard, events.ResultRefused)} == {job.id, batch.id}
    assert (played.job(job).state, played.job(job).server) == (State.RUNNING, "another")
    assert list(played.store.outputs(batch.id, "main")) == []
    assert again.attempt == 2


def test_a_result_of_a_job_that_was_destroyed_is_refused(played, heard):
    job = played.add_job(destroy_on_complete=False)
    played.seat()
    (task,) = played.take_turn()
    played.store.destroy_job(job.id)
    played.done(task)
    played.turn()
    assert [event.job_id for event in told(heard, events.ResultRefused)] == [job.id]


def test_an_answer_to_a_piece_that_the_worker_does_not_hold_is_nothing(played):
    played.seat()
    played.dispatcher.worker_returned("w1", [SliceDone(99, 1.0, 1, [], None)])
    played.dispatcher.worker_returned("nobody", [SliceDone(1, 1.0, 1, [], None)])
    played.turn()


# Fairness and bounds -----------------------------------------------------------------------------


def test_a_slow_older_job_is_not_passed_for_ever_by_quick_younger_ones(played):
    played.seat(slots=2)
    played.add_job("Copy")
    played.add_job("Tiny")
    for task in played.take_turn():
        played.done(task, seconds=5.0 if task.row.kind == "Copy" else 0.001)
    slow = played.add_job("Copy")
    held, found = [], False
    for _ in range(300):
        for _ in range(4):
            played.add_job("Tiny")
        new = played.take_turn()
        found = found or any(task.row.id == slow.id for task in new)
        if found:
            break
        held += new
        # Two are answered in each turn: fewer than come.
        for task in held[:2]:
            played.done(task, seconds=0.001)
        held = held[2:]
    assert found


def test_a_slow_job_gets_its_turn_though_quick_ones_of_its_priority_fill_the_desk(played):
    played.seat(slots=1)
    for kind, seconds in (("Copy", 5.0), ("Tiny", 0.001)):
        played.add_job(kind)
        (task,) = played.take_turn()
        played.done(task, seconds=seconds)
    held = []
    for _ in range(200):
        played.add_job("Tiny")
    held += played.take_turn()
    slow = played.add_job("Copy")
    for _ in range(400):
        played.add_job("Tiny")
    taken = []
    for _ in range(300):
        if not held:
            break
        played.done(held.pop(0), seconds=0.001)
        new = played.take_turn()
        taken += [task.row.id for task in new]
        held += [task for task in new if task.row.id != slow.id]
        if slow.id in taken:
            break
    assert slow.id in taken
    assert [one for one in taken[: taken.index(slow.id)] if one > slow.id] == []


def test_a_batch_job_of_unknown_pace_is_not_passed_by_younger_quick_jobs(played):
    played.seat(slots=1)
    played.add_job("Tiny")
    (task,) = played.take_turn()
    played.done(task, seconds=0.001)
    for _ in range(50):
        played.add_job("Tiny")
    held = played.take_turn()
    batch = played.add_batch(1)
    for _ in range(400):
        played.add_job("Tiny")
    for _ in range(300):
        if not held:
            break
        played.done(held.pop(0), seconds=0.001)
        new = played.take_turn()
        if any(isinstance(task, RunSlice) for task in new):
            return
        assert [task for task in new if task.row.id > batch.id] == []
        held += new
    pytest.fail("the batch job was never given a slot")


def test_a_full_desk_with_many_batch_jobs_does_not_call_for_another_turn_at_once(played):
    for _ in range(40):
        played.add_batch(3)
    played.seat(slots=1)
    played.turn()
    for _ in range(5):
        played.turn()
    assert not played.dispatcher._woken


def test_hooks_of_unknown_length_are_not_claimed_for_a_busy_slot(played):
    for _ in range(10):
        played.add_batch(0, "Nightly", record_count=None)
    played.seat(slots=2)
    played.turn()
    played.turn()
    assert len(played.handed(kind=RunHook)) <= 2 * 2


def test_bytes_held_are_bounded_however_many_turns_there_are(played):
    big = 1 << 20
    played.add_batch(60, size=big)
    played.seat(slots=2)
    tasks = played.take_turn()
    for task in tasks:
        played.done(task, seconds=0.001)
    held = 0
    for _ in range(40):
        played.turn()
        held += sum(len(task.payload) for task in played.handed())
    assert held <= MOST_BYTES + 2 * (2 * big + 10)


def test_bytes_held_are_bounded_however_many_batch_jobs_run(played):
    big = 1 << 20
    for _ in range(14):
        played.add_batch(2, size=big)
    played.seat(slots=14)
    for task in played.take_turn():
        played.done(task, seconds=0.001)
    held = 0
    for _ in range(3):
        played.turn()
        held += sum(len(task.payload) for task in played.handed())
    assert held <= MOST_BYTES + 14 * (2 * big + 10)


def test_a_free_slot_gets_a_slice_that_is_larger_than_the_bound(played, monkeypatch):
    monkeypatch.setattr("penstock.server.seats.MOST_BYTES", 10)
    played.add_batch(3, size=1000)
    played.seat(slots=2)
    assert len(played.take_turn()) + len(played.take_turn()) == 2


def test_what_waits_behind_a_long_piece_goes_to_an_idle_worker_before_long(played):
    """However quick the waiting pieces are: the one in front may take hours."""
    played.seat("w1", slots=1)
    played.add_job("Tiny")
    (task,) = played.take_turn()
    played.done(task, seconds=0.001)
    jobs = [played.add_job("Tiny") for _ in range(2)]
    _, second = played.take_turn()
    played.seat("w2", slots=1)
    for _ in range(3):
        played.clock.advance(1.1)
        played.turn()
    (recall,) = played.handed("w1", kind=Recall)
    assert recall.keys == [second.key]
    played.dispatcher.worker_recalled("w1", recall.keys)
    (again,) = played.take_turn("w2")
    assert again.row.id == jobs[1].id


# Stopping ----------------------------------------------------------------------------------------


@pytest.fixture
def running(sqlite_memory):
    """Return a store, a dispatcher with its thread, and a queue of what it hands out."""
    handed = queue.Queue()
    dispatcher = Dispatcher(sqlite_memory, "server-1", lambda _, messages: [handed.put(one) for one in messages])
    sqlite_memory.register_server(ServerRow("server-1", "here", 1, "starting", penstock_clock.now(), 0, 1, 1))
    dispatcher.start()
    yield sqlite_memory, dispatcher, handed
    dispatcher.close()


def insert(store, count, **columns):
    rows = [
        JobRow(id=new_id(), kind="Copy", batch=False, created_at=penstock_clock.now(), **columns) for _ in range(count)
    ]
    store.insert_jobs(rows)
    return rows


def test_close_hands_back_what_workers_hold_without_blame(running):
    store, dispatcher, handed = running
    rows = insert(store, 2)
    dispatcher.worker_ready("w1", 2, [KindFacts("Copy", False, [], "Copy")])
    handed.get(timeout=10)
    handed.get(timeout=10)
    dispatcher.close()
    found = [store.job(row.id) for row in rows]
    assert [(row.state, row.crash_count, row.server) for row in found] == [(State.QUEUED, 0, None)] * 2


def test_drain_claims_nothing_more_and_waits_for_what_runs(running):
    store, dispatcher, handed = running
    (row,) = insert(store, 1, destroy_on_complete=False)
    dispatcher.worker_ready("w1", 1, [KindFacts("Copy", False, [], "Copy")])
    task = handed.get(timeout=10)
    answers = []

    def drain():
        answers.append(dispatcher.drain(30))

    thread = threading.Thread(target=drain)
    thread.start()
    recall = handed.get(timeout=10)
    (later,) = insert(store, 1)
    dispatcher.wake()
    dispatcher.worker_recalled("w1", [])
    assert recall.keys == [task.key]
    dispatcher.worker_returned("w1", [JobDone(task.key, 1.0, None, None, {}, {})])
    thread.join(10)
    assert answers == [True]
    assert store.job(row.id).state is State.COMPLETED
    assert store.job(later.id).state is State.QUEUED


def test_drain_gives_up_after_the_grace_and_close_hands_the_rest_back(running):
    store, dispatcher, handed = running
    (row,) = insert(store, 1)
    dispatcher.worker_ready("w1", 1, [KindFacts("Copy", False, [], "Copy")])
    handed.get(timeout=10)
    assert dispatcher.drain(0.0) is False
    dispatcher.close()
    found = store.job(row.id)
    assert (found.state, found.crash_count) == (State.QUEUED, 0)


def test_drain_gives_back_what_was_not_started(running):
    store, dispatcher, handed = running
    rows = insert(store, 2)
    dispatcher.worker_ready("w1", 2, [KindFacts("Copy", False, [], "Copy")])
    keys = [handed.get(timeout=10).key for _ in rows]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(dispatcher.drain(30)))
    thread.start()
    assert sorted(handed.get(timeout=10).keys) == keys
    dispatcher.worker_recalled("w1", keys)
    thread.join(10)
    assert answers == [True]
    assert [store.job(row.id).state for row in rows] == [State.QUEUED] * 2
