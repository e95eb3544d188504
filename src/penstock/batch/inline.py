"""A batch job performed in the caller's own process, slice by slice."""

from typing import Any

from penstock import clock
from penstock.batch.job import BatchJob
from penstock.batch.perform import SliceOutcome, SliceWork, perform_slice
from penstock.errors import JobIncomplete
from penstock.states import State, SubState
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import ClaimedSlice, SliceSettlement


def perform_here(job: BatchJob) -> None:
    """Perform what is not done yet, in the order in which a server does it, and complete the job.

    Whatever user code raises comes out; called again, it goes on there. The job stays out of sight of servers
    meanwhile, as a draft of this process; completed, it is kept, so that its output can be read.
    """
    store = current_store()
    me = presence_name(store)
    if not job.is_stored and "before_batch" in job.hooks:
        job.store_draft(store, me)
    if not job.is_stored or not job.row.draft:
        raise JobIncomplete("perform_now needs a job with uploaded records that is not saved yet")
    if job.sub_state in (None, SubState.BEFORE):
        _before(store, job)
    if job.sub_state is SubState.PROCESSING:
        _process(store, job, me)
    _run_hooks(job, "after_batch")
    _note(store, job, state=State.COMPLETED, sub_state=None, completed_at=clock.now(), percent_complete=100)
    store.update_job(job.id, {"draft": False, "uploader": None})
    job.reload()


def _before(store: Store, job: BatchJob) -> None:
    _note(store, job, state=State.RUNNING, sub_state=SubState.BEFORE, started_at=clock.now())
    uploaded = job.row.record_count or 0
    try:
        _run_hooks(job, "before_batch")
    except BaseException:
        # What it had uploaded does not count: the next call runs it afresh.
        job.forget_unfinished_upload(store, uploaded)
        raise
    _note(store, job, sub_state=SubState.PROCESSING, record_count=job.row.record_count or 0)


def _process(store: Store, job: BatchJob, me: str) -> None:
    store.release_server(me)
    store.retry_slices(job.id)
    while claimed := store.claim_slices(job.id, server=me, limit=1, max_bytes=1):
        outcome = _perform(store, job, claimed[0], me)
        if outcome.error is not None:
            raise outcome.error
    _note(store, job, sub_state=SubState.AFTER)


def _perform(store: Store, job: BatchJob, claimed: ClaimedSlice, me: str) -> SliceOutcome:
    work = SliceWork(claimed.number, claimed.first_record, claimed.done, claimed.payload)
    outcome = perform_slice(job, work, worker_name=me)
    settlement = SliceSettlement(
        job_id=job.id,
        slice_id=claimed.slice_id,
        category=job.input_category.name,
        number=claimed.number,
        attempt=claimed.attempt,
        start=claimed.done,
        done=outcome.done,
        outputs=outcome.outputs,
        exception=outcome.failure.to_json() if outcome.failure else None,
    )
    store.settle_slices([settlement], server=me)
    return outcome


def _run_hooks(job: BatchJob, moment: str) -> None:
    for method in job.hooks.get(moment, ()):
        getattr(job, method)()


def _note(store: Store, job: BatchJob, **columns: Any) -> None:
    store.update_job(job.id, columns)
    for name, value in columns.items():
        setattr(job.row, name, value)
