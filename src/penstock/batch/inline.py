"""A batch job performed in the caller's own process, slice by slice."""

from typing import Any

from msgspec.structs import asdict

from penstock import clock
from penstock.batch.job import BatchJob
from penstock.batch.perform import SliceOutcome, SliceWork, perform_slice
from penstock.batch.rejects import over_budget, reject_budget
from penstock.errors import JobIncomplete, TooManyRejects
from penstock.model.attempt import Verdict, run_hooks
from penstock.plugins.store_transaction import StoreTransaction
from penstock.states import FINAL, Move, Standing, State, SubState, changes, transition
from penstock.store import Store, current_store, presence_name
from penstock.store.rows import ClaimedSlice, SliceSettlement


def perform_here(job: BatchJob) -> None:
    """Perform what is not done yet, in the order in which a server does it, and complete the job.

    Whatever user code raises comes out, and `TooManyRejects`; called again, it goes on there. The job stays out of
    sight of servers meanwhile, as a draft of this process; completed, it is kept, so that its output can be read.
    """
    store = current_store()
    me = presence_name(store)
    if not job.is_stored and "before_batch" in job.hooks:
        job.store_draft(store, me)
    if not job.is_stored or not job.row.draft:
        raise JobIncomplete("perform_now needs a job with uploaded records that is not saved yet")
    if job.sub_state in (None, SubState.BEFORE):
        _before(store, job)
    if job.sub_state is SubState.PROCESSING and not _process(store, job, me):
        return
    for moment in ("after_batch", "before_complete"):
        run_hooks(job, moment)
    _note(store, job, state=State.COMPLETED, sub_state=None, completed_at=clock.now(), percent_complete=100)
    store.update_job(job.id, {"draft": False, "uploader": None})
    job.reload()
    run_hooks(job, "after_complete")


def _before(store: Store, job: BatchJob) -> None:
    _note(store, job, state=State.RUNNING, sub_state=SubState.BEFORE, started_at=clock.now())
    uploaded = job.row.record_count or 0
    try:
        for moment in ("before_start", "after_start", "before_batch"):
            run_hooks(job, moment)
    except BaseException:
        # What it had uploaded does not count: the next call runs it afresh.
        job.forget_unfinished_upload(store, uploaded)
        raise
    _note(store, job, sub_state=SubState.PROCESSING, record_count=job.row.record_count or 0)


def _process(store: Store, job: BatchJob, me: str) -> bool:
    """Perform what is queued; False when a slice has moved the job."""
    _note(store, job, state=State.RUNNING, completed_at=None, exception=None)
    store.release_server(me)
    store.retry_slices(job.id)
    while claimed := store.claim_slices(job.id, server=me, limit=1, max_bytes=1):
        outcome = _perform(store, job, claimed[0], me)
        if outcome.error is not None:
            raise outcome.error
        _refuse_too_many_rejects(store, job)
        if outcome.verdict is not None:
            _follow(store, job, outcome.verdict)
            return False
    _note(store, job, sub_state=SubState.AFTER)
    return True


def _refuse_too_many_rejects(store: Store, job: BatchJob) -> None:
    budget = reject_budget(job.max_rejects, job.record_count)
    over = None if budget is None else over_budget(store.progress(job.id).rejected, budget)
    if over is not None:
        raise TooManyRejects(over)


def _follow(store: Store, job: BatchJob, verdict: Verdict) -> None:
    """Make the move that a slice has made of its job. Unless that is its end, the next call goes on there."""
    row = store.job(job.id) or job.row
    given = {"exception": verdict.failure.to_json() if verdict.failure else None}
    standing = Standing(State.RUNNING, batch=True, sub_state=SubState.PROCESSING, started=True, pausable=True)
    _note(store, job, **changes(transition(verdict.move, standing), asdict(row), now=clock.now(), given=given))
    if verdict.move is Move.ABORT:
        store.drop_slices(job.id)
    if job.state in FINAL:
        store.update_job(job.id, {"draft": False, "uploader": None})
        job.reload()
    run_hooks(job, f"after_{verdict.move}")


def _perform(store: Store, job: BatchJob, claimed: ClaimedSlice, me: str) -> SliceOutcome:
    work = SliceWork(claimed.number, claimed.first_record, claimed.done, claimed.payload)
    opened = job.begin_work() if isinstance(job, StoreTransaction) else None
    try:
        outcome = perform_slice(job, work, worker_name=me, asks_throttles=False)
        if opened is None or not opened.is_open or outcome.error is not None or outcome.verdict is not None:
            if opened is not None:
                opened.roll_back()
            _settle(store, job, claimed, outcome, me)
        else:
            with opened.settling():
                _settle(store, job, claimed, outcome, me)
            opened.commit()
    finally:
        if opened is not None:
            opened.roll_back()
    if outcome.rejected and job.row.destroy_on_complete:
        _note(store, job, destroy_on_complete=False)  # What was rejected is nowhere else.
    return outcome


def _settle(store: Store, job: BatchJob, claimed: ClaimedSlice, outcome: SliceOutcome, me: str) -> None:
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
        rests=outcome.verdict is not None and outcome.done < claimed.record_count,
        rejected=outcome.rejected,
        statistics=outcome.statistics,
    )
    store.settle_slices([settlement], server=me)


def _note(store: Store, job: BatchJob, **columns: Any) -> None:
    store.update_job(job.id, columns)
    for name, value in columns.items():
        setattr(job.row, name, value)
