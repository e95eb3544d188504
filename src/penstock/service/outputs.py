"""Outputs of batch jobs as people get them: as a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from uuid import UUID

from penstock.batch.categories import OutputCategory
from penstock.batch.download import download_output
from penstock.batch.job import BatchJob
from penstock.errors import ConfigurationError, JobIncomplete
from penstock.model.job import load_as
from penstock.model.kinds import known_kinds
from penstock.service.auditing import acting, target_of_job
from penstock.service.blame import told_of_user_code
from penstock.service.jobs import View, get_job
from penstock.service.people import By, person_of
from penstock.service.uploads import refuse_path
from penstock.states import State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import JobRow
from penstock.streams.places import whole_name


def download_job(
    store: Store,
    job_id: UUID,
    target: str | IO[bytes] | None = None,
    *,
    by: By,
    category: str | None = None,
    partial: bool = False,
) -> View:
    """Write an output of a batch job, a line for each record, in input order. Its class need not be imported.

    Args:
        store: The store, which must be the current one.
        job_id: The job.
        target: A path, written when it is whole, or an open binary file. None goes where the last download went.
        by: Who gets it. What is sealed takes the right to read records.
        category: The output; None takes the first.
        partial: Write what there is of a job that is not completed.

    Returns:
        The `file`, None for an open one, its `category`, and the number of `records`.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job, has no such output, or no target is known.
        JobIncomplete: it is not completed.
        OutputError: the file cannot be written; nothing is left of it.
    """
    with reading_output(store, job_id, by, category, partial=partial) as (job, chosen):
        if person_of(by).remote and (target is None or isinstance(target, str)):
            refuse_path(str(target or chosen.file_name))
        if target is None and chosen.file_name is None:
            raise ConfigurationError(f"name the file for output {chosen.name!r} with --output; none is remembered")
        records = download_output(job, target, chosen.name, partial=partial)
    file = target if isinstance(target, str) else None if target is not None else chosen.file_name
    return {
        "id": str(job_id),
        "category": chosen.name,
        "file": file and whole_name(file),
        "records": records,
    }


@contextmanager
def reading_output(
    store: Store, job_id: UUID, by: By, category: str | None, *, partial: bool
) -> Iterator[tuple[BatchJob, OutputCategory]]:
    """Give a job and its output to a person who may read it, and note that they did. Raises as `download_job` does."""
    row = store.job(job_id)
    sealed = row is not None and row.batch and _job_of(row).seals_anything
    with acting(store, by, "record.read" if sealed else "output.read", target_of_job(job_id), job=row) as act:
        row = get_job(store, job_id)
        if not row.batch:
            raise ConfigurationError(f"job {job_id} is no batch job; `penstock jobs show {job_id}` shows its result")
        job = _job_of(row)
        try:
            chosen = job.output_category(category)
        except KeyError as error:
            raise ConfigurationError(error.args[0]) from None
        _refuse_incomplete(row, partial=partial)
        yield job, chosen
        act.note(after={"category": chosen.name})


def _job_of(row: JobRow) -> BatchJob:
    with told_of_user_code(row.kind):
        job = load_as(known_kinds().get(row.kind, BatchJob), row)
    assert isinstance(job, BatchJob)
    return job


def _refuse_incomplete(row: JobRow, *, partial: bool) -> None:
    whole = row.state is State.COMPLETED or row.sub_state is SubState.AFTER
    if not whole and not partial:
        raise JobIncomplete(f"job {row.id} is {row.state}: its output is not whole; --partial writes what there is")
