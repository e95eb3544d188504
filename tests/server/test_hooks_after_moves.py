"""Hooks that follow a committed move: who runs them, when, and what becomes of a job that waits for them."""

from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock import events
from penstock.model.failure import Failure, parse_failure
from penstock.model.moves import move_job
from penstock.server.chosen import Chosen
from penstock.server.messages import Decision, KindFacts, Recall, RunHook, RunJob, RunSlice
from penstock.states import Move, State

MOMENTS = [f"after_{move}" for move in Move if move is not Move.START]
HOOKED = KindFacts("Hooked", False, MOMENTS, "Hooked")
PLAIN = KindFacts("Copy", False, [], "Copy")
LINES = KindFacts("Lines", True, MOMENTS, "Lines")
KINDS = [HOOKED, PLAIN, LINES]
WRONG = Failure("ValueError", "wrong").to_json()


@pytest.fixture
def run(played):
    """Store a job of the kind with hooks and hand it to a worker; return the job and its task."""

    def start(**columns):
        job = played.add_job("Hooked", **columns)
        played.seat(slots=2, kinds=KINDS)
        (task,) = played.take_turn()
        assert isinstance(task, RunJob)
        return job, task

    return start


def hooks_of(played, job):
    row = played.job(job)
    return row.pending_hooks, row.hooks_server


def decided(move, **values):
    return Decision(**{"move": move, "at": None, "reason": None, "kind_wide": False, "failure": None, **values})


# After the end of a run --------------------------------------------------------------------------


def test_the_hooks_of_a_completion_are_handed_out_once_it_is_stored(played, run):
    job, task = run(destroy_on_complete=False)
    played.done(task)
    (hook,) = played.take_turn()
    assert (type(hook), hook.row.id, hook.moment) == (RunHook, job.id, "after_complete")
    assert (hook.row.state, hook.row.percent_complete) == (State.COMPLETED, 100)
    assert hooks_of(played, job) == ("after_complete", "server-1")
    assert played.take_turn() == []
    played.done(hook)
    assert played.take_turn() == []
    assert hooks_of(played, job) == (None, None)


def test_a_completed_job_is_there_until_its_hooks_have_run_and_then_gone(played, run):
    job, task = run()
    played.done(task)
    (hook,) = played.take_turn()
    assert played.job(job).state is State.COMPLETED
    played.done(hook)
    played.turn()
    assert played.store.job(job.id) is None


def test_a_job_without_such_hooks_goes_at_once(played):
    job = played.add_job("Copy")
    played.seat(kinds=KINDS)
    (task,) = played.take_turn()
    played.done(task)
    assert played.take_turn() == []
    assert played.store.job(job.id) is None


@pytest.mark.parametrize(
    ("reply", "moments", "state"),
    [
        ({"failure": WRONG}, "after_fail", State.FAILED),
        ({"failure": WRONG, "decided": decided(Move.RETRY)}, "after_fail after_retry", State.QUEUED),
        ({"decided": decided(Move.REQUEUE)}, "after_requeue", State.QUEUED),
        ({"decided": decided(Move.ABORT)}, "after_abort", State.ABORTED),
        ({"decided": decided(Move.PAUSE)}, "after_pause", State.PAUSED),
        ({"decided": decided(Move.FAIL, failure=WRONG)}, "after_fail", State.FAILED),
        ({"decided": decided(Move.COMPLETE)}, "after_complete", State.COMPLETED),
    ],
    ids=["failed", "retried", "snoozed", "aborted itself", "paused itself", "failed itself", "completed itself"],
)
def test_each_way_to_end_has_the_hooks_of_its_moves_in_their_order(played, run, reply, moments, state):
    later = penstock_clock.now() + timedelta(hours=1)
    job, task = run(destroy_on_complete=False)
    if "decided" in reply and state is State.QUEUED:
        reply = {**reply, "decided": decided(reply["decided"].move, at=later)}
    played.answer(task, **reply)
    (hook,) = played.take_turn()
    assert (hook.moment, hook.row.state) == (moments, state)
    played.done(hook)
    assert played.take_turn() == []
    assert (hooks_of(played, job), played.job(job).state) == ((None, None), state)


