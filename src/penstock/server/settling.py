"""From what a worker said to what the store is told: the table of moves applied to a claimed piece."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict, replace

from penstock.batch.categories import MAIN
from penstock.model.failure import Failure, parse_failure
from penstock.server.messages import Decision, JobDone, SliceDone
from penstock.states import Move, Standing, State, SubState, changes, transition
from penstock.store.rows import ClaimedSlice, JobRow, JobSettlement, SliceSettlement

MOST_CRASHES = 3
"""Worker processes that a piece of work may take with it before it is failed for good."""
UNKNOWN_SECONDS = 2.0
"""How long jobs, and slices, of a kind rest that a worker turned out not to know."""


class HeldSlice(Struct, frozen=True, gc=False):
    """A slice this server has claimed."""

    job_id: UUID
    kind: str
    claimed: ClaimedSlice


class HeldJob(Struct, frozen=True, gc=False):
    """A regular job this server has claimed."""

    row: JobRow
    stored: bool = True
    """False for one that was handed out without having been stored."""

    @property
    def leaves_nothing(self) -> bool:
        """Whether the store removes it when it is done."""
        return self.stored and self.row.destroy_on_complete


class HeldHook(Struct, frozen=True, gc=False):
    """A moment of a batch job, `before_batch` or `after_batch`, that this server has claimed."""

    row: JobRow
    moment: str


class HeldDue(Struct, frozen=True, gc=False):
    """Hooks of a job that follow committed moves, which this server has taken to run."""

    row: JobRow
    moments: str
    """Separated by spaces."""


def settlement_of_slice(held: HeldSlice, done: SliceDone) -> SliceSettlement:
    """Return what is stored about a slice that a worker is through with."""
    rests = done.decided is not None and done.failure is None and done.done < held.claimed.record_count
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
        rests=rests,
        rejected=done.rejected,
        statistics=done.statistics,
    )


def settlement_of_job(
    held: HeldJob, done: JobDone, now: datetime, due: Mapping[str, Any] | None = None
) -> JobSettlement:
    """Return what is stored about a regular job that a worker is through with, and with it the hooks that are `due`."""
    row = held.row
    plain = done.decided is None and done.failure is None and not due
    if plain and done.columns.get("destroy_on_complete", row.destroy_on_complete):
        return JobSettlement(row.id, row.attempt, None)
    values = {**done.columns, **values_after(row, done, now), **_no_longer_held(row, done), "result": done.result}
    return JobSettlement(row.id, row.attempt, {**values, **(due or {})}, done.fields)


def moves_of(done: JobDone) -> tuple[Move, ...]:
    """Return the moves that the end of a piece makes of its job, in their order."""
    if done.decided is None:
        return (Move.COMPLETE,) if done.failure is None else (Move.FAIL,)
    return (Move.FAIL, Move.RETRY) if done.decided.move is Move.RETRY else (done.decided.move,)


def due_hooks(moves: Collection[Move], hooks: Collection[str], server: str | None = None) -> dict[str, Any]:
    """Return the columns that make the hooks due which follow these moves; none where the class has none."""
    due = [f"after_{move}" for move in moves if f"after_{move}" in hooks]
    return {"pending_hooks": " ".join(due), "hooks_server": server} if due else {}


def values_after(row: JobRow, done: JobDone, now: datetime) -> dict[str, Any]:
    """Return the columns that the end of a running job, or of a hook it ran in, sets."""
    decided = done.decided
    if decided is None:
        given = {"exception": done.failure}
        return move_values(row, Move.COMPLETE if done.failure is None else Move.FAIL, now, given)
    if decided.move is Move.RETRY:
        return retry_values(row, now, done.failure, decided.at)
    values = move_values(row, decided.move, now, {"exception": decided.failure})
    return {**values, **_postponed(row, decided, now)} if decided.move is Move.REQUEUE else values


def _no_longer_held(row: JobRow, done: JobDone) -> dict[str, Any]:
    """Return the columns that forget why a job had to wait, once it has run."""
    waits = done.decided is not None and done.decided.reason is not None
    return {} if waits or row.throttled_by is None else {"throttled_by": None, "throttled_at": None}


def _postponed(row: JobRow, decided: Decision, now: datetime) -> dict[str, Any]:
    if decided.reason is None:
        return {"run_at": decided.at}
    since = row.throttled_at if row.throttled_by == decided.reason else now
    held = {"throttled_by": decided.reason, "throttled_at": since}
    return held if decided.kind_wide else {**held, "held_until": decided.at}


def retry_values(row: JobRow, now: datetime, failure: str | None, at: datetime | None) -> dict[str, Any]:
    """Return the columns of a job that failed and is to be tried again at a moment. Its exception stays to be seen."""
    failed = move_values(row, Move.FAIL, now, {"exception": failure})
    after = replace(row, **failed)
    standing = Standing(after.state, after.batch, after.sub_state, started=True, limited=row.limit_name is not None)
    again = changes(transition(Move.RETRY, standing), asdict(after), now=now)
    when = "run_at" if again["state"] is State.QUEUED else "held_until"
    return {**failed, **again, "exception": failure, when: at}


def values_after_hook(held: HeldHook, done: JobDone, now: datetime) -> dict[str, Any]:
    """Return the columns that the end of a hook sets: a failure, or the next part of the batch job's life."""
    changed = {**done.columns, **({"fields": done.fields} if done.fields else {})}
    if held.moment == "before_batch" and done.decided is None and done.failure is None:
        return {**changed, "sub_state": SubState.PROCESSING, "server": None, "worker": None, "crash_count": 0}
    return {**changed, **values_after(held.row, done, now)}


