"""The states of a job and the one table of moves between them.

Guards, the store's CHECKs, console buttons, command help and the documentation all read `TRANSITIONS`.
Nothing here knows how a job is stored: `changes` tells which columns a move sets, and to what.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from penstock.errors import InvalidMove


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class SubState(StrEnum):
    """Where a running batch job is: in its `before_batch`, in its slices, or in its `after_batch`."""

    BEFORE = "before"
    PROCESSING = "processing"
    AFTER = "after"


class SliceState(StrEnum):
    """Where an input slice is. One that succeeded is gone."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"


class Move(StrEnum):
    """A named change of state."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    RESUBMIT = "resubmit"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    REQUEUE = "requeue"


FINAL = frozenset({State.COMPLETED, State.ABORTED})
"""States that a job does not leave, but for a batch job whose rejected records come back."""

ENDED = FINAL | {State.FAILED}
"""States in which `wait` returns."""

UNIQUE_STATES = (State.QUEUED, State.RUNNING, State.PAUSED)
"""States in which a job holds its unique key; the schemas of both engines have them in this order."""


class Effect(Enum):
    """What a move writes into a column."""

    NOW = "the moment of the move"
    GIVEN = "what the mover hands in, or nothing"
    CLEAR = "nothing"
    ADD_ONE = "one more"
    ZERO = "zero"
    HUNDRED = "one hundred"


class Guard(StrEnum):
    """A condition on the job, beside its state."""

    PAUSABLE = "pausable"
    NOT_STARTED = "not started"
    LIMITED = "counted against a limit"
    UNLIMITED = "not counted against a limit"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: what `move` does to a job in `source`."""

    move: Move
    source: State
    target: State
    batch: bool
    effects: tuple[tuple[str, Effect], ...]
    sub_states: tuple[SubState | None, ...] | None = None
    """The sub-states it applies to; None means any."""
    sub_state: SubState | None = None
    """The sub-state afterwards. None clears it."""
    keep_sub_state: bool = False
    guard: Guard | None = None


Q, R, P, C, F, A = State
BEFORE, PROCESSING, AFTER = SubState

_START = (
    ("started_at", Effect.NOW),
    ("server", Effect.GIVEN),
    ("worker", Effect.GIVEN),
    ("attempt", Effect.ADD_ONE),
)
_OFF_WORKER = (("server", Effect.CLEAR), ("worker", Effect.CLEAR))
_END = (("completed_at", Effect.NOW), *_OFF_WORKER)
_COMPLETE = (*_END, ("percent_complete", Effect.HUNDRED), ("exception", Effect.CLEAR))
_FAIL = (*_END, ("failure_count", Effect.ADD_ONE), ("exception", Effect.GIVEN))
_RETRY = (
    ("completed_at", Effect.CLEAR),
    ("exception", Effect.CLEAR),
    ("crash_count", Effect.ZERO),
    *_OFF_WORKER,
)
_RETRY_FROM_START = (*_RETRY, ("started_at", Effect.CLEAR))
_RESUME = (("completed_at", Effect.CLEAR),)
_REQUEUE = (("started_at", Effect.CLEAR), *_OFF_WORKER)

_T = Transition
TRANSITIONS: tuple[Transition, ...] = (
    # Regular jobs.
    _T(Move.START, Q, R, False, _START),
    _T(Move.COMPLETE, R, C, False, _COMPLETE),
    _T(Move.FAIL, Q, F, False, _FAIL),
    _T(Move.FAIL, R, F, False, _FAIL),
    _T(Move.FAIL, P, F, False, _FAIL),
    _T(Move.RETRY, F, Q, False, _RETRY),
    _T(Move.PAUSE, Q, P, False, _END),
    _T(Move.PAUSE, R, P, False, _END, guard=Guard.PAUSABLE),
    _T(Move.RESUME, P, Q, False, (*_RESUME, *_REQUEUE)),
    _T(Move.ABORT, Q, A, False, _END),
    _T(Move.ABORT, R, A, False, _END),
    _T(Move.ABORT, P, A, False, _END),
    _T(Move.ABORT, F, A, False, _END),
    _T(Move.REQUEUE, R, Q, False, _REQUEUE),
    # Batch jobs: the sub-state decides where a retry or a requeue goes on.
    _T(Move.START, Q, R, True, _START, sub_states=(None, BEFORE), sub_state=BEFORE),
    _T(Move.START, Q, R, True, _START, sub_states=(PROCESSING,), sub_state=PROCESSING),
    _T(Move.COMPLETE, R, C, True, _COMPLETE, sub_states=(PROCESSING, AFTER)),
    # A queued one has a sub-state only where it queued because of its limit.
    _T(Move.FAIL, Q, F, True, _FAIL, keep_sub_state=True),
    _T(Move.FAIL, R, F, True, _FAIL, keep_sub_state=True),
    _T(Move.FAIL, P, F, True, _FAIL, keep_sub_state=True),
    _T(Move.RETRY, F, Q, True, _RETRY_FROM_START, sub_states=(None, BEFORE)),
    # Running again without a claim might pass its limit: it queues, and goes on where it was.
    _T(Move.RETRY, F, Q, True, _RETRY, sub_states=(PROCESSING, AFTER), sub_state=PROCESSING, guard=Guard.LIMITED),
    _T(Move.RETRY, F, R, True, _RETRY, sub_states=(PROCESSING, AFTER), sub_state=PROCESSING, guard=Guard.UNLIMITED),
    # Records that were rejected come back, corrected.
    _T(Move.RESUBMIT, C, Q, True, _RETRY, sub_state=PROCESSING, guard=Guard.LIMITED),
    _T(Move.RESUBMIT, C, R, True, _RETRY, sub_state=PROCESSING, guard=Guard.UNLIMITED),
    _T(Move.PAUSE, Q, P, True, _END, keep_sub_state=True),
    _T(Move.PAUSE, R, P, True, _END, sub_states=(PROCESSING,), keep_sub_state=True),
    _T(Move.RESUME, P, Q, True, _RESUME, sub_states=(None,), guard=Guard.NOT_STARTED),
    _T(Move.RESUME, P, Q, True, _RESUME, sub_states=(PROCESSING,), keep_sub_state=True, guard=Guard.LIMITED),
    _T(Move.RESUME, P, R, True, _RESUME, sub_states=(PROCESSING,), keep_sub_state=True, guard=Guard.UNLIMITED),
    _T(Move.ABORT, Q, A, True, _END),
    _T(Move.ABORT, R, A, True, _END),
    _T(Move.ABORT, P, A, True, _END),
    _T(Move.ABORT, F, A, True, _END),
    _T(Move.REQUEUE, R, Q, True, _REQUEUE, sub_states=(None, BEFORE)),
    _T(Move.REQUEUE, R, R, True, _OFF_WORKER, sub_states=(PROCESSING, AFTER), sub_state=PROCESSING),
)


