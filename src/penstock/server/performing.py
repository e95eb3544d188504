"""Running one piece of work: user code called, and what came of it as a message."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from penstock.batch.job import BatchJob
from penstock.batch.perform import SliceWork, perform_slice
from penstock.model.failure import describe
from penstock.model.job import Job, load_job
from penstock.records import encode_value
from penstock.server.messages import JobDone, LearnJob, RunHook, RunJob, RunSlice, SliceDone
from penstock.store import current_store


class Performer:
    """Runs the pieces of one slot. Batch jobs are kept from slice to slice, each slot its own instance."""

    def __init__(self, worker_name: str, jobs: Mapping[object, LearnJob], note_place: Callable[[int], None]) -> None:
        self._worker_name = worker_name
        self._known = jobs
        self._note_place = note_place
        self._loaded: dict[object, tuple[LearnJob, BatchJob]] = {}

    def run_job(self, task: RunJob) -> JobDone:
        """Run a regular job."""
        try:
            job = load_job(task.row)
            job.row.worker = self._worker_name
            result = job.perform()
            stored = encode_value(result) if job.collect_output and result is not None else None
        except BaseException as error:
            return self._failed(task.key, error)
        if job.destroy_on_complete:
            return JobDone(task.key, 0.0, None, None, {}, {})
        return _succeeded(task.key, job, stored)

    def run_hook(self, task: RunHook) -> JobDone:
        """Run the methods of a batch job for a moment."""
        try:
            job = cast("BatchJob", load_job(task.row))
            job.row.worker = self._worker_name
            if task.moment == "before_batch":
                # What an earlier attempt uploaded here before it died does not count.
                job.forget_unfinished_upload(current_store(), job.row.record_count or 0)
            for method in job.hooks.get(task.moment, ()):
                getattr(job, method)()
        except BaseException as error:
            return self._failed(task.key, error)
        reply = _succeeded(task.key, job, None)
        if task.moment == "before_batch":
            reply.columns["record_count"] = job.row.record_count or 0
        return reply

    def run_slice(self, task: RunSlice) -> SliceDone:
        """Run a slice."""
        try:
            job = self._job_of(task)
            if task.crash_count:
                job.watch_records(self._note_place)
            work = SliceWork(task.number, task.first_record, task.done, task.payload)
            outcome = perform_slice(job, work, worker_name=self._worker_name)
        except BaseException as error:
            failure = describe(error, worker_name=self._worker_name, record_number=task.first_record + task.done)
            return SliceDone(task.key, 0.0, task.done, [], failure.to_json())
        finally:
            if task.crash_count:
                self._loaded.pop(task.job_id, None)
        failed = outcome.failure.to_json() if outcome.failure else None
        return SliceDone(task.key, 0.0, outcome.done, list(outcome.outputs), failed)

    def _job_of(self, task: RunSlice) -> BatchJob:
        learned = self._known[task.job_id]
        loaded = self._loaded.get(task.job_id)
        if loaded is None or loaded[0] is not learned:
            self._loaded = {job_id: pair for job_id, pair in self._loaded.items() if job_id in self._known}
            loaded = self._loaded[task.job_id] = (learned, cast("BatchJob", load_job(learned.row)))
        return loaded[1]

    def _failed(self, key: int, error: BaseException) -> JobDone:
        return JobDone(key, 0.0, describe(error, worker_name=self._worker_name).to_json(), None, {}, {})


def _succeeded(key: int, job: Job, result: bytes | None) -> JobDone:
    columns: dict[str, Any] = job.changed_values()
    fields: dict[str, Any] = columns.pop("fields", {})
    return JobDone(key, 0.0, None, result, columns, fields)