def crash_of_slice(held: HeldSlice, evidence: str, place: int, worker_name: str) -> SliceSettlement:
    """Return the failure of a slice that has killed too many workers."""
    claimed = held.claimed
    last = claimed.first_record + claimed.record_count - 1
    where = f"at record {place}" if place else f"in records {claimed.first_record + claimed.done} to {last}"
    failure = Failure("WorkerCrashed", f"{where}, {MOST_CRASHES} times; {evidence}", [], worker_name, place or None)
    return lost_slice(held, failure)


def lost_slice(held: HeldSlice, failure: Failure) -> SliceSettlement:
    """Return the failure of a slice whose worker is gone, with the results of the records before."""
    claimed = held.claimed
    return SliceSettlement(
        job_id=held.job_id,
        slice_id=claimed.slice_id,
        category=MAIN,
        number=claimed.number,
        attempt=claimed.attempt,
        start=claimed.done,
        # A retry begins where this attempt did.
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


def lost_job(row: JobRow, evidence: str, now: datetime, worker_name: str) -> dict[str, Any]:
    """Return the columns of a job whose worker is gone, and that must not run twice."""
    failure = Failure("WorkerLost", f"it may have run, and is not repeatable; {evidence}", [], worker_name)
    return move_values(row, Move.FAIL, now, {"exception": failure.to_json()})


def timed_out(worker_name: str, place: int) -> Failure:
    """Return the failure of a piece that did not end at its time-out, so that its worker was killed."""
    where = f"record {place}: " if place else ""
    text = f"{where}it took longer than it may, and did not end when it was told to"
    return Failure("penstock.errors.JobTimeout", text, [], worker_name, place or None)


def move_values(row: JobRow, move: Move, now: datetime, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the columns that a move of a running job sets."""
    standing = Standing(State.RUNNING, row.batch, row.sub_state, started=True, pausable=True)
    return changes(transition(move, standing), asdict(row), now=now, given=given)


def summary_of(failure: str | None) -> str:
    """Return a stored failure in one line."""
    parsed = parse_failure(failure)
    return parsed.summary if parsed else ""
