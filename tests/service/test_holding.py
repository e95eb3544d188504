"""Why jobs wait."""

from datetime import timedelta

import pytest

import penstock
from penstock import clock as penstock_clock
from penstock.model.failure import Failure
from penstock.service.holding import why_waiting
from penstock.states import State, SubState

pytestmark = pytest.mark.usefixtures("clock")
FREE = {"limit": None, "depends_on": []}


@pytest.fixture
def why(store):
    """Return a function that tells why one job waits, as the store has it now."""

    def tell(row):
        fresh = store.job(row.id)
        return why_waiting(store, [fresh])[row.id]

    return tell


def start(store, *rows, limit=None):
    for row in rows:
        row.limit_name = limit
    assert store.claim_jobs(rows, server="s1", now=penstock_clock.now()) == list(rows)


# Nothing to tell ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.ABORTED])
def test_a_job_that_has_ended_waits_for_nothing(why, add_job, state):
    assert why(add_job(state=state)) is None


def test_a_job_that_waits_its_turn_or_runs_has_no_reason(why, store, add_job, add_server):
    add_server(kinds=["Copy"])
    waits, runs = add_job(), add_job()
    start(store, runs)
    assert (why(waits), why(runs)) == (None, None)


# Persons and times -------------------------------------------------------------------------------


def test_a_paused_job_tells_since_when(why, store, add_job):
    row = add_job(state=State.PAUSED, completed_at=penstock_clock.now())
    assert why(row) == "paused since 2026-01-01 00:00:00 UTC"


def test_a_scheduled_job_tells_its_time_in_the_zone_of_the_settings(why, add_job, add_server):
    penstock.configure(timezone="Europe/Berlin")
    row = add_job(run_at=penstock_clock.now() + timedelta(hours=1))
    assert why(row) == "scheduled at 2026-01-01 02:00:00 CET"


def test_a_job_that_failed_and_will_be_tried_again_says_so(why, add_job):
    failure = Failure("ValueError", "no").to_json()
    row = add_job(run_at=penstock_clock.now() + timedelta(hours=1), exception=failure)
    assert why(row) == "failed, to be tried again at 2026-01-01 01:00:00 UTC"
    rests = add_job(
        batch=True,
        state=State.RUNNING,
        sub_state=SubState.PROCESSING,
        exception=failure,
        held_until=penstock_clock.now() + timedelta(hours=1),
    )
    assert why(rests) == "failed, to be tried again until 2026-01-01 01:00:00 UTC"


# Servers -----------------------------------------------------------------------------------------


def test_without_a_server_or_with_dead_ones_only_that_is_said(why, store, add_job, add_server):
    queued = add_job()
    running = add_job(batch=True, state=State.RUNNING, sub_state=SubState.PROCESSING)
    assert (why(queued), why(running)) == ("no server is running",) * 2
    add_server(kinds=["Copy"], alive=False)
    assert (why(queued), why(running)) == ("no server is running",) * 2


def test_a_kind_that_no_server_knows_is_named(why, add_job, add_server):
    add_server(kinds=["Copy"])
    assert why(add_job("Other")) == "no server knows kind Other"


def test_a_server_that_starts_may_come_to_know_the_kind(why, add_job, add_server):
    add_server(state="starting")
    assert why(add_job()) == "the server is starting"


@pytest.mark.parametrize("state", ["paused", "stopping"])
def test_servers_that_claim_nothing_are_said_to(why, add_job, add_server, state):
    add_server("s1", ["Copy"], state=state)
    add_server("s2", ["Other"])
    row = add_job()
    assert why(row) == f"all servers that know it are {state}"
    add_server("s3", ["Copy"])
    assert why(row) is None


def test_a_server_that_works_on_another_job_alone_does_not_count(why, add_job, add_server):
    mine, other = add_job(), add_job()
    add_server(kinds={"Copy": {**FREE, "only": str(mine.id)}})
    assert (why(mine), why(other)) == (None, "no server knows kind Copy")


# Throttles ---------------------------------------------------------------------------------------


def test_a_held_job_tells_the_stored_reason_since_when_and_until_when(why, store, clock, add_job):
    row = add_job()
    now = clock.now()
    store.hold_job(row.id, until=now + timedelta(seconds=90), reason="the disk is nearly full", now=now)
    text = "the disk is nearly full since 2026-01-01 00:00:00 UTC until 2026-01-01 00:01:30 UTC"
    assert why(row) == text
    clock.advance(30)
    store.hold_job(row.id, until=now + timedelta(seconds=90), reason="the disk is nearly full", now=clock.now())
    assert why(row) == text


