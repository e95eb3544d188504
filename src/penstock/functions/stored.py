"""Answers of jobs that are in a store, whoever runs them: looked for when the store says that some have ended."""

import json
import logging
import os
import threading
from typing import Any
from uuid import UUID

from penstock.errors import JobNotFound, StoreClosed, StoreError
from penstock.functions.feedback import CallbackThread, Feedback, call_back
from penstock.functions.handle import Answer, Handle
from penstock.model import storing
from penstock.model.failure import parse_failure
from penstock.model.job import Job, load_job
from penstock.model.tagged import decode, encode
from penstock.states import ENDED, State
from penstock.store import Store, Topic, current_store
from penstock.store.rows import JobRow

log = logging.getLogger("penstock")

CHECK_SECONDS = 1.0
"""How often the store is looked at by itself while somebody waits, in case a wake-up was lost."""
MOST_AT_ONCE = 500


class StoredAnswers:
    """Watches the jobs of one store that somebody waits for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._changed = threading.Condition()
        self._watched: dict[UUID, list[Handle[Any]]] = {}
        self._feedback: dict[UUID, Feedback] = {}
        self._periods: dict[UUID, int] = {}
        """Of the periodic jobs among them, how many periods were answered."""
        self._woken = False
        self._thread: threading.Thread | None = None
        self._callbacks = CallbackThread("penstock-callbacks")

    def enqueue(self, job: Job, feedback: Feedback | None) -> Handle[Any]:
        """Store a new job."""
        handle: Handle[Any] = Handle(job.id, job.kind, self, periodic=is_periodic(job))
        storing.save_new(self.store, [job])
        if feedback is not None:
            with self._changed:
                self._feedback[job.id] = feedback
            self.watch(handle)
        return handle

    def tell_progress(self, job: Job, value: Any) -> None:
        """Store how far a running job is."""
        expect = {"state": State.RUNNING, "attempt": job.row.attempt}
        self.store.update_job(job.id, {"fields": {"progress": encode(value)}}, expect=expect)

    def watch(self, handle: Handle[Any]) -> None:
        """See to it that the handle gets its answer."""
        with self._changed:
            handles = self._watched.setdefault(handle.id, [])
            if handle not in handles:
                handles.append(handle)
            if handle.periodic:
                self._periods.setdefault(handle.id, 0)
            self._woken = True
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="penstock-answers", daemon=True)
                self._thread.start()

    def row(self, job_id: UUID) -> JobRow | None:
        """Return the job as it is stored now."""
        return self.store.job(job_id)

    def progress(self, job_id: UUID) -> Any:
        """Return what the job last said of how far it is."""
        row = self.store.job(job_id)
        return getattr(load_job(row), "progress", None) if row is not None else None

    def abort(self, job_id: UUID) -> None:
        """End a job that waits or runs."""
        row = self.store.job(job_id)
        if row is None:
            raise JobNotFound(f"there is no job {job_id}")
        load_job(row).abort()

    def _run(self) -> None:
        try:
            listening = self.store.listen(Topic.ENDED, self._wake)
        except StoreClosed as error:
            self._cut_off(error)
            return
        try:
            while self._look():
                with self._changed:
                    if not self._woken:
                        self._changed.wait(CHECK_SECONDS)
                    self._woken = False
        finally:
            listening.close()

    def _wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify()

    def _look(self) -> bool:
        """Give the answers that there are; False when nobody waits any more."""
        with self._changed:
            asked = list(self._watched)
            if not asked:
                self._thread = None
                return False
        try:
            for start in range(0, len(asked), MOST_AT_ONCE):
                self._look_at(asked[start : start + MOST_AT_ONCE])
        except StoreClosed as error:
            return self._cut_off(error)
        except StoreError as error:
            log.warning("answers: %s; looking again", error)
        return True

    def _cut_off(self, error: StoreClosed) -> bool:
        """Wake all who wait. Feedback is for answers, and these jobs have none yet."""
        with self._changed:
            waiting = [handle for handles in self._watched.values() for handle in handles]
            self._watched.clear()
            self._feedback.clear()
            self._thread = None
        for handle in waiting:
            handle.resolve(Answer(State.QUEUED, cut_off=error))
        return False

    def _look_at(self, job_ids: list[UUID]) -> None:
        standings = self.store.job_standings(job_ids)
        for job_id in job_ids:
            state = standings.get(job_id, (None, None))[0]
            if state is None or state in ENDED:
                self._end(job_id)
            elif job_id in self._periods:
                self._end_period(job_id)

    def _end(self, job_id: UUID) -> None:
        answer = answer_of_row(self.store.job(job_id))
        with self._changed:
            handles, feedback = self._watched.pop(job_id), self._feedback.pop(job_id, None)
            self._periods.pop(job_id, None)
        self._give(handles, answer, feedback)

    def _end_period(self, job_id: UUID) -> None:
        row = self.store.job(job_id)
        runs = json.loads(row.fields).get("runs", 0) if row is not None else 0
        if row is None or runs <= self._periods[job_id]:
            return
        with self._changed:
            self._periods[job_id] = runs
            feedback = self._feedback.get(job_id)
            # Who wants each period's answer goes on; who waited for one has it.
            handles = self._watched[job_id] if feedback else self._watched.pop(job_id)
        self._give(handles, answer_of_row(row), feedback)

    def _give(self, handles: list[Handle[Any]], answer: Answer, feedback: Feedback | None) -> None:
        for handle in handles:
            handle.resolve(answer)
        if feedback is not None:
            handle = handles[0]
            error = answer.error(handle.id, handle.kind)
            self._callbacks.do(lambda: call_back(feedback, handle, None if error else answer.value, error))


def answer_of_row(row: JobRow | None) -> Answer:
    """Return the answer of a stored job that has ended, or of the period it has behind it."""
    if row is None:
        return Answer(State.COMPLETED, is_gone=True)
    fields = json.loads(row.fields)
    counts_as = fields.get("abort_counts_as")
    failed = row.state is State.FAILED or (row.state is State.ABORTED and counts_as == "error")
    added, progress = (decode(fields.get(name)) for name in ("added", "progress"))
    return Answer(
        row.state,
        row.result,
        parse_failure(row.exception) if failed else None,
        added,
        progress=progress,
        aborted_from_outside=row.state is State.ABORTED and counts_as is None,
    )


def is_periodic(job: Job) -> bool:
    """Tell whether a job runs again and again."""
    return getattr(job, "period", None) is not None


def is_function_row(row: JobRow) -> bool:
    """Tell of a job as it is stored whether it is a call of a job function, for those who do not know its class."""
    return '"abort_counts_as":' in row.fields


def is_periodic_row(row: JobRow) -> bool:
    """Tell the same of a job as it is stored."""
    return '"period":null' not in row.fields


_open: dict[tuple[str, int], StoredAnswers] = {}
_opening = threading.Lock()


def stored_answers() -> StoredAnswers:
    """Return who watches the current store for this process."""
    store = current_store()
    key = (store.url, os.getpid())
    with _opening:
        present = _open.get(key)
        if present is None or present.store is not store:
            present = _open[key] = StoredAnswers(store)
        return present
