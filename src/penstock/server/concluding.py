"""The end of work that stands in a transaction of the store's: a worker stores it there, and tells the dispatcher.

What cannot be stored there is told as any other end: the dispatcher stores it in a turn of its own, if the attempt
still holds the job or slice. So it does not matter whether a commit that got no answer was one.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from penstock import clock
from penstock.model.job import Job
from penstock.plugins.open_transaction import OpenTransaction
from penstock.server.ending import Endings
from penstock.server.facts import facts_of
from penstock.server.ledger import Ledger
from penstock.server.messages import JobDone, RunJob, RunSlice, SliceDone
from penstock.server.settling import HeldJob, HeldSlice, settlement_of_slice
from penstock.store import current_store
from penstock.store.rows import ClaimedSlice


class Concluding(NamedTuple):
    """Ends the transaction of one piece of work."""

    work: OpenTransaction
    worker: str

    def job(self, job: Job, task: RunJob, reply: JobDone, failed: Callable[[BaseException], JobDone]) -> JobDone:
        """Store how a regular job ended, and commit; an end that is a failure leaves nothing.

        Args:
            job: The job.
            task: What was to be done.
            reply: How it ended.
            failed: Makes the end of an exception.
        """
        work = self.work
        if work.trouble is not None:
            return failed(work.trouble)
        if not work.is_open or reply.failure is not None:
            return reply
        kinds = {task.row.kind: facts_of(task.row.kind, type(job))}
        server = task.row.server or self.worker
        ledger = Ledger(current_store(), server=server, kinds=kinds, now=clock.now(), runs_hooks=False)
        endings = Endings(ledger)
        try:
            with work.settling():
                free = endings.with_free_key(task.row, reply)
                if free.failure is not None:
                    return free
                (end,) = endings.store_jobs([(HeldJob(task.row), reply)])
                if end.refused:
                    return replace(reply, stored=False)
            work.commit()
        except BaseException as error:
            return failed(error)
        return replace(reply, stored=True)

    def slice(self, task: RunSlice, reply: SliceDone, failed: Callable[[BaseException], SliceDone]) -> SliceDone:
        """Store how a slice ended, and commit; one that is not through leaves nothing."""
        work = self.work
        if work.trouble is not None:
            return failed(work.trouble)
        if not work.is_open or reply.failure is not None or reply.done < task.record_count:
            return reply
        settlement = settlement_of_slice(_held(task), reply)
        try:
            with work.settling():
                # Under the worker's name: those of one server need not wait for each other.
                if current_store().settle_slices([settlement], server=self.worker):
                    return replace(reply, outputs=[], stored=False)
            work.commit()
        except BaseException as error:
            return failed(error)
        return replace(reply, outputs=[], stored=True)


def _held(task: RunSlice) -> HeldSlice:
    claimed = ClaimedSlice(
        slice_id=task.slice_id,
        number=task.number,
        attempt=task.attempt,
        first_record=task.first_record,
        record_count=task.record_count,
        done=task.done,
        crash_count=task.crash_count,
        payload=b"",
    )
    return HeldSlice(task.job_id, "", claimed)