def test_only_hooks_that_the_class_has_are_due(played):
    facts = KindFacts("Hooked", False, ["after_retry"], "Hooked")
    job = played.add_job("Hooked")
    played.seat(kinds=[facts])
    (task,) = played.take_turn()
    later = penstock_clock.now() + timedelta(hours=1)
    played.answer(task, failure=WRONG, decided=decided(Move.RETRY, at=later))
    (hook,) = played.take_turn()
    assert hook.moment == "after_retry"
    assert hooks_of(played, job) == ("after_retry", "server-1")


def test_what_a_hook_changed_is_stored(played, run):
    job, task = run(destroy_on_complete=False, fields='{"a":1,"b":2}')
    played.done(task)
    (hook,) = played.take_turn()
    played.answer(hook, columns={"priority": 7}, fields={"b": 3})
    played.turn()
    assert (played.job(job).priority, played.job(job).fields) == (7, '{"a":1,"b":3}')


def test_hooks_of_a_refused_result_are_not_due(played, run, heard):
    job, task = run(destroy_on_complete=False)
    move_job(played.store, job.id, Move.ABORT)
    # The move's own hooks were left to a server that knows the class.
    (hook,) = played.take_turn()
    assert hook.moment == "after_abort"
    played.done(task)
    assert played.take_turn() == []
    assert hooks_of(played, job) == ("after_abort", "server-1")
    assert [type(event) for event in heard].count(events.ResultRefused) == 1


def test_a_batch_job_has_them_too_and_its_output_until_they_have_run(played):
    job = played.add_batch(1)
    played.seat(slots=2, kinds=KINDS)
    (task,) = played.take_turn()
    assert isinstance(task, RunSlice)
    played.done(task)
    (hook,) = played.take_turn()
    assert (type(hook), hook.moment) == (RunHook, "after_complete")
    assert played.job(job).state is State.COMPLETED
    assert len(list(played.store.outputs(job.id, "main"))) == 1
    played.done(hook)
    played.turn()
    assert played.store.job(job.id) is None
    assert list(played.store.outputs(job.id, "main")) == []


def test_a_batch_job_that_fails_in_its_slices_has_them(played):
    job = played.add_batch(1)
    played.seat(slots=2, kinds=KINDS)
    (task,) = played.take_turn()
    played.done(task, failure=WRONG)
    (hook,) = played.take_turn()
    assert (hook.moment, hook.row.state) == ("after_fail", State.FAILED)
    assert hooks_of(played, job) == ("after_fail", "server-1")


@pytest.mark.parametrize("move", [Move.ABORT, Move.PAUSE, Move.FAIL])
def test_a_batch_job_that_moves_itself_in_a_slice_has_them(played, move):
    job = played.add_batch(2)
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.take_turn()
    played.slice_done(task, done=1, decided=decided(move, failure=WRONG if move is Move.FAIL else None))
    (hook,) = played.take_turn()
    assert (hook.moment, hook.row.id) == (f"after_{move}", job.id)


# Hooks that raise ---------------------------------------------------------------------------------


def test_a_completed_job_whose_hook_raises_stays_with_the_failure(played, run, heard):
    job, task = run()
    played.done(task)
    (hook,) = played.take_turn()
    played.done(hook, failure=WRONG)
    assert played.take_turn() == []
    row = played.job(job)
    assert (row.state, parse_failure(row.exception).summary) == (State.COMPLETED, "ValueError: wrong")
    assert hooks_of(played, job) == (None, None)
    told = [event for event in heard if isinstance(event, events.JobFailed)]
    assert [event.error for event in told] == ["after_complete: ValueError: wrong"]


def test_a_queued_job_whose_hook_raises_fails_and_its_hooks_for_that_run(played, run):
    job, task = run()
    played.answer(task, decided=decided(Move.REQUEUE, at=penstock_clock.now() + timedelta(hours=1)))
    (hook,) = played.take_turn()
    played.done(hook, failure=WRONG)
    (hook,) = played.turns()
    assert hook.moment == "after_fail"
    row = played.job(job)
    assert (row.state, row.failure_count) == (State.FAILED, 1)
    played.done(hook, failure=WRONG)
    assert played.turns() == []
    assert hooks_of(played, job) == (None, None)
    assert played.job(job).failure_count == 1


