"""Which moves explain a change of a job's row: the table of `states.py`, read the other way round."""

from datetime import UTC, datetime
from typing import Any

from tests.process.machine.watching import Change, Row

from penstock.states import Effect, Move, Standing, State, SubState, Transition, changes, find_transition

PAUSABLE = {"Held"}
_CORE = ("state", "sub_state", "attempt", "failure_count")
_MOVED = ("started_at", "completed_at", "server", "worker", "attempt", "failure_count", "crash_count", "exception")
_EPOCH = datetime.fromtimestamp(0, UTC)
_RETRIED_BY_ITSELF = {"Tries", "TriedLines"}

Explanation = tuple[Move | str, ...]


def standing_of(row: Row, *, knows: bool = True) -> Standing:
    """Return how a job stands, for somebody who knows its class or does not."""
    return Standing(
        state=State(row["state"]),
        batch=bool(row["batch"]),
        sub_state=row["sub_state"] and SubState(row["sub_state"]),
        started=row["started_at"] is not None,
        pausable=knows and row["kind"] in PAUSABLE,
        limited=row["limit_name"] is not None,
    )


def applies(move: Move, row: Row, *, knows: bool = True) -> bool:
    """Tell whether a move applies."""
    return find_transition(move, standing_of(row, knows=knows)) is not None


def explain(change: Change) -> Explanation | None:
    """Return what was done by a change that somebody made to a row: moves, or a step in the life of a batch job.

    An empty answer means that it was no move; None, that nothing in the table explains it.
    """
    old, new = change.old, change.new
    assert old
    assert new
    if all(old[name] == new[name] for name in _CORE):
        return () if _is_still(old, new) else None
    for move in Move:
        row = find_transition(move, standing_of(old))
        if row is not None and _follows(row, old, new):
            return (move,)
    failed = find_transition(Move.FAIL, standing_of(old))
    if failed is not None and old["kind"] in _RETRIED_BY_ITSELF:
        between = {**old, **_written(failed, old), "exception": new["exception"]}
        again = find_transition(Move.RETRY, standing_of(between))
        if again is not None and new["exception"] is not None and _follows(again, between, new):
            return (Move.FAIL, Move.RETRY)
    return _step(old, new)


def _step(old: Row, new: Row) -> Explanation | None:
    """Return the step of a running batch job from one part of its life to the next."""
    if (old["state"], new["state"], bool(old["batch"])) != ("running", "running", True):
        return None
    match old["sub_state"], new["sub_state"], new["attempt"] - old["attempt"]:
        case "before", "processing", 0:
            return ("process",)
        case "processing", "after", 1:
            return ("finish",)
    return None


def _is_still(old: Row, new: Row) -> bool:
    """Tell whether a change that is no move leaves alone what only moves change."""
    # What a hook raises after a move that cannot be followed by failing is kept; so are the workers that it killed.
    # And the server lets go of one that somebody else has moved on.
    return all(old[name] == new[name] for name in _MOVED if name not in ("exception", "crash_count", "server"))


def _written(row: Transition, old: Row) -> dict[str, Any]:
    written = changes(row, old, now=_EPOCH, given=old)
    return {name: str(value) if name in ("state", "sub_state") and value else value for name, value in written.items()}


def _follows(row: Transition, old: Row, new: Row) -> bool:
    written = _written(row, old)
    if (new["state"], new["sub_state"]) != (written["state"], written["sub_state"]):
        return False
    effects = dict(row.effects)
    return all(_is_as_told(name, effects.get(name), row.move, old, new) for name in (*_MOVED, "percent_complete"))


def _is_as_told(name: str, effect: Effect | None, move: Move, old: Row, new: Row) -> bool:
    match effect:
        case Effect.NOW:
            return new[name] is not None
        case Effect.GIVEN:
            return True
        case Effect.ADD_ONE:
            return bool(new[name] == old[name] + 1)
        case Effect.ZERO:
            return bool(new[name] == 0)
        case Effect.HUNDRED:
            return bool(new[name] == 100)
        case Effect.CLEAR:
            # What `Retry` tries again keeps its exception to be seen.
            kept = name == "exception" and new["kind"] in _RETRIED_BY_ITSELF and move is Move.RETRY
            # A move that somebody makes does not take a job from the server whose worker still runs its code.
            return new[name] is None or kept or (name == "server" and new[name] == old[name])
    if name == "crash_count":
        return new[name] in (0, old[name], old[name] + 1)
    return bool(new[name] == old[name])
