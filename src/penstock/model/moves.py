"""A move made on a stored job: the table decides, the store compares and writes, slices follow."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.errors import JobChanged, JobNotFound
from penstock.model.kinds import known_kinds
from penstock.states import Move, Standing, changes, transition
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

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
    )


def move_job(store: Store, job_id: UUID, move: Move, given: Mapping[str, Any] | None = None) -> JobRow:
    """Make a move and return the job as it is then.

    Aborting a batch job drops its slices; retrying one queues its failed slices again.

    Raises:
        JobNotFound: there is no such job.
        InvalidMove: the move does not apply; nothing was changed.
        JobChanged: others kept changing the job.
    """
    for _ in range(TRIES):
        row = store.job(job_id)
        if row is None or row.draft:
            raise JobNotFound(f"there is no job {job_id}; it may have been completed and destroyed")
        values = changes(transition(move, standing_of(row)), asdict(row), now=clock.now(), given=given)
        with store.transaction():
            won = store.update_job(job_id, values, expect=_as_read(row))
            if won and move is Move.RETRY and row.batch:
                store.retry_slices(job_id)
        if won:
            if move is Move.ABORT and row.batch:
                store.drop_slices(job_id)
            return store.job(job_id) or row
    raise JobChanged(f"job {job_id} was changed by others {TRIES} times while trying to {move} it; try again")


def _as_read(row: JobRow) -> dict[str, Any]:
    return {"state": row.state, "sub_state": row.sub_state, "attempt": row.attempt}