def test_a_hook_that_gives_a_job_the_unique_key_of_another_fails_it_and_the_server_goes_on(played, run):
    other = played.add_job("Copy", unique_key="k", run_at=penstock_clock.now() + timedelta(hours=1))
    job, task = run()
    played.answer(task, decided=decided(Move.REQUEUE, at=penstock_clock.now() + timedelta(hours=1)))
    (hook,) = played.take_turn()
    played.answer(hook, columns={"unique_key": "k"})
    played.turns()
    row = played.job(job)
    assert row.state is State.FAILED
    assert str(other.id) in parse_failure(row.exception).message


@pytest.mark.parametrize("reply", ["retried", "snoozed"])
def test_a_job_that_took_the_unique_key_of_another_fails_and_the_server_goes_on(played, run, reply):
    other = played.add_job("Copy", unique_key="k", run_at=penstock_clock.now() + timedelta(hours=1))
    job, task = run(unique_key="mine")
    move = Move.RETRY if reply == "retried" else Move.REQUEUE
    at = penstock_clock.now() + timedelta(hours=1)
    failure = WRONG if reply == "retried" else None
    played.answer(task, failure=failure, columns={"unique_key": "k"}, decided=decided(move, at=at))
    played.turns()
    assert (played.job(job).state, played.job(job).unique_key) == (State.FAILED, "mine")
    assert str(other.id) in parse_failure(played.job(job).exception).message


def test_of_two_jobs_that_take_the_same_unique_key_in_one_turn_the_second_fails(played):
    jobs = [played.add_job("Copy") for _ in range(2)]
    played.seat(slots=2, kinds=KINDS)
    at = penstock_clock.now() + timedelta(hours=1)
    for task in played.take_turn():
        played.answer(task, columns={"unique_key": "k"}, decided=decided(Move.REQUEUE, at=at))
    played.turns()
    assert [played.job(job).state for job in jobs] == [State.QUEUED, State.FAILED]


# Crashes -----------------------------------------------------------------------------------------


def test_a_crash_in_a_hook_is_counted_and_it_runs_again(played, run):
    job, task = run()
    played.done(task)
    (hook,) = played.take_turn()
    played.crash(hook)
    played.seat("w2", kinds=KINDS)
    (again,) = played.turns("w2")
    assert (again.moment, again.row.crash_count) == ("after_complete", 1)
    assert played.job(job).state is State.COMPLETED
    played.done(again, "w2")
    played.turn()
    assert played.store.job(job.id) is None


def test_the_third_crash_in_a_hook_ends_it_with_the_evidence(played, run):
    job, task = run()
    played.done(task)
    (hook,) = played.take_turn()
    for crash in range(3):
        worker = f"w{crash + 1}"
        played.crash(hook, worker=worker)
        played.seat(f"w{crash + 2}", kinds=KINDS)
        found = played.turns(f"w{crash + 2}")
        assert len(found) == (1 if crash < 2 else 0)
        hook = found[0] if found else None
    row = played.job(job)
    assert (row.state, row.pending_hooks, row.hooks_server) == (State.COMPLETED, None, None)
    failure = parse_failure(row.exception)
    assert failure.class_name == "WorkerCrashed"
    assert failure.message.startswith("in after_complete, 3 times; killed by SIGSEGV")


def test_a_hook_whose_worker_died_before_it_began_goes_to_another_without_blame(played, run):
    job, task = run()
    played.done(task)
    (hook,) = played.take_turn()
    played.crash()
    played.seat("w2", kinds=KINDS)
    (again,) = played.turns("w2")
    assert (again.key, played.job(job).crash_count) == (hook.key, 0)


def test_a_job_that_died_with_its_worker_has_the_hooks_of_its_requeue(played, run):
    job, task = run(run_at=None)
    played.crash(task)
    played.seat("w2", slots=2, kinds=KINDS)
    tasks = played.turns("w2")
    assert sorted(getattr(task, "moment", "the job") for task in tasks) == ["after_requeue", "the job"]
    assert played.job(job).crash_count == 1


