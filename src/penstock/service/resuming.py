"""What to do next with a job that a run left behind, wherever it was when the run ended."""

from dataclasses import dataclass, field
from uuid import UUID

from penstock.batch.job import BatchJob
from penstock.errors import InvalidMove, JobNotFound
from penstock.model.job import Job, load_job
from penstock.model.kinds import known_kinds
from penstock.query import Query
from penstock.server.rescue import Rescuer
from penstock.states import State, SubState
from penstock.store import without_password
from penstock.store.protocol import Store
from penstock.store.rows import JobRow


@dataclass(slots=True)
class Plan:
    """A job and how to go on with it."""

    job: Job
    source: str | None = None
    """What to upload first; None when its input is stored."""
    overlap: bool = False
    collects: bool = False
    """Whether the result of a regular job is wanted."""
    written: dict[str, int] = field(default_factory=dict)
    """Records written so far, by output category."""

    @property
    def destroys(self) -> bool:
        """Whether the job goes once its output is delivered, as its class says."""
        return bool(type(self.job).model_fields["destroy_on_complete"].get_default())

    def begin(self) -> None:
        """Make the job ready to be claimed, from whatever state it is in."""
        job = self.job
        # The run destroys it itself, after its output is in place.
        job.destroy_on_complete = False
        if self.collects:
            job.collect_output = True
        job.save()
        if job.state is State.FAILED:
            job.retry()
        elif job.state is State.PAUSED:
            job.resume()


def plan_resume(store: Store, job_id: UUID | None, *, newest: bool) -> Plan:
    """Return how to go on with a job, the newest that is not ended for good when no id is given.

    Raises:
        JobNotFound: there is nothing to resume.
        InvalidMove: it was aborted, or is being uploaded by a live process.
        UnknownKind: its class was not imported.
    """
    Rescuer(store, me="").look()
    row = _newest(store) if newest or job_id is None else store.job(job_id)
    if row is None:
        raise JobNotFound(
            f"there is no job {job_id or 'to resume'} in {without_password(store.url)}; "
            "if its upload had not ended, run the first command again"
        )
    if row.state is State.ABORTED:
        raise InvalidMove(f"job {row.id} was aborted; its records are gone")
    job = load_job(row)
    return _afresh(store, row, job) if _upload_broke_off(row) else Plan(job)


def _upload_broke_off(row: JobRow) -> bool:
    if not row.batch or row.draft or row.record_count is not None:
        return row.batch and row.draft
    # Without an uploader it may wait for its before_batch, and be in good hands, unless it was failed for that.
    return row.uploader is not None or (row.state is State.FAILED and row.sub_state is not SubState.BEFORE)


def _newest(store: Store) -> JobRow | None:
    unfinished = (State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED, State.COMPLETED)
    query = Query(kinds=tuple(known_kinds()), states=unfinished, newest_first=True, limit=1)
    found = [row for row in store.drafts() if row.kind in known_kinds()][:1]
    found += store.find_jobs(query)
    return max(found, key=lambda row: row.id, default=None)


def _afresh(store: Store, row: JobRow, job: Job) -> Plan:
    """Begin a job whose upload broke off again, under its old id."""
    assert isinstance(job, BatchJob)
    if row.uploader and store.is_present(row.uploader):
        raise InvalidMove(f"job {row.id} is being uploaded by {row.uploader}, which lives")
    source = job.input_category.file_name
    if source is None and "before_batch" not in job.hooks:
        raise JobNotFound(f"the upload of job {row.id} from standard input broke off; run the first command again")
    overlapped = not row.draft
    store.destroy_job(row.id)
    job.start_over()
    return Plan(job, source=source, overlap=overlapped and source is not None)
