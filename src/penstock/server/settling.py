"""From what a worker said to what the store is told: the table of moves applied to a claimed piece."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.batch.categories import MAIN
from penstock.model.failure import Failure, parse_failure
from penstock.server.messages import JobDone, SliceDone
from penstock.states import Move, Standing, State, SubState, changes, transition
from penstock.store.rows import ClaimedSlice, JobRow, JobSettlement, SliceSettlement

MOST_CRASHES = 3
"""Worker processes that a piece of work may take with it before it is failed for good."""


@dataclass(frozen=True, slots=True)
class HeldSlice:
    """A slice this server has claimed."""

    job_id: UUID
    kind: str
    claimed: ClaimedSlice


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A regular job this server has claimed."""

    row: JobRow


@dataclass(frozen=True, slots=True)
class HeldHook:
    """A moment of a batch job, `before_batch` or `after_batch`, that this server has claimed."""

    row: JobRow
    moment: str


def settlement_of_slice(held: HeldSlice, done: SliceDone) -> SliceSettlement:
    """Return what is stored about a slice that a worker is through with."""
    return SliceSettlement(
        job_id=held.job_id,
        slice_id=held.claimed.slice_id,
        category=MAIN,
        number=held.claimed.number,
        attempt=held.claimed.attempt,
        start=held.claimed.done,
        done=done.done,
        outputs=tuple(done.outputs),
        exception=done.failure,
    )


def settlement_of_job(held: HeldJob, done: JobDone, now: datetime) -> JobSettlement:
    """Return what is stored about a regular job that a worker is through with."""
    row = held.row
    if done.failure is not None:
        values = move_values(row, Move.FAIL, now, {"exception": done.failure})
        return JobSettlement(row.id, row.attempt, values, done.fields)
    if row.destroy_on_complete and not (done.columns or done.fields or done.result):
        return JobSettlement(row.id, row.attempt, None)
    values = {**done.columns, **move_values(row, Move.COMPLETE, now), "result": done.result}
    return JobSettlement(row.id, row.attempt, values, done.fields)


def values_after_hook(held: HeldHook, done: JobDone, now: datetime) -> dict[str, Any]:
    """Return the columns that the end of a hook sets: a failure, or the next part of the batch job's life."""
    row = held.row
    if done.failure is not None:
        return move_values(row, Move.FAIL, now, {"exception": done.failure})
    changed = {**done.columns, **({"fields": done.fields} if done.fields else {})}
    if held.moment == "before_batch":
        return {**changed, "sub_state": SubState.PROCESSING, "server": None, "worker": None}
    return {**changed, **move_values(row, Move.COMPLETE, now)}


def crash_of_slice(held: HeldSlice, evidence: str, place: int, worker_name: str) -> SliceSettlement:
    """Return the failure of a slice that has killed too many workers."""
    claimed = held.claimed
    last = claimed.first_record + claimed.record_count - 1
    where = f"at record {place}" if place else f"in records {claimed.first_record + claimed.done} to {last}"
    failure = Failure("WorkerCrashed", f"{where}, {MOST_CRASHES} times; {evidence}", [], worker_name, place or None)
    return SliceSettlement(
        job_id=held.job_id,
        slice_id=claimed.slice_id,
        category=MAIN,
        number=claimed.number,
        attempt=claimed.attempt,
        start=claimed.done,
        # Results of the records before it died with the worker: a retry begins where this attempt did.
        done=claimed.done,
        outputs=(),
        exception=failure.to_json(),
    )


def crash_of_job(row: JobRow, evidence: str, now: datetime, worker_name: str) -> dict[str, Any]:
    """Return the columns of a job that has killed too many workers."""
    failure = Failure("WorkerCrashed", f"{MOST_CRASHES} times; {evidence}", [], worker_name)
    return {
        **move_values(row, Move.FAIL, now, {"exception": failure.to_json()}),
        "crash_count": row.crash_count + 1,
    }


def move_values(row: JobRow, move: Move, now: datetime, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the columns that a move of a running job sets."""
    standing = Standing(State.RUNNING, row.batch, row.sub_state, started=True)
    return changes(transition(move, standing), asdict(row), now=now, given=given)


def summary_of(failure: str | None) -> str:
    """Return a stored failure in one line."""
    parsed = parse_failure(failure)
    return parsed.summary if parsed else ""
