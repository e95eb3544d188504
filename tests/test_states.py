"""The table of moves, against one written here from the description of the original.

Differences that are meant: `resume` of a regular job queues it (its attempt ended with the pause), a batch job is
completed only from its slices or its `after_batch`, and one that counts against a limit queues where it would
otherwise run again at once.
"""

import itertools
import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidMove
from penstock.states import (
    ENDED,
    FINAL,
    TRANSITIONS,
    Move,
    ServerState,
    SliceState,
    Standing,
    State,
    SubState,
    changes,
    find_transition,
    moves_from,
    transition,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ANY = (None, "before", "processing", "after")
NONE = (None,)
CLEARED = "cleared"
KEPT = "kept"

# move, batch, state before, sub-states before, condition, state after, sub-state after
EXPECTED = [
    ("start", False, "queued", ANY, None, "running", CLEARED),
    ("complete", False, "running", ANY, None, "completed", CLEARED),
    ("fail", False, "queued", ANY, None, "failed", CLEARED),
    ("fail", False, "running", ANY, None, "failed", CLEARED),
    ("fail", False, "paused", ANY, None, "failed", CLEARED),
    ("retry", False, "failed", ANY, None, "queued", CLEARED),
    ("pause", False, "queued", ANY, None, "paused", CLEARED),
    ("pause", False, "running", ANY, "pausable", "paused", CLEARED),
    ("resume", False, "paused", ANY, None, "queued", CLEARED),
    ("abort", False, "queued", ANY, None, "aborted", CLEARED),
    ("abort", False, "running", ANY, None, "aborted", CLEARED),
    ("abort", False, "paused", ANY, None, "aborted", CLEARED),
    ("abort", False, "failed", ANY, None, "aborted", CLEARED),
    ("requeue", False, "running", ANY, None, "queued", CLEARED),
    ("start", True, "queued", (None, "before"), None, "running", "before"),
    ("start", True, "queued", ("processing",), None, "running", "processing"),
    ("complete", True, "running", ("processing", "after"), None, "completed", CLEARED),
    ("fail", True, "queued", ANY, None, "failed", KEPT),
    ("fail", True, "running", ANY, None, "failed", KEPT),
    ("fail", True, "paused", ANY, None, "failed", KEPT),
    ("retry", True, "failed", (None, "before"), None, "queued", CLEARED),
    ("retry", True, "failed", ("processing", "after"), "limited", "queued", "processing"),
    ("retry", True, "failed", ("processing", "after"), "unlimited", "running", "processing"),
    ("resubmit", True, "completed", ANY, "limited", "queued", "processing"),
    ("resubmit", True, "completed", ANY, "unlimited", "running", "processing"),
    ("pause", True, "queued", ANY, None, "paused", KEPT),
    ("pause", True, "running", ("processing",), None, "paused", KEPT),
    ("resume", True, "paused", NONE, "not started", "queued", CLEARED),
    ("resume", True, "paused", ("processing",), "limited", "queued", KEPT),
    ("resume", True, "paused", ("processing",), "unlimited", "running", KEPT),
    ("abort", True, "queued", ANY, None, "aborted", CLEARED),
    ("abort", True, "running", ANY, None, "aborted", CLEARED),
    ("abort", True, "paused", ANY, None, "aborted", CLEARED),
    ("abort", True, "failed", ANY, None, "aborted", CLEARED),
    ("requeue", True, "running", (None, "before"), None, "queued", CLEARED),
    ("requeue", True, "running", ("processing", "after"), None, "running", "processing"),
]


def expected(move, standing):
    """Return (state, sub-state) after the move by the table above, or None."""
    for name, batch, before, sub_states, condition, after, sub_state in EXPECTED:
        holds = {
            None: True,
            "pausable": standing.pausable,
            "limited": standing.limited,
            "unlimited": not standing.limited,
            "not started": not standing.started,
        }[condition]
        same = (name, batch, before) == (move, standing.batch, standing.state)
        if same and holds and standing.sub_state in sub_states:
            return after, {CLEARED: None, KEPT: standing.sub_state}.get(sub_state, sub_state)
    return None


STANDINGS = [
    Standing(state, batch, sub_state, started, pausable, limited)
    for state, batch, sub_state, started, pausable, limited in itertools.product(
        State, (False, True), (None, *SubState), (False, True), (False, True), (False, True)
    )
]


@pytest.mark.parametrize("move", Move)
def test_each_move_applies_to_exactly_the_standings_of_the_description(move):
    for standing in STANDINGS:
        row = find_transition(move, standing)
        wanted = expected(move, standing)
        if row is None:
            assert wanted is None, standing
        else:
            values = changes(row, {"sub_state": standing.sub_state, "attempt": 0, "failure_count": 0}, now=NOW)
            assert (values["state"], values["sub_state"]) == wanted, standing


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_left_only_by_records_that_come_back(state):
    assert {row.move for row in TRANSITIONS if row.source is state and row.batch} <= {Move.RESUBMIT}
    assert not any(row.source is state for row in TRANSITIONS if not row.batch)


def test_every_state_that_is_not_final_can_be_left():
    assert {row.source for row in TRANSITIONS if row.move is not Move.RESUBMIT} == set(State) - FINAL
    assert set(State) - ENDED == {State.QUEUED, State.RUNNING, State.PAUSED}


def test_at_most_one_row_applies():
    for move, standing in itertools.product(Move, STANDINGS):
        rows = [row for row in TRANSITIONS if row.move is move and _applies(row, standing)]
        assert len(rows) <= 1


def _applies(row, standing):
    return (
        (row.source, row.batch) == (standing.state, standing.batch)
        and (row.sub_states is None or standing.sub_state in row.sub_states)
        and {
            None: True,
            "pausable": standing.pausable,
            "counted against a limit": standing.limited,
            "not counted against a limit": not standing.limited,
            "not started": not standing.started,
        }[row.guard]
    )


BEFORE = {
    "sub_state": None,
    "attempt": 4,
    "failure_count": 2,
    "crash_count": 1,
    "started_at": NOW,
    "completed_at": NOW,
    "server": "s",
    "worker": "w",
    "percent_complete": 30,
    "exception": "{}",
}
OFF_WORKER = {"server": None, "worker": None}
END = {"completed_at": NOW, **OFF_WORKER}
RETRY = {"completed_at": None, "exception": None, "crash_count": 0, **OFF_WORKER}


@pytest.mark.parametrize(
    ("move", "standing", "effects"),
    [
        ("start", Standing(State.QUEUED, False), {"started_at": NOW, "server": "S", "worker": "W", "attempt": 5}),
        ("start", Standing(State.QUEUED, True), {"started_at": NOW, "server": "S", "worker": "W", "attempt": 5}),
        ("complete", Standing(State.RUNNING, False), {**END, "percent_complete": 100, "exception": None}),
        (
            "complete",
            Standing(State.RUNNING, True, SubState.AFTER),
            {**END, "percent_complete": 100, "exception": None},
        ),
        ("fail", Standing(State.QUEUED, False), {**END, "failure_count": 3, "exception": "E"}),
        ("fail", Standing(State.RUNNING, True), {**END, "failure_count": 3, "exception": "E"}),
        ("retry", Standing(State.FAILED, False), RETRY),
        ("retry", Standing(State.FAILED, True), {**RETRY, "started_at": None}),
        ("retry", Standing(State.FAILED, True, SubState.PROCESSING), RETRY),
        ("pause", Standing(State.QUEUED, False), END),
        ("pause", Standing(State.RUNNING, False, pausable=True), END),
        ("pause", Standing(State.RUNNING, True, SubState.PROCESSING), END),
        ("resume", Standing(State.PAUSED, False), {"completed_at": None, "started_at": None, **OFF_WORKER}),
        ("resume", Standing(State.PAUSED, True), {"completed_at": None}),
        ("resume", Standing(State.PAUSED, True, SubState.PROCESSING, started=True), {"completed_at": None}),
        ("abort", Standing(State.FAILED, False), END),
        ("abort", Standing(State.RUNNING, True, SubState.BEFORE), END),
        ("requeue", Standing(State.RUNNING, False), {"started_at": None, **OFF_WORKER}),
        ("requeue", Standing(State.RUNNING, True, SubState.BEFORE), {"started_at": None, **OFF_WORKER}),
        ("requeue", Standing(State.RUNNING, True, SubState.AFTER), OFF_WORKER),
    ],
)
def test_a_move_sets_and_clears_these_columns_and_no_others(move, standing, effects):
    row = transition(Move(move), standing)
    handed_in = {"server": "S", "worker": "W", "exception": "E"}
    values = changes(row, BEFORE, now=NOW, given=handed_in)
    assert {name: value for name, value in values.items() if name not in ("state", "sub_state")} == effects


def test_what_is_not_handed_in_is_nothing():
    row = transition(Move.START, Standing(State.QUEUED, False))
    values = changes(row, BEFORE, now=NOW)
    assert (values["server"], values["worker"]) == (None, None)


@pytest.mark.parametrize("standing", STANDINGS)
def test_a_refusal_names_the_state_and_the_moves_that_apply(standing):
    applying = moves_from(standing)
    assert applying == [move for move in Move if expected(move, standing)]
    for move in set(Move) - set(applying):
        with pytest.raises(InvalidMove) as caught:
            transition(move, standing)
        message = str(caught.value)
        head, _, listed = message.partition("; what applies: ")
        assert head.startswith(f"cannot {move} a job that is {standing.state}")
        assert listed == (", ".join(applying) or "nothing, it has ended")


@given(st.lists(st.sampled_from(list(Move)), max_size=30), st.booleans(), st.booleans())
def test_whatever_is_asked_a_job_stays_in_a_standing_of_the_table(moves, batch, pausable):
    job = {**BEFORE, "state": State.QUEUED, "started_at": None, "completed_at": None}
    for move in moves:
        started = job["started_at"] is not None
        standing = Standing(job["state"], batch, job["sub_state"], started, pausable)
        row = find_transition(move, standing)
        if row is None:
            continue
        job |= changes(row, job, now=NOW)
        # A regular job never has a sub-state; a queued one is on no worker and was not started or is a retry.
        assert batch or job["sub_state"] is None
        assert job["state"] is State.RUNNING or job["server"] is None
        assert (job["completed_at"] is not None) == (job["state"] in {*ENDED, State.PAUSED})
        assert not (batch and job["state"] is State.QUEUED and job["started_at"])
        if job["state"] not in FINAL:
            assert Move.ABORT in moves_from(Standing(job["state"], batch, job["sub_state"]))


class TestSqlChecks:
    @pytest.mark.parametrize("engine", ["sqlite", "postgres"])
    @pytest.mark.parametrize(
        ("table", "column", "values"),
        [
            ("jobs", "state", State),
            ("jobs", "sub_state", SubState),
            ("slices", "state", SliceState),
            ("servers", "state", ServerState),
        ],
    )
    def test_the_database_allows_exactly_the_states_of_the_table(self, engine, table, column, values):
        folder = files("penstock.store") / "sql" / f"{engine}_migrations"
        script = "\n".join(entry.read_text("utf-8") for entry in folder.iterdir())
        for body in re.findall(rf"CREATE TABLE (?:{{schema}}\.)?{table}(?:_of_now)? \((.*?)\n\)", script, re.DOTALL):
            (check,) = re.findall(rf"CHECK \(\s*({column} (?:IN \(|= )[^)]*)\)", body)
            assert re.findall(r"'(\w+)'", check) == [str(value) for value in values]
            assert set(re.findall(r"(\w+) (?:=|IN)", check)) == {column}