def test_hooks_that_die_with_their_job_run_in_the_end_however_often_it_did(played, run):
    job, task = run()
    lost = [task]
    for crash in range(3):
        played.crash(*lost, worker=f"w{crash + 1}")
        played.seat(f"w{crash + 2}", slots=2, kinds=KINDS)
        lost = played.turns(f"w{crash + 2}")
    assert played.job(job).state is State.FAILED
    ran = []
    while lost:
        (hook,) = lost
        ran += hook.moment.split()
        played.done(hook, "w4")
        lost = played.turns("w4")
    assert ran == ["after_requeue", "after_requeue", "after_fail"]
    assert hooks_of(played, job) == (None, None)


def test_a_job_that_died_for_the_third_time_has_the_hooks_of_its_failure(played, run):
    job, task = run(crash_count=2)
    played.crash(task)
    played.seat("w2", kinds=KINDS)
    (hook,) = played.turns("w2")
    assert (hook.moment, hook.row.state) == ("after_fail", State.FAILED)
    assert hooks_of(played, job) == ("after_fail", "server-1")


def test_hooks_outlive_the_server_that_was_to_run_them(played, run, play):
    job, task = run()
    played.done(task)
    played.take_turn()
    played.store.release_server("server-1")
    other = play(played.store, name="server-2")
    other.seat(kinds=KINDS)
    (hook,) = other.turns()
    assert (hook.moment, played.job(job).hooks_server) == ("after_complete", "server-2")
    # The first was only slow: what it says comes too late, and nothing is done twice.
    played.answer(played_hook(job, "after_complete", played), columns={"priority": 1})
    played.turn()
    assert (played.job(job).priority, played.job(job).hooks_server) == (50, "server-2")
    other.done(hook)
    other.turn()
    assert played.store.job(job.id) is None


def played_hook(job, moment, played):
    """Return the hook that the first worker holds."""
    (piece,) = played.dispatcher._desk.seats["w1"].held.values()
    assert (piece.task.row.id, piece.task.moment) == (job.id, moment)
    return piece.task


# Moves made elsewhere -----------------------------------------------------------------------------


@pytest.fixture
def due(played):
    """Store a job that somebody without its class has moved."""

    def add(moments="after_fail", kind="Hooked", **columns):
        columns = {"state": State.FAILED, **columns}
        return played.add_job(kind, pending_hooks=moments, **columns)

    return add


def test_hooks_that_nobody_runs_are_taken_and_run_once(played, due):
    job = due("after_fail after_abort", state=State.ABORTED)
    played.seat(kinds=KINDS)
    (hook,) = played.turns()
    assert hook.moment == "after_fail after_abort"
    assert hooks_of(played, job) == ("after_fail after_abort", "server-1")
    assert played.turns() == []
    played.done(hook)
    assert played.turns() == []
    assert hooks_of(played, job) == (None, None)


def test_two_servers_never_run_the_same(played, due, play):
    jobs = [due() for _ in range(5)]
    other = play(played.store, name="server-2")
    for server in (played, other):
        server.seat(slots=5, kinds=KINDS)
    taken = [task.row.id for server in (played, other) for task in server.turns()]
    assert sorted(taken) == [job.id for job in jobs]


def test_moments_for_which_the_class_has_no_hooks_are_done_with_at_once(played, due):
    job = due(kind="Copy")
    played.seat(kinds=KINDS)
    assert played.turns() == []
    assert hooks_of(played, job) == (None, None)


def test_a_completed_job_that_waited_for_hooks_which_its_class_has_not_goes(played, due):
    job = due("after_complete", kind="Copy", state=State.COMPLETED)
    played.seat(kinds=KINDS)
    played.turns()
    assert played.store.job(job.id) is None


def test_hooks_of_kinds_that_it_does_not_know_are_left_to_others(played, due):
    job = due(kind="Unheard")
    played.seat(kinds=KINDS)
    assert played.turns() == []
    assert hooks_of(played, job) == ("after_fail", None)


