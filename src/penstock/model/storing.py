"""Saving and removing jobs: hooks and checks in their order, then the store."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.errors import DuplicateJob, JobNotFound
from penstock.model.attempt import run_hooks
from penstock.model.unique import words_of
from penstock.query import Filter, Query
from penstock.states import UNIQUE_STATES
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

if TYPE_CHECKING:
    from penstock.model.job import Job


def joined(store: Store, connection: Any) -> AbstractContextManager[None]:
    """Return a block that writes in the transaction of the caller's connection; None leaves things as they are.

    Raises:
        WrongConnection: it cannot be used for that.
    """
    return nullcontext() if connection is None else store.joining(connection)


def save_new(store: Store, jobs: Iterable["Job"], *, indexes: bool = True) -> None:
    """Store new jobs, all or none.

    Without `indexes` none is made: others would wait for it until the end of the caller's transaction.

    Raises:
        pydantic.ValidationError: a job is not valid; the field is named.
        DuplicateJob: a job's unique key is taken; the job that has it is named.
        UnstorableValue: a job's fields are too large.
    """
    made = list(jobs)
    rows = [prepare_new(job) for job in made]
    if indexes:
        _ensure_indexes(store, made)
    try:
        store.insert_jobs(rows)
    except DuplicateJob as error:
        raise _told_better(store, made, error) from None
    for job in made:
        job.note_stored()
        if job.hooks:
            run_hooks(job, "after_create")
            run_hooks(job, "after_save")


def prepare_new(job: "Job") -> JobRow:
    """Run what comes before a new job is stored, and return its row."""
    check(job)
    if job.hooks:
        run_hooks(job, "before_save")
        run_hooks(job, "before_create")
    return job.new_row()


def save_changes(store: Store, job: "Job") -> None:
    """Write the fields of a stored job that this copy changed; a draft becomes the job that its upload made it.

    Raises:
        JobNotFound: the job was destroyed meanwhile.
        DuplicateJob: a job that has the changed unique key is queued, running or paused.
    """
    check(job)
    run_hooks(job, "before_save")
    is_new = job.row.draft  # Its `before_create` ran before the upload.
    if not is_new:
        run_hooks(job, "before_update")
    changed = job.changed_values()
    if is_new:
        changed |= {"draft": False, "uploader": None}
    try:
        # One that is on its way out is a draft too, and not this copy's: it is gone.
        if changed and not store.update_job(job.id, changed, expect={"draft": is_new}):
            raise JobNotFound(_gone(job))
    except DuplicateJob as error:
        raise _told_better(store, [job], error) from None
    job.note_written()
    run_hooks(job, "after_create" if is_new else "after_update")
    run_hooks(job, "after_save")


def check(job: "Job") -> None:
    """Check all fields, those that were changed in place too, between the hooks for validation."""
    if not job.hooks:  # As most have none, and very many may be made at once.
        job.check_fields()
        return
    run_hooks(job, "before_validation")
    job.check_fields()
    run_hooks(job, "after_validation")


def destroy(store: Store, job: "Job", *, along: Callable[[], object] = lambda: None) -> None:
    """Remove a job, with its slices and outputs, between its hooks. `along` is called as in `remove`."""
    run_hooks(job, "before_destroy")
    remove(store, job.id, along)
    job.start_over()
    run_hooks(job, "after_destroy")


def remove(store: Store, job_id: UUID, along: Callable[[], object]) -> bool:
    """Remove a stored job; False when it is gone. `along` is called in the transaction that puts it out of sight."""
    with store.transaction():
        row = store.job(job_id)
        if row is None:
            return False
        along()
        if not row.batch:
            return store.destroy_job(job_id)
        store.update_job(job_id, {"draft": True, "uploader": None})
    return store.destroy_job(job_id)  # Its slices go in short transactions.


def holder_of(store: Store, key: str) -> JobRow | None:
    """Return the job that holds a unique key, or None."""
    query = Query(states=UNIQUE_STATES, filters=(Filter("unique_key", "eq", key),), limit=1)
    return next(store.find_jobs(query), None)


def _told_better(store: Store, jobs: Iterable["Job"], error: DuplicateJob) -> DuplicateJob:
    """Name the job that is in the way, where it still is."""
    for job in jobs:
        key = job.unique_key()
        holder = holder_of(store, key) if key else None
        if holder is not None and holder.id != job.id:
            return DuplicateJob(f"there is a {words_of(job)} already, {holder.id}: only one may wait or run at a time")
    return error


_indexed: set[tuple[str, str]] = set()


def _ensure_indexes(store: Store, jobs: Iterable["Job"]) -> None:
    """Have the store index the fields that the classes of these jobs declare so, once for each process."""
    for cls in {type(job) for job in jobs}:
        key = (store.url, cls.kind)
        if key not in _indexed:
            _indexed.add(key)
            store.index_fields(cls.indexed_fields())


def _gone(job: "Job") -> str:
    if job.row.draft:
        return f"the draft of job {job.id} was dropped; upload again"
    return f"job {job.id} was destroyed meanwhile; its changes are not stored"
