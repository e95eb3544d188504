"""The store itself: how large it is, and whether what it holds adds up."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from penstock.errors import JobNotFound, PenstockError
from penstock.model.moves import move_job
from penstock.query import Filter, Query
from penstock.service.jobs import check_job
from penstock.states import Move, SliceState, State
from penstock.store import without_password
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

View = dict[str, Any]

ORPHAN_SECONDS = 3600.0
"""The age of a job's id before which slices without it may be those of a job that is about to be stored."""


class Finding(NamedTuple):
    """Something in the store that does not add up."""

    what: str
    """`damaged`, `orphan`, `missing`, `left over` or `stuck`."""
    job_id: UUID | None
    told: str
    advice: str
    """What to do about it."""


def store_sizes(store: Store) -> View:
    """Return how large each table is, in rows and bytes; of a store in two, those of both. It may take seconds."""
    tables = [size._replace(store=without_password(size.store))._asdict() for size in store.table_sizes()]
    known = [table["bytes"] for table in tables if table["bytes"] is not None]
    return {"tables": tables, "bytes": sum(known) if known else None}


def check_store(store: Store, *, mend: bool = False) -> View:
    """Look for what does not add up: damage, slices without a job, slices that are missing, jobs left halfway.

    Reads every batch job. Servers may go on meanwhile.

    Args:
        store: The store.
        mend: Whether to remove orphans and what is left over, and to let go on what is stuck. What is damaged or
            missing cannot be mended so.

    Returns:
        The number of `batch_jobs`, the `findings` that are left, and how many were `mended`.
    """
    batches = list(store.find_jobs(Query(filters=(Filter("batch", "eq", True),))))
    found = [Finding("damaged", None, line, "restore the store from a backup") for line in store.damage()]
    found += [finding for row in batches for finding in _findings_of(store, row.id)]
    found += _orphans(store)
    left = [finding for finding in found if not (mend and _mend(store, finding))]
    return {
        "store": without_password(store.url),
        "batch_jobs": len(batches),
        "mended": len(found) - len(left),
        "findings": [{**one._asdict(), "job_id": one.job_id and str(one.job_id)} for one in left],
    }


def _orphans(store: Store) -> Iterator[Finding]:
    for job_id in store.slice_owners():
        age = time.time() - (job_id.int >> 80) / 1000
        if store.job(job_id) is None and age > ORPHAN_SECONDS:
            yield Finding(
                "orphan", job_id, "slices are stored of it, but there is no such job", "penstock store check --mend"
            )


def _findings_of(store: Store, job_id: UUID) -> Iterator[Finding]:
    """Yield what is wrong with a batch job. Looked at twice: it may have gone on while it was looked at."""
    if _finding(store, job_id) is not None and (finding := _finding(store, job_id)) is not None:
        yield finding


def _finding(store: Store, job_id: UUID) -> Finding | None:
    try:
        told = check_job(store, job_id)
    except JobNotFound:
        return None
    row = store.job(job_id)
    if row is None or row.draft:
        return None
    if not told["balanced"]:
        lost = told["uploaded"] - told["placed"] - told["dropped"]
        words = f"{lost:,} of its {told['uploaded']:,} records are nowhere" if lost else "a slice has lost its payload"
        return Finding("missing", job_id, f"{row.kind}, {row.state}: {words}", _advice(row))
    if told["dropped"] == 0 and row.state is State.ABORTED and any(store.slice_counts(job_id).values()):
        words = f"{row.kind}, {row.state}: its slices were not dropped"
        return Finding("left over", job_id, words, "penstock store check --mend")
    queued = store.slice_counts(job_id).get(SliceState.QUEUED, 0)
    if row.state is State.COMPLETED and queued:
        words = f"{row.kind}, {row.state}: {queued:,} slices are still queued"
        return Finding("stuck", job_id, words, "penstock store check --mend")
    return None


def _advice(row: JobRow) -> str:
    return f"upload its input anew in another job; what there is of it: penstock jobs download {row.id} --partial"


def _mend(store: Store, finding: Finding) -> bool:
    """Do what can be done about it, and tell whether that is so."""
    if finding.job_id is None:
        return False
    match finding.what:
        case "orphan" | "left over":
            store.drop_slices(finding.job_id)
        case "stuck":
            try:
                move_job(store, finding.job_id, Move.RESUBMIT)
            except PenstockError:
                return False
        case _:
            return False
    return True