def test_more_than_a_look_finds_are_all_run_in_the_end(played, due):
    jobs = [due() for _ in range(250)]
    played.seat(slots=2, kinds=KINDS)
    ran = []
    for _ in range(300):
        tasks = played.turns()
        ran += [task.row.id for task in tasks]
        for task in tasks:
            played.done(task)
        if len(ran) == 250:
            break
    played.turn()
    assert sorted(ran) == [job.id for job in jobs]
    assert played.store.jobs_due_for_hooks(["Hooked"]) == []


def test_hooks_that_are_taken_are_bounded_as_other_work_is(played, due):
    """Or a million jobs that somebody retried at once would all be held in memory."""
    for _ in range(250):
        due()
    played.seat(slots=2, kinds=KINDS)
    held = 0
    for _ in range(20):
        held += len(played.turns())
    assert held <= 100


def test_hooks_are_run_though_there_is_always_other_work(played, due):
    played.seat(slots=1, kinds=KINDS)
    for _ in range(5):
        played.add_job("Copy")
    (task,) = played.turns()
    job = due()
    played.done(task)
    tasks = played.turns()
    assert [getattr(one, "moment", None) for one in tasks] == ["after_fail"]
    assert tasks[0].row.id == job.id


def test_a_server_for_one_job_alone_leaves_the_hooks_of_others_to_others(played, due, play):
    other, mine = due(), due()
    server = play(played.store, name="server-2", chosen=Chosen(only=mine.id))
    server.seat(slots=5, kinds=KINDS)
    assert [task.row.id for task in server.turns()] == [mine.id]
    assert hooks_of(played, other) == ("after_fail", None)


def test_what_became_due_while_a_hook_ran_runs_after_it(played, due):
    job = due("after_fail")
    played.seat(kinds=KINDS)
    (hook,) = played.turns()
    move_job(played.store, job.id, Move.ABORT)
    assert hooks_of(played, job) == ("after_fail after_abort", "server-1")
    played.done(hook)
    (hook,) = played.turns()
    assert hook.moment == "after_abort"
    played.done(hook)
    played.turns()
    assert hooks_of(played, job) == (None, None)


def test_hooks_due_when_a_job_starts_are_kept_beside_those_of_its_end(played):
    """As where somebody retried it, and it runs through before the hooks for that have run."""
    job = played.add_job("Hooked", pending_hooks="after_retry", destroy_on_complete=True)
    played.seat(slots=2, kinds=KINDS)
    tasks = played.turns()
    (task,) = [one for one in tasks if isinstance(one, RunJob)]
    (retry,) = [one for one in tasks if isinstance(one, RunHook)]
    played.done(task)
    ran = [hook.moment for hook in played.turns()]
    played.done(retry)
    hooks = played.turns()
    ran += [hook.moment for hook in hooks]
    assert played.job(job).state is State.COMPLETED
    for hook in hooks:
        played.done(hook)
    played.turns()
    assert ran == ["after_complete"]
    assert played.store.job(job.id) is None


# A worker that does not know the kind -------------------------------------------------------------


def test_a_job_of_a_kind_that_its_worker_does_not_know_is_queued_again_without_blame(played, run):
    job, task = run()
    played.answer(task, unknown=True)
    copy = played.add_job("Copy")
    (other,) = played.turns()
    assert other.row.id == copy.id
    row = played.job(job)
    assert (row.state, row.crash_count, row.failure_count, row.server) == (State.QUEUED, 0, 0, None)
    assert row.pending_hooks is None


def test_its_kind_rests_for_a_moment_and_is_tried_again(played, run):
    job, task = run()
    played.answer(task, unknown=True)
    assert played.turns() == []
    played.clock.advance(1.9)
    assert played.turns() == []
    played.clock.advance(0.1)
    (again,) = played.turns()
    assert again.row.id == job.id


