"""A batch job performed in the caller's own process, slice by slice."""

from penstock import clock
from penstock.batch.job import BatchJob
from penstock.batch.perform import SliceOutcome, SliceWork, perform_slice
from penstock.errors import JobIncomplete
from penstock.states import State
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import ClaimedSlice, SliceSettlement

AT_ONCE = 1


def perform_here(job: BatchJob) -> None:
    """Perform every slice that is not done, and complete the job. What `perform` raises comes out.

    The job stays out of sight of servers meanwhile; completed, it is kept, so that its output can be read.
    """
    store = current_store()
    if not job.is_stored or not job.row.draft:
        raise JobIncomplete("perform_now needs a job with uploaded records that is not saved yet")
    me = presence_name(store)
    for method in job.hooks.get("before_batch", ()):
        getattr(job, method)()
    store.retry_slices(job.id)
    while claimed := store.claim_slices(job.id, server=me, limit=AT_ONCE, max_bytes=1):
        outcome = _perform(store, job, claimed[0], me)
        if outcome.error is not None:
            raise outcome.error
    for method in job.hooks.get("after_batch", ()):
        getattr(job, method)()
    done = {
        "state": State.COMPLETED,
        "completed_at": clock.now(),
        "percent_complete": 100,
        "draft": False,
        "uploader": None,
    }
    store.update_job(job.id, done)
    job.reload()


def _perform(store: Store, job: BatchJob, claimed: ClaimedSlice, me: str) -> SliceOutcome:
    work = SliceWork(claimed.number, claimed.first_record, claimed.done, claimed.payload)
    outcome = perform_slice(job, work, worker_name=me)
    settlement = settlement_of(job, claimed, outcome)
    store.settle_slices([settlement], server=me)
    return outcome


def settlement_of(job: BatchJob, claimed: ClaimedSlice, outcome: SliceOutcome) -> SliceSettlement:
    """Return what is stored about a performed slice."""
    return SliceSettlement(
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