def test_a_running_batch_job_whose_slices_rest_tells_why(why, store, clock, add_job, add_server):
    add_server(kinds=["Copy"])
    row = add_job(batch=True, state=State.RUNNING, sub_state=SubState.PROCESSING)
    assert why(row) is None
    store.hold_job(row.id, until=clock.now() + timedelta(seconds=5), reason="night", now=clock.now())
    assert why(row) == "night since 2026-01-01 00:00:00 UTC until 2026-01-01 00:00:05 UTC"


def test_a_reason_for_the_whole_kind_is_told_of_the_job_that_was_asked_and_of_those_behind_it(
    why, store, clock, add_job, add_server
):
    add_server(kinds=["Copy", "Other"])
    head, behind, other = add_job(priority=1), add_job(), add_job("Other")
    store.update_job(head.id, {"throttled_by": "the disk is full", "throttled_at": clock.now()})
    assert why(head) == "the disk is full since 2026-01-01 00:00:00 UTC"
    assert why(behind) == f"the disk is full since 2026-01-01 00:00:00 UTC, as job {head.id} before it"
    assert why(other) is None


def test_a_full_limit_is_told_with_its_numbers(why, store, add_job, add_server):
    add_server(kinds={"Copy": {"limit": 2, "depends_on": []}})
    first, second, third = (add_job() for _ in range(3))
    start(store, first, limit="Copy")
    assert why(third) is None
    start(store, second, limit="Copy")
    assert why(third) == "2 of 2 running under limit Copy"


def test_a_limit_of_a_group_counts_the_group(why, store, add_job, add_server):
    add_server(kinds={"Copy": {"limit": 1, "depends_on": []}})
    runs, waits = add_job(throttle_group="eu"), add_job(throttle_group="eu")
    other, alone = add_job(throttle_group="us"), add_job()
    start(store, runs, limit="eu")
    assert (why(waits), why(other), why(alone)) == ("1 of 1 running under limit eu", None, None)


def test_an_alias_is_counted_with_its_class(why, store, add_job, add_server):
    add_server(kinds={"old": {"limit": 1, "depends_on": [], "name": "New"}, "New": {"limit": 1, "depends_on": []}})
    runs, waits = add_job("New"), add_job("old")
    start(store, runs, limit="New")
    assert why(waits) == "1 of 1 running under limit New"


def test_a_kind_that_must_not_run_at_the_same_time_is_named(why, store, add_job, add_server):
    add_server(kinds={"Copy": {"limit": None, "depends_on": ["Import", "Load"]}, "Load": FREE})
    load, waits = add_job("Load"), add_job()
    assert why(waits) is None
    start(store, load)
    assert why(waits) == "a Load runs, beside which it must not run"


def test_the_server_that_allows_most_decides(why, store, add_job, add_server):
    add_server("s1", {"Copy": {"limit": 1, "depends_on": []}})
    runs, waits = add_job(), add_job()
    start(store, runs, limit="Copy")
    assert why(waits) == "1 of 1 running under limit Copy"
    add_server("s2", {"Copy": {"limit": 2, "depends_on": []}})
    assert why(waits) is None


# Cost --------------------------------------------------------------------------------------------


def test_servers_and_limits_are_read_once_whatever_the_number_of_jobs(store, add_job, add_server, monkeypatch):
    add_server(kinds={"Copy": {"limit": 1, "depends_on": ["Load"]}})
    rows = [add_job() for _ in range(100)]
    start(store, rows[0], limit="Copy")
    read = []
    for name in ("servers", "limits", "any_running", "candidates", "is_present", "job", "find_jobs"):
        method = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *a, _m=method, _n=name, **k: read.append(_n) or _m(*a, **k))
    reasons = why_waiting(store, rows)
    assert list(reasons.values()) == [None, *["1 of 1 running under limit Copy"] * 99]
    assert sorted(read) == ["any_running", "is_present", "limits", "servers"]


def test_the_job_at_the_head_of_a_kind_is_read_once(store, add_job, add_server, monkeypatch):
    add_server(kinds=["Copy"])
    rows = [add_job() for _ in range(100)]
    read = []
    candidates = store.candidates
    monkeypatch.setattr(store, "candidates", lambda *a, **k: read.append(a) or candidates(*a, **k))
    assert set(why_waiting(store, rows).values()) == {None}
    assert len(read) == 1