def test_hooks_of_a_kind_that_their_worker_does_not_know_rest_too(played, due):
    job = due()
    played.seat(kinds=KINDS)
    (hook,) = played.turns()
    played.answer(hook, unknown=True)
    assert played.turns() == []
    assert hooks_of(played, job) == ("after_fail", None)
    played.clock.advance(2)
    (again,) = played.turns()
    assert (again.moment, again.row.crash_count) == ("after_fail", 0)


# Pausing and stopping -----------------------------------------------------------------------------


def test_a_paused_server_takes_no_hooks_and_gives_back_what_is_not_begun(played, due):
    due()
    played.seat(slots=1, kinds=KINDS)
    (quick,) = played.turns()
    played.done(quick, seconds=0.02)
    jobs = [due() for _ in range(3)]
    begun, *waiting = played.turns()
    assert len(waiting) == 2
    played.dispatcher.pause()
    played.turn()
    (recall,) = played.handed(kind=Recall)
    assert set(recall.keys) >= {task.key for task in waiting}
    played.dispatcher.worker_recalled("w1", [task.key for task in waiting])
    played.turns()
    assert [hooks_of(played, job)[1] for job in jobs] == ["server-1", None, None]
    played.done(begun)
    assert played.turns() == []
    assert [hooks_of(played, job)[0] for job in jobs] == [None, "after_fail", "after_fail"]


def test_hooks_of_what_ends_while_the_server_stops_are_left_to_others(played, run, play):
    job, task = run()
    played.dispatcher.pause()
    played.turn()
    played.done(task)
    assert played.turns() == []
    assert hooks_of(played, job) == ("after_complete", None)
    other = play(played.store, name="server-2", chosen=Chosen())
    other.seat(kinds=KINDS)
    (hook,) = other.turns()
    assert hook.moment == "after_complete"


def test_a_worker_that_joins_while_a_turn_waits_for_the_store_does_not_have_due_hooks_thought_away(played, monkeypatch):
    job = played.add_job("Hooked", state=State.PAUSED, pending_hooks="after_pause")
    real = played.store.transaction

    def transaction():
        if "w1" not in played.dispatcher._desk.seats:
            played.seat(kinds=KINDS)
        return real()

    monkeypatch.setattr(played.store, "transaction", transaction)
    assert played.take_turn() == []
    assert hooks_of(played, job) == ("after_pause", None)
    (hook,) = played.take_turn()
    assert hook.moment == "after_pause"


# Trouble of the store's --------------------------------------------------------------------------

LATER_SECONDS = 2


def later():
    at = penstock_clock.now() + timedelta(seconds=LATER_SECONDS)
    return decided(Move.REQUEUE, at=at, reason="the store cannot be reached")


def test_hooks_that_the_store_had_trouble_with_stay_due_and_run_later(played, run, heard):
    job, task = run(destroy_on_complete=False)
    played.done(task)
    (hook,) = played.take_turn()
    played.answer(hook, decided=later())
    assert played.take_turn() == []
    assert (played.job(job).state, hooks_of(played, job)) == (State.COMPLETED, ("after_complete", None))
    assert [event.reason for event in heard if isinstance(event, events.JobHeld)] == [
        "after_complete: the store cannot be reached"
    ]
    played.clock.advance(LATER_SECONDS + 0.1)
    (again,) = played.take_turn()
    assert again.moment == "after_complete"
    played.done(again)
    played.turn()
    assert hooks_of(played, job) == (None, None)


@pytest.mark.parametrize("moment", ["before_batch", "after_batch"])
def test_a_batch_job_whose_hook_the_store_had_trouble_with_goes_on_there_later(played, moment):
    nightly = KindFacts("Nightly", True, ["before_batch", "after_batch"], "Nightly")
    job = played.add_batch(0, "Nightly", destroy_on_complete=False)
    played.seat(kinds=[nightly])
    (task,) = played.take_turn()
    if moment == "after_batch":
        played.done(task)
        (task,) = played.take_turn() or played.take_turn()
    played.answer(task, decided=later())
    assert played.take_turn() == []
    row = played.job(job)
    assert (row.exception, row.throttled_by, row.server) == (None, "the store cannot be reached", None)
    played.clock.advance(LATER_SECONDS + 0.1)
    (again,) = played.turns()
    assert again.moment == moment
