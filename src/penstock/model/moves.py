"""A move made on a stored job: the table decides, the store compares and writes, slices and hooks follow."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import asdict

from penstock import clock
from penstock.errors import DuplicateJob, JobChanged, JobNotFound
from penstock.model.attempt import run_hooks
from penstock.model.kinds import known_kinds
from penstock.states import Move, Standing, State, changes, find_transition, transition
from penstock.store import presence_name
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

if TYPE_CHECKING:
    from penstock.model.job import Job

TRIES = 20


def standing_of(row: JobRow) -> Standing:
    """Return the part of a stored job that decides which moves apply."""
    cls = known_kinds().get(row.kind)
    return Standing(
        state=row.state,
        batch=row.batch,
        sub_state=row.sub_state,
        started=row.started_at is not None,
        pausable=bool(cls and cls.pausable),
        limited=row.limit_name is not None,
    )


def move_job(
    store: Store,
    job_id: UUID,
    move: Move,
    given: Mapping[str, Any] | None = None,
    *,
    along: Callable[[], object] = lambda: None,
    slices: Sequence[int] | None = None,
) -> JobRow:
    """Make a move and return the job as it is then.

    `along` is called in the transaction of the move: what it stores is there with it, or not at all.
    Aborting a batch job drops its slices; retrying one queues its failed slices again, or those of them alone whose
    ids are `slices`. Hooks of its class run;
    where the class was not imported, those that follow the move are left to a server that knows it.

    Raises:
        JobNotFound: there is no such job.
        InvalidMove: the move does not apply; nothing was changed.
        DuplicateJob: it would be the second of its unique key.
        JobChanged: others kept changing the job.
    """
    row = _present(store, job_id)
    cls = known_kinds().get(row.kind)
    if cls is None:
        return _moved(store, job_id, move, given, after=f"after_{move}", along=along, slices=slices)[0]
    if {"after_init", f"before_{move}", f"after_{move}"}.isdisjoint(cls.hooks):
        # Nothing of the class is asked, so the job need not be read: it may be sealed, and the key not here.
        moved, _ = _moved(store, job_id, move, given, after=None, along=along, slices=slices)
        if move is Move.COMPLETE:
            _destroy_completed(store, job_id)
        return moved
    from penstock.model.job import load_as

    job = load_as(cls, row)
    move_stored(store, job, move, given, along=along, slices=slices)
    return job.row


def move_stored(
    store: Store,
    job: "Job",
    move: Move,
    given: Mapping[str, Any] | None = None,
    *,
    along: Callable[[], object] = lambda: None,
    slices: Sequence[int] | None = None,
) -> None:
    """Make a move on a stored job with its hooks, and write what this copy changed. The job is read again then.

    `along` is called in the transaction of the move: what it stores is there with it, or not at all. `slices` are as
    for `move_job`.
    """
    transition(move, standing_of(_present(store, job.id)))
    run_hooks(job, f"before_{move}")
    moment = f"after_{move}"
    after = moment if moment in job.hooks else None
    me = presence_name(store) if after else None
    row, is_ours = _moved(store, job.id, move, given, after=after, server=me, job=job, along=along, slices=slices)
    job.take_row(row)
    if is_ours:
        _run_after(store, job, moment, str(me))
    if is_ours or move is Move.COMPLETE:
        _destroy_completed(store, job.id)  # Also where it was completed by others, and its last hooks were run here.


def fail_after_hook(store: Store, job_id: UUID, error_json: str, *, has_hook: bool) -> dict[str, Any]:
    """Return the columns to set when a hook that follows a move raised: the job fails, where it still can.

    Belongs into one transaction with `finish_hooks`. Where the class has a hook for it, `after_fail` is due then.
    """
    given = {"exception": error_json}
    row = store.job(job_id)
    row_of_table = None if row is None else find_transition(Move.FAIL, standing_of(row))
    if row is None or row_of_table is None:
        return given
    if has_hook:
        store.update_job(job_id, {"pending_hooks": f"{row.pending_hooks or ''} after_fail".strip()})
    return changes(row_of_table, asdict(row), now=clock.now(), given=given)


def _run_after(store: Store, job: "Job", moment: str, me: str) -> None:
    """Run the hook that is due, and those that become due meanwhile unless others take them."""
    while True:
        try:
            run_hooks(job, moment)
        except BaseException as error:
            failure = job.describe(error).to_json()
            with store.transaction():
                values = fail_after_hook(store, job.id, failure, has_hook="after_fail" in job.hooks)
                store.finish_hooks(job.id, server=me, ran=moment, changes=values)
            raise
        store.finish_hooks(job.id, server=me, ran=moment, changes=job.changed_values())
        is_ours = store.claim_hooks(job.id, server=me)
        fresh = store.job(job.id)
        if fresh is None or fresh.draft:
            return
        job.take_row(fresh)
        if not is_ours:
            return
        moment = str(fresh.pending_hooks).split()[0]


def _destroy_completed(store: Store, job_id: UUID) -> None:
    """Remove a job that somebody has completed, as its class says; where hooks are still due, who runs them does."""
    row = store.job(job_id)
    if row is not None and row.state is State.COMPLETED and row.destroy_on_complete and not row.pending_hooks:
        store.destroy_job(job_id)


def _moved(
    store: Store,
    job_id: UUID,
    move: Move,
    given: Mapping[str, Any] | None,
    *,
    after: str | None,
    server: str | None = None,
    job: "Job | None" = None,
    along: Callable[[], object] = lambda: None,
    slices: Sequence[int] | None = None,
) -> tuple[JobRow, bool]:
    """Compare and write until nobody else has changed the job between.

    Returns the job as it is then, and whether `server` is to run the hook: not where others are due already, as in
    a move that one of those makes. Who runs them runs this one next.
    """
    for _ in range(TRIES):
        row = _present(store, job_id)
        moved = changes(transition(move, standing_of(row)), asdict(row), now=clock.now(), given=given)
        # Whose worker runs the job still has it until that ends, so that it is not started a second time meanwhile.
        values = {**moved, **(given or {}), "server": row.server}
        if after:
            values["pending_hooks"] = f"{row.pending_hooks or ''} {after}".strip()
            values["hooks_server"] = row.hooks_server if row.pending_hooks else server
            values["crash_count"] = 0  # From here on the workers are counted that die of the hooks.
        if _write(store, row, move, values, job, along, slices):
            if move is Move.ABORT and row.batch:
                store.drop_slices(job_id)
            return store.job(job_id) or row, bool(after and server and not row.pending_hooks)
    raise JobChanged(f"job {job_id} was changed by others {TRIES} times while trying to {move} it; try again")


def _write(
    store: Store,
    row: JobRow,
    move: Move,
    values: dict[str, Any],
    job: "Job | None",
    along: Callable[[], object],
    slices: Sequence[int] | None,
) -> bool:
    changed = job.changed_values() if job is not None else {}
    try:
        with store.transaction():
            won = store.update_job(row.id, {**changed, **values}, expect=_as_read(row))
            if won and move is Move.RETRY and row.batch:
                store.retry_slices(row.id, only=slices)
            if won:
                along()
    except DuplicateJob:
        raise DuplicateJob(
            f"cannot {move} job {row.id}: another {row.kind} with the same unique key is queued, running or paused"
        ) from None
    return won


def _present(store: Store, job_id: UUID) -> JobRow:
    row = store.job(job_id)
    if row is None or row.draft:
        raise JobNotFound(f"there is no job {job_id}; it may have been completed and destroyed")
    return row


def _as_read(row: JobRow) -> dict[str, Any]:
    names = ("state", "sub_state", "attempt", "pending_hooks", "hooks_server")
    return {name: getattr(row, name) for name in names}
