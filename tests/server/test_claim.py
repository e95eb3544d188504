"""Claims with limits: what is held back holds back nothing else, and limits are never passed."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import clock as penstock_clock
from penstock.model.failure import Failure
from penstock.model.moves import move_job
from penstock.query import Query
from penstock.server.chosen import Chosen
from penstock.server.messages import Decision, KindFacts, RunHook, RunSlice
from penstock.states import Move, SliceState, State, SubState

WRONG = Failure("ValueError", "wrong").to_json()
COPY = KindFacts("Copy", False, [], "Copy")
TINY = KindFacts("Tiny", False, [], "Tiny")
LIMITED = KindFacts("Limited", False, [], "Limited", limit=2)
ALIAS = KindFacts("old_limited", False, [], "Limited", limit=2)
WIDER = KindFacts("Wider", False, [], "Wider", limit=3)
LINES = KindFacts("Lines", True, [], "Lines", limit=1)
NIGHTLY = KindFacts("Nightly", True, ["after_batch", "before_batch"], "Nightly", limit=1)
AFTER_TINY = KindFacts("AfterTiny", False, [], "AfterTiny", depends_on=["Tiny"])
LINES_AFTER_TINY = KindFacts("LinesAfterTiny", True, [], "LinesAfterTiny", depends_on=["Tiny"])
ALONE = KindFacts("Alone", False, [], "Alone", depends_on=["Alone"])
KINDS = [COPY, TINY, LIMITED, ALIAS, WIDER, LINES, NIGHTLY, AFTER_TINY, LINES_AFTER_TINY, ALONE]


def kinds_of(tasks):
    return [task.row.kind for task in tasks]


def running(played, *kinds):
    return played.store.count_jobs(Query(kinds=kinds, states=(State.RUNNING,)))


def job_ids(tasks):
    return [task.job_id if isinstance(task, RunSlice) else task.row.id for task in tasks]


# A limit of regular jobs -------------------------------------------------------------------------


def test_no_more_run_than_the_limit_says(played):
    for _ in range(5):
        played.add_job("Limited")
    played.seat(slots=10, kinds=KINDS)
    assert kinds_of(played.turns()) == ["Limited"] * 2
    assert played.turns() == []
    assert played.store.limits() == {"Limited": 2}


def test_the_end_of_one_lets_the_next_start_in_the_same_turn(played):
    jobs = [played.add_job("Limited") for _ in range(5)]
    played.seat(slots=10, kinds=KINDS)
    first, _ = played.turns()
    played.done(first)
    (third,) = played.take_turn()
    assert third.row.id == jobs[2].id
    assert played.store.limits() == {"Limited": 2}


@pytest.mark.parametrize("reply", ["done", "failed", "snoozed", "retried", "aborted"])
def test_however_a_job_ends_its_place_is_free(played, reply):
    for _ in range(3):
        played.add_job("Limited", destroy_on_complete=False)
    played.seat(slots=10, kinds=KINDS)
    first, _ = played.turns()
    later = penstock_clock.now() + timedelta(hours=1)
    move = {"snoozed": Move.REQUEUE, "retried": Move.RETRY, "aborted": Move.ABORT}.get(reply)
    played.answer(
        first,
        failure=WRONG if reply in ("failed", "retried") else None,
        decided=move and Decision(move, later, None, False, None),
    )
    assert len(played.turns()) == 1
    assert played.store.limits() == {"Limited": 2}


def test_a_job_that_somebody_aborts_leaves_its_place_to_another(played):
    jobs = [played.add_job("Limited") for _ in range(3)]
    played.seat(slots=10, kinds=KINDS)
    played.turns()
    move_job(played.store, jobs[0].id, Move.ABORT)
    assert job_ids(played.turns()) == [jobs[2].id]


def test_a_crash_and_a_recall_leave_the_place_to_the_most_urgent(played):
    job = played.add_job("Limited")
    played.seat("w1", slots=2, kinds=KINDS)
    (task,) = played.turns()
    played.crash(task)
    played.seat("w2", slots=2, kinds=KINDS)
    (again,) = played.turns("w2")
    assert again.row.id == job.id
    assert played.store.limits() == {"Limited": 1}
    played.dispatcher.worker_recalled("w2", [again.key])
    played.dispatcher.pause()
    played.turn()
    assert played.store.limits() == {"Limited": 1}


def test_what_runs_at_other_servers_counts(played, play):
    for _ in range(5):
        played.add_job("Limited")
    other = play(played.store, name="server-2")
    other.seat(slots=1, kinds=KINDS)
    (theirs,) = other.turns()
    played.seat(slots=10, kinds=KINDS)
    assert len(played.turns()) == 1
    assert other.turns() == []
    other.done(theirs)
    assert len(other.take_turn()) == 1
    assert played.turns() == []
    assert played.store.limits() == {"Limited": 2}


def test_a_limited_job_is_not_handed_ahead_however_quick_it_is(played):
    wide = KindFacts("Wide", False, [], "Wide", limit=100)
    played.seat(slots=2, kinds=[wide])
    played.add_job("Wide")
    (task,) = played.turns()
    played.done(task, seconds=0.0001)
    for _ in range(50):
        played.add_job("Wide")
    assert len(played.turns()) == 2


def test_a_class_and_its_alias_share_the_limit(played):
    for kind in ("old_limited", "Limited", "old_limited"):
        played.add_job(kind)
    played.seat(slots=10, kinds=KINDS)
    assert kinds_of(played.turns()) == ["old_limited", "Limited"]


# What is held back holds back nothing else -------------------------------------------------------


def test_less_urgent_work_of_other_kinds_goes_past_what_a_limit_holds_back(played):
    for _ in range(200):
        played.add_job("Limited", priority=1)
    others = [played.add_job("Copy", priority=90) for _ in range(2)]
    played.seat(slots=4, kinds=KINDS)
    tasks = played.turns()
    assert kinds_of(tasks) == ["Limited"] * 2 + ["Copy"] * 2
    assert job_ids(tasks[2:]) == [job.id for job in others]


def test_a_turn_that_saw_nothing_but_what_a_limit_holds_back_calls_for_another(played):
    for _ in range(200):
        played.add_job("Limited", priority=1)
    played.add_job("Copy")
    played.seat(slots=4, kinds=KINDS)
    played.turn()
    assert played.dispatcher._woken
    assert kinds_of(played.turns()) == ["Limited"] * 2 + ["Copy"]
    assert not played.dispatcher._woken


def test_the_others_keep_their_strict_order(played):
    wanted = []
    for priority, kind in ((30, "Tiny"), (10, "Copy"), (30, "Copy"), (20, "Tiny"), (5, "Limited"), (10, "Tiny")):
        for _ in range(3):
            job = played.add_job(kind, priority=priority)
            wanted.append((priority, job.id, kind))
    wanted.sort()
    allowed = [one for one in wanted if one[2] != "Limited"]
    played.seat(slots=1, kinds=KINDS)
    # Somebody else has the limit all the time.
    blocker = [played.add_job("Limited", priority=1) for _ in range(2)]
    for row in blocker:
        row.limit_name = "Limited"
    played.store.claim_jobs(blocker, server="another", now=penstock_clock.now())
    got = []
    for _ in allowed:
        (task,) = played.turns()
        got.append(task.row.id)
        played.done(task)
    assert got == [job_id for _, job_id, _ in allowed]


def test_when_a_place_is_free_the_most_urgent_goes_first_whatever_went_past_it(played):
    limited = [played.add_job("Limited", priority=1) for _ in range(3)]
    copies = [played.add_job("Copy") for _ in range(3)]
    played.seat(slots=3, kinds=KINDS)
    tasks = played.turns()
    assert job_ids(tasks) == [limited[0].id, limited[1].id, copies[0].id]
    played.done(tasks[0])
    assert job_ids(played.turns()) == [limited[2].id]


def test_a_limited_job_that_finds_no_free_slot_holds_back_what_is_less_urgent(played):
    """It is next, unlike one that its limit holds back."""
    played.seat(slots=1, kinds=KINDS)
    played.add_job("Tiny")
    (task,) = played.turns()
    played.done(task, seconds=0.001)
    long = played.add_job("Copy")
    assert job_ids(played.turns()) == [long.id]
    played.add_job("Limited", priority=50)
    for _ in range(20):
        played.add_job("Tiny", priority=51)
    assert played.turns() == []


# Groups ------------------------------------------------------------------------------------------


def test_jobs_of_a_group_share_a_limit_whatever_their_kinds(played):
    for n in range(6):
        played.add_job(("Limited", "Wider")[n % 2], throttle_group="g")
    played.seat(slots=10, kinds=KINDS)
    assert kinds_of(played.turns()) == ["Limited", "Wider", "Wider"]
    assert played.store.limits() == {"g": 3}


def test_a_full_group_holds_back_neither_other_groups_nor_jobs_without_one(played):
    for group in ("a", "b", None):
        for _ in range(40):
            played.add_job("Limited", throttle_group=group)
    played.seat(slots=10, kinds=KINDS)
    tasks = played.turns()
    assert Counter(task.row.throttle_group for task in tasks) == {"a": 2, "b": 2, None: 2}
    assert played.store.limits() == {"a": 2, "b": 2, "Limited": 2}


def test_a_group_means_nothing_for_a_kind_without_a_limit(played):
    for _ in range(4):
        played.add_job("Copy", throttle_group="g")
    played.seat(slots=10, kinds=KINDS)
    assert len(played.turns()) == 4


# Batch jobs --------------------------------------------------------------------------------------


def test_a_batch_job_at_its_limit_goes_on_to_its_end(played):
    """The limit says how many jobs may start; what has started is not held back."""
    job = played.add_batch(4, destroy_on_complete=False)
    played.seat(slots=1, kinds=KINDS)
    for number in range(1, 5):
        (task,) = played.turns()
        assert (task.job_id, task.number) == (job.id, number)
        played.done(task)
    played.turn()
    assert played.job(job).state is State.COMPLETED
    assert played.store.limits() == {}


def test_a_batch_job_at_its_limit_goes_on_at_every_server(played, play):
    job = played.add_batch(6)
    played.seat(slots=1, kinds=KINDS)
    assert job_ids(played.turns()) == [job.id]
    other = play(played.store, name="server-2")
    other.seat(slots=2, kinds=KINDS)
    assert job_ids(other.turns()) == [job.id] * 2


@pytest.mark.parametrize("group", [None, "g"])
def test_the_next_batch_job_starts_when_the_first_has_ended(played, group):
    jobs = [played.add_batch(2, destroy_on_complete=False, throttle_group=group) for _ in range(2)]
    played.seat(slots=4, kinds=KINDS)
    order, most = [], 0
    for _ in range(6):
        tasks = played.turns()
        order += job_ids(tasks)
        most = max(most, running(played, "Lines"))
        for task in tasks:
            played.done(task)
    assert most == 1
    assert order == [jobs[0].id] * 2 + [jobs[1].id] * 2
    assert [played.job(job).state for job in jobs] == [State.COMPLETED] * 2


def test_a_batch_job_with_hooks_counts_from_before_the_first_to_after_the_last(played):
    jobs = [played.add_batch(1, "Nightly", destroy_on_complete=False) for _ in range(2)]
    played.seat(slots=4, kinds=KINDS)
    for _ in range(3):
        (task,) = played.turns()
        assert job_ids([task]) == [jobs[0].id]
        assert played.store.limits() == {"Nightly": 1}
        played.done(task)
    (task,) = played.turns() or played.turns()
    assert (type(task), task.row.id) == (RunHook, jobs[1].id)
    assert played.job(jobs[0]).state is State.COMPLETED


def test_a_batch_job_at_its_limit_is_passed_by_others_of_other_kinds(played):
    for _ in range(30):
        played.add_batch(1, priority=1)
    copy = played.add_job("Copy")
    played.seat(slots=4, kinds=KINDS)
    assert job_ids(played.turns())[1:] == [copy.id]


def test_a_batch_job_is_the_only_one_that_is_worked_on_and_goes_on_at_its_limit(played, play):
    """As `penstock run` does it."""
    job = played.add_batch(3)
    server = play(played.store, name="chosen-1", chosen=Chosen(only=job.id))
    server.seat(slots=1, kinds=KINDS)
    for _ in range(3):
        (task,) = server.turns()
        server.done(task)
    server.turn()
    assert played.store.job(job.id) is None


def test_a_paused_limited_batch_job_queues_when_it_is_resumed_and_goes_on_in_its_turn(played):
    first, second = (played.add_batch(2, destroy_on_complete=False) for _ in range(2))
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    move_job(played.store, first.id, Move.PAUSE)
    played.done(task)
    (task,) = played.turns()
    assert task.job_id == second.id
    move_job(played.store, first.id, Move.RESUME)
    assert played.job(first).state is State.QUEUED
    played.done(task)
    (task,) = played.turns()
    assert task.job_id == second.id
    played.done(task)
    (task,) = played.turns() or played.turns()
    assert (task.job_id, task.number) == (first.id, 2)
    assert (played.job(first).state, played.job(first).sub_state) == (State.RUNNING, SubState.PROCESSING)


def test_a_failed_limited_batch_job_queues_when_it_is_retried(played):
    first, second = (played.add_batch(1, destroy_on_complete=False) for _ in range(2))
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    played.done(task, failure=WRONG)
    (task,) = played.turns() or played.turns()
    assert task.job_id == second.id
    assert move_job(played.store, first.id, Move.RETRY).state is State.QUEUED
    assert played.turns() == []
    assert played.store.limits() == {"Lines": 1}
    played.done(task)
    assert job_ids(played.turns() or played.turns()) == [first.id]


# Dependencies ------------------------------------------------------------------------------------


def test_a_job_waits_as_long_as_one_runs_that_it_depends_on(played):
    tiny, dependent = played.add_job("Tiny"), played.add_job("AfterTiny")
    played.seat(slots=5, kinds=KINDS)
    (task,) = played.turns()
    assert task.row.id == tiny.id
    assert played.turns() == []
    played.done(task)
    assert job_ids(played.turns()) == [dependent.id]


def test_a_dependency_taken_in_the_same_claim_holds_the_job_back(played):
    played.add_job("AfterTiny", priority=60)
    tiny = played.add_job("Tiny", priority=50)
    copy = played.add_job("Copy", priority=70)
    played.seat(slots=5, kinds=KINDS)
    assert job_ids(played.turns()) == [tiny.id, copy.id]


def test_a_job_that_only_waits_holds_back_nothing(played):
    dependent = played.add_job("AfterTiny")
    played.add_job("Tiny", run_at=penstock_clock.now() + timedelta(hours=1))
    played.seat(slots=5, kinds=KINDS)
    assert job_ids(played.turns()) == [dependent.id]


def test_a_job_that_started_is_not_stopped_by_one_that_it_depends_on(played):
    """Only its start depends on it."""
    job = played.add_batch(3, "LinesAfterTiny")
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    (tiny,) = played.store.claim_jobs([played.add_job("Tiny")], server="another", now=penstock_clock.now())
    played.done(task)
    (task,) = played.turns()
    assert (task.job_id, task.number) == (job.id, 2)
    assert played.job(tiny).state is State.RUNNING


def test_jobs_that_depend_on_their_own_kind_run_one_at_a_time(played):
    jobs = [played.add_job("Alone") for _ in range(3)]
    copy = played.add_job("Copy")
    played.seat(slots=5, kinds=KINDS)
    tasks = played.turns()
    assert job_ids(tasks) == [jobs[0].id, copy.id]
    played.done(tasks[0])
    assert job_ids(played.turns()) == [jobs[1].id]


def test_many_jobs_that_wait_for_another_kind_do_not_hide_what_is_behind_them(played):
    played.store.claim_jobs([played.add_job("Tiny")], server="another", now=penstock_clock.now())
    for _ in range(200):
        played.add_job("AfterTiny", priority=1)
    copy = played.add_job("Copy")
    played.seat(slots=5, kinds=KINDS)
    assert job_ids(played.turns()) == [copy.id]


# Kinds that rest ---------------------------------------------------------------------------------


def test_a_kind_that_a_throttle_holds_rests_until_its_moment_and_others_go_on(played):
    held, waiting = played.add_job("Tiny"), played.add_job("Tiny")
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    at = penstock_clock.now() + timedelta(seconds=5)
    played.answer(task, decided=Decision(Move.REQUEUE, at, "the disk is nearly full", True, None))
    copy = played.add_job("Copy")
    tasks = played.turns()
    assert job_ids(tasks) == [copy.id]
    played.done(tasks[0])
    assert played.turns() == []
    assert played.job(held).throttled_by == "the disk is nearly full"
    assert played.job(waiting).throttled_by is None
    assert played.dispatcher._turn() == at
    played.clock.advance(5)
    assert job_ids(played.turns()) == [held.id]


def test_a_job_that_a_throttle_holds_alone_rests_alone(played):
    held, other = played.add_job("Tiny"), played.add_job("Tiny")
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    at = penstock_clock.now() + timedelta(seconds=5)
    played.answer(task, decided=Decision(Move.REQUEUE, at, "not this one", False, None))
    (task,) = played.turns()
    assert task.row.id == other.id
    played.done(task)
    assert played.turns() == []
    assert played.dispatcher._turn() == at
    played.clock.advance(5)
    assert job_ids(played.turns()) == [held.id]


def test_slices_that_a_throttle_holds_rest_with_their_job(played):
    job = played.add_batch(3)
    played.seat(slots=1, kinds=KINDS)
    (task,) = played.turns()
    at = penstock_clock.now() + timedelta(seconds=5)
    reply = Decision(Move.REQUEUE, at, "the API is down", False, None)
    played.slice_done(task, done=0, decided=reply)
    assert played.turns() == []
    assert played.store.slice_counts(job.id) == {SliceState.QUEUED: 3}
    assert (played.job(job).state, played.job(job).throttled_by) == (State.RUNNING, "the API is down")
    played.clock.advance(5)
    (task,) = played.turns()
    assert (task.job_id, task.number, task.done) == (job.id, 1, 0)
    assert played.job(job).throttled_by is None


def test_a_batch_job_that_is_held_again_before_its_first_slice_says_since_when_it_was_first(played):
    job = played.add_batch(1, "Nightly")
    played.seat(slots=1, kinds=KINDS)
    since = penstock_clock.now()
    for _ in range(3):
        (task,) = played.turns()
        at = penstock_clock.now() + timedelta(seconds=5)
        played.answer(task, decided=Decision(Move.REQUEUE, at, "the disk is nearly full", False, None))
        assert played.turns() == []
        assert (played.job(job).throttled_by, played.job(job).throttled_at) == ("the disk is nearly full", since)
        played.clock.advance(5)
    (task,) = played.turns()
    played.done(task)
    assert isinstance(played.turns()[0], RunSlice)
    assert (played.job(job).throttled_by, played.job(job).throttled_at) == (None, None)


# A server at rest --------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["paused", "no worker yet"])
def test_a_server_that_claims_nothing_does_not_look_again_and_again_for_what_is_due(played, rest):
    """What it does not release stays due: a moment in the past would have it look again at once, without end."""
    if rest == "paused":
        played.seat(kinds=KINDS)
        played.dispatcher.pause()
    now = penstock_clock.now()
    played.add_job("Copy", run_at=now + timedelta(seconds=1))
    played.store.hold_job(played.add_job("Copy").id, until=now + timedelta(seconds=2), reason="held", now=now)
    played.turn()
    played.clock.advance(10)
    due = played.dispatcher._turn()
    assert due is None or due > penstock_clock.now()


def test_a_kind_that_rests_does_not_keep_a_paused_server_awake(played):
    played.add_job("Tiny")
    played.seat(kinds=KINDS)
    (task,) = played.turns()
    at = penstock_clock.now() + timedelta(seconds=5)
    played.answer(task, decided=Decision(Move.REQUEUE, at, "held", True, None))
    played.turns()
    played.dispatcher.pause()
    played.clock.advance(10)
    due = played.dispatcher._turn()
    assert due is None or due > penstock_clock.now()


# Any sequence ------------------------------------------------------------------------------------


@given(
    jobs=st.lists(
        st.tuples(st.sampled_from(["Copy", "Limited", "old_limited", "Wider"]), st.sampled_from([None, "g"]),
                  st.integers(1, 3)), max_size=25,
    ),
    steps=st.lists(st.tuples(st.sampled_from(["turn", "done", "crash", "other"]), st.integers(0, 9)), max_size=40),
    slots=st.integers(1, 6),
)  # fmt: skip
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_no_limit_is_passed_and_all_work_is_done(played, play, jobs, steps, slots):
    store = played.store
    for row in [*store.find_jobs(Query())]:
        store.destroy_job(row.id)
    for name in [row.name for row in store.servers()]:
        store.release_server(name)
    servers = [play(store, name="a"), play(store, name="b")]
    held = {}
    for server in servers:
        server.seat(slots=slots, kinds=KINDS)
        held[server] = []
    for kind, group, priority in jobs:
        servers[0].add_job(kind, throttle_group=group, priority=priority)

    def check():
        rows = list(store.find_jobs(Query(states=(State.RUNNING,))))
        of_limited = sum(row.kind in ("Limited", "old_limited") and row.throttle_group is None for row in rows)
        of_wider = sum(row.kind == "Wider" and row.throttle_group is None for row in rows)
        of_group = [row.kind for row in rows if row.throttle_group]
        assert of_limited <= 2
        assert of_wider <= 3
        assert len(of_group) <= 3 or "Copy" in of_group
        counted = Counter(row.limit_name for row in rows if row.limit_name)
        assert store.limits() == counted

    def take(server):
        held[server] += server.turns()
        check()

    for action, number in steps:
        server = servers[number % 2]
        if action == "turn" or not held[server]:
            take(server)
        elif action == "other":
            take(servers[1 - number % 2])
        else:
            task = held[server].pop(number % len(held[server]))
            if action == "done":
                server.done(task, seconds=0.01)
            else:
                # A worker dies with all that it holds: only this piece is to blame.
                lost, held[server] = held[server], []
                server.crash(task)
                server.seat(slots=slots, kinds=KINDS)
                del lost
            take(server)
    for _ in range(400):
        for server in servers:
            take(server)
            for task in held[server]:
                server.done(task, seconds=0.01)
            held[server] = []
        if not store.count_jobs(Query(states=(State.QUEUED, State.RUNNING))):
            break
    assert not store.count_jobs(Query(states=(State.QUEUED, State.RUNNING)))
    assert store.limits() == {}