class ServerState(StrEnum):
    """Where a server is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


class Command(StrEnum):
    """What can be asked of a server from elsewhere."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    KILL = "kill"
    DUMP = "dump"


_ANY = tuple(ServerState)
COMMANDS: Mapping[Command, tuple[tuple[ServerState, ...], str]] = {
    Command.PAUSE: ((ServerState.STARTING, ServerState.RUNNING), "claims nothing more; what runs is finished"),
    Command.RESUME: ((ServerState.PAUSED,), "claims again"),
    Command.STOP: (_ANY, "finishes what runs, hands the rest back, and ends"),
    Command.KILL: (_ANY, "ends at once; what it held is queued again, without blame"),
    Command.DUMP: (_ANY, "tells what each thread of its workers does"),
}
"""The commands, with the states of a server in which each applies, and what it then does."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the table looks at: the part of a job that decides which moves apply."""

    state: State
    batch: bool
    sub_state: SubState | None = None
    started: bool = False
    pausable: bool = False
    limited: bool = False


def find_transition(move: Move, standing: Standing) -> Transition | None:
    """Return the row for `move` on a job that stands so, or None when the move does not apply."""
    return next((row for row in TRANSITIONS if row.move is move and _applies(row, standing)), None)


def moves_from(standing: Standing) -> list[Move]:
    """Return the moves that apply, in the order of `Move`."""
    return [move for move in Move if find_transition(move, standing)]


def transition(move: Move, standing: Standing) -> Transition:
    """Return the row for `move`.

    Raises:
        InvalidMove: the move does not apply; the message names the moves that do.
    """
    row = find_transition(move, standing)
    if row is None:
        raise InvalidMove(_refusal(move, standing))
    return row


def changes(
    row: Transition, job: Mapping[str, Any], *, now: datetime, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the columns that the move sets, with their values.

    Args:
        row: The row of the table.
        job: The columns of the job before the move; only counted ones and `sub_state` are read.
        now: The moment written where the table says so.
        given: Values for `Effect.GIVEN`; what is missing becomes None.
    """
    given = given or {}
    values: dict[str, Any] = {"state": row.target}
    values["sub_state"] = job["sub_state"] if row.keep_sub_state else row.sub_state
    for column, effect in row.effects:
        values[column] = _value(column, effect, job, now, given)
    return values


def _value(column: str, effect: Effect, job: Mapping[str, Any], now: datetime, given: Mapping[str, Any]) -> Any:
    match effect:
        case Effect.NOW:
            return now
        case Effect.GIVEN:
            return given.get(column)
        case Effect.ADD_ONE:
            return job[column] + 1
        case Effect.ZERO:
            return 0
        case Effect.HUNDRED:
            return 100
        case Effect.CLEAR:
            return None


def _applies(row: Transition, standing: Standing) -> bool:
    return (
        row.source is standing.state
        and row.batch is standing.batch
        and (row.sub_states is None or standing.sub_state in row.sub_states)
        and _GUARDS[row.guard](standing)
    )


_GUARDS: dict[Guard | None, Callable[[Standing], bool]] = {
    None: lambda _: True,
    Guard.PAUSABLE: lambda standing: standing.pausable,
    Guard.NOT_STARTED: lambda standing: not standing.started,
    Guard.LIMITED: lambda standing: standing.limited,
    Guard.UNLIMITED: lambda standing: not standing.limited,
}


def _refusal(move: Move, standing: Standing) -> str:
    where = standing.state if standing.sub_state is None else f"{standing.state} ({standing.sub_state})"
    return f"cannot {move} a job that is {where}; what applies: {_listing(moves_from(standing))}"


def _listing(words: Iterable[str]) -> str:
    return ", ".join(words) or "nothing, it has ended"
