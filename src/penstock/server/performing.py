"""Running one piece of work: user code called, and what came of it as a message."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any, cast

from msgspec.structs import replace

from penstock import clock, faults
from penstock.batch.job import BatchJob
from penstock.batch.perform import SliceWork, perform_slice
from penstock.errors import UnknownKind
from penstock.functions.job import FunctionJob
from penstock.model.attempt import Verdict, attempt, attempt_on_loop, failed, held_back, run_hooks, run_until_moved
from penstock.model.failure import let_go
from penstock.model.job import Job, load_as, load_job
from penstock.model.kinds import known_kinds
from penstock.model.sealing import SealedFields
from penstock.plugins.open_transaction import STORE_TROUBLE
from penstock.plugins.store_transaction import StoreTransaction
from penstock.records import encode_value
from penstock.server.concluding import Concluding
from penstock.server.deadlines import Deadlines
from penstock.server.log_pieces import Piece, begin_piece
from penstock.server.messages import Decision, JobDone, LearnJob, Reply, RunHook, RunJob, RunSlice, SliceDone, Task
from penstock.server.settling import UNKNOWN_SECONDS
from penstock.server.spans import UNTRACED, Untraced, traced
from penstock.states import Move
from penstock.store import current_store

LATER_SECONDS = 2.0
"""How long work rests that the store had trouble with."""
HELD_TOO_LONG = (
    "it kept all others from writing for more than {:g} s, the most that perform may take in a transaction of the store"
)
_DEADLINES = Deadlines()
_NO_LIMIT: AbstractContextManager[None] = nullcontext()
_BEFORE = ("before_start", "after_start", "before_batch")
_AFTER = ("after_batch", "before_complete")


class Performer:
    """Runs the pieces of one slot. Batch jobs are kept from slice to slice, each slot its own instance."""

    def __init__(
        self,
        worker_name: str,
        jobs: Mapping[object, LearnJob],
        note_place: Callable[[int], None],
        note_deadline: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._worker_name = worker_name
        self._known = jobs
        self._note_place = note_place
        self._note_deadline = note_deadline
        self._ends: dict[str, float] = {}
        """The moments at which the process is to be killed, by what for."""
        self._loaded: dict[object, tuple[LearnJob, BatchJob]] = {}

    def run(self, task: Task) -> Reply:
        """Run a piece of work of any sort. Whatever user code raises is part of what is returned."""
        with self._piece(task) as piece:
            faults.at("before_perform")
            reply = _RUN[type(task)](self, task)
            piece.failed = reply.failure is not None
            faults.at("after_perform")
        return reply

    def run_job(self, task: RunJob) -> JobDone:
        """Run a regular job."""
        try:
            job = load_job(task.row)
        except UnknownKind:
            return JobDone(task.key, 0.0, None, None, {}, {}, unknown=True)
        except BaseException as error:
            return self._failed(task, error)
        task.row.worker = self._worker_name
        seals = _seals(job)
        begin_piece("perform", job.log_level, seals=seals)
        span = traced(job, seals=seals, attempt=task.row.attempt)
        if not job.in_store_transaction:
            return self._reply(task.key, job, _attempted(job, self._limit(job), span))
        with self._work_in_transaction(cast("StoreTransaction", job)) as concluding:
            reply = self._reply(task.key, job, _attempted(job, concluding.work.timed(), span))
            return concluding.job(job, task, reply, partial(self._end_of, task, job))

    async def run_on_loop(self, task: RunJob) -> JobDone:
        """Run a regular job whose attempt is `async` throughout, on this event loop."""
        with self._piece(task) as piece:
            try:
                job = load_job(task.row)
                job.row.worker = self._worker_name
                begin_piece("perform", job.log_level)
                with traced(job, seals=_seals(job), attempt=job.row.attempt) as span:
                    verdict = await attempt_on_loop(job)
                span.end_job(verdict)
                reply = self._reply(task.key, job, verdict)
            except UnknownKind:
                return JobDone(task.key, 0.0, None, None, {}, {}, unknown=True)
            except BaseException as error:
                reply = self._failed(task, error)
            piece.failed = reply.failure is not None
        return reply

    def run_hook(self, task: RunHook) -> JobDone:
        """Run the methods of a job for a moment."""
        try:
            job = load_job(task.row)
        except UnknownKind:
            return JobDone(task.key, 0.0, None, None, {}, {}, unknown=True)
        except BaseException as error:
            return self._failed(task, error)
        begin_piece(task.moment, job.log_level, seals=_seals(job))
        if task.moment in _MOMENTS_OF_BATCH:
            return self._run_batch_hook(task, cast("BatchJob", job))
        raised: BaseException | None = None
        faults.at("in_hooks")
        for moment in task.moment.split():
            try:
                run_hooks(job, moment)
            except BaseException as error:  # Those of the moves that came after are called all the same.
                raised = raised or error
        faults.at("after_hooks")
        if isinstance(raised, STORE_TROUBLE):
            return JobDone(task.key, 0.0, None, None, {}, {}, _later(raised))
        if raised is not None:
            return JobDone(task.key, 0.0, job.describe(raised, worker_name=self._worker_name).to_json(), None, {}, {})
        columns, fields = _changes(job)
        return JobDone(task.key, 0.0, None, None, columns, fields)

    def _run_batch_hook(self, task: RunHook, job: BatchJob) -> JobDone:
        job.row.worker = self._worker_name
        counted = job.row.record_count or 0
        decided = job.begin_attempt()
        try:
            held = held_back(job, job.throttles) if task.moment == "before_batch" else None
            if held is not None:
                return self._reply(task.key, job, held)
            if task.moment == "before_batch" and task.row.uploader is None:
                # What an earlier attempt uploaded here before it died does not count.
                job.forget_unfinished_upload(current_store(), job.row.record_count or 0)
            faults.at(f"in_{task.moment}")
            run_until_moved(job, _MOMENTS_OF_BATCH[task.moment])
            faults.at(f"after_{task.moment}")
            verdict = decided.verdict()
        except STORE_TROUBLE as error:
            job.forget_moves()
            return JobDone(task.key, 0.0, None, None, {}, {}, _later(error))
        except BaseException as error:
            job.forget_moves()
            verdict = failed(job, error)
        finally:
            job.end_attempt()
        reply = self._reply(task.key, job, verdict)
        if task.moment == "before_batch" and verdict.error is None and (job.row.record_count or 0) != counted:
            reply.columns["record_count"] = job.row.record_count
        return reply

    def run_slice(self, task: RunSlice) -> SliceDone:
        """Run a slice."""
        try:
            job = self._job_of(task)
        except BaseException as error:
            return self._broken_slice(task, error)
        if not job.in_store_transaction:
            return self._run_slice(task, job, nullcontext())
        with self._work_in_transaction(cast("StoreTransaction", job)) as concluding:
            reply = self._run_slice(task, job, concluding.work.timed())
            return concluding.slice(task, reply, partial(self._broken_slice, task))

    def _run_slice(self, task: RunSlice, job: BatchJob, timed: AbstractContextManager[None]) -> SliceDone:
        try:
            begin_piece("slice", job.log_level, lambda: job.record_number, seals=_seals(job))
            watched = task.crash_count or job.timeout is not None
            if watched:
                job.watch_records(self._note_place, lambda: self._limit_of_record(job), alone=task.crash_count > 0)
            work = SliceWork(task.number, task.first_record, task.done, task.payload)
            facts = {"penstock.slice.number": task.number, "penstock.slice.first_record": task.first_record}
            with timed, traced(job, seals=_seals(job), attempt=task.attempt, **facts) as span:
                outcome = perform_slice(job, work, worker_name=self._worker_name)
            span.end_slice(outcome)
        except BaseException as error:
            return self._broken_slice(task, error)
        finally:
            if task.crash_count:
                self._loaded.pop(task.job_id, None)
        let_go(outcome.error)
        failure_text = outcome.failure.to_json() if outcome.failure else None
        decided = _decision(outcome.verdict) if outcome.verdict else None
        if decided:
            self._loaded.pop(task.job_id, None)  # It stands as if the move had been made, which the store decides.
        return SliceDone(
            task.key,
            0.0,
            outcome.done,
            list(outcome.outputs),
            failure_text,
            decided,
            rejected=outcome.rejected,
            statistics=outcome.statistics,
        )

    def _broken_slice(self, task: RunSlice, error: BaseException) -> SliceDone:
        """Return the end of a slice as a whole: what raised was not its `perform`, or the store could not do it."""
        if isinstance(error, UnknownKind):
            # As if it had not begun; the kind rests until a worker is there that knows it.
            return SliceDone(task.key, 0.0, task.done, [], None, _unknown_kind(), unknown=True)
        if isinstance(error, STORE_TROUBLE):
            return SliceDone(task.key, 0.0, task.done, [], None, _later(error))
        loaded = self._loaded.get(task.job_id)
        number = task.first_record + task.done
        if loaded is not None:
            failure = loaded[1].describe(error, worker_name=self._worker_name, record_number=number)
        else:
            learned = self._known.get(task.job_id)
            sealed = _sealed_fields(learned.row.kind) if learned is not None else SealedFields()
            failure = sealed.describe(task.job_id, error, worker_name=self._worker_name, record_number=number)
        return SliceDone(task.key, 0.0, task.done, [], failure.to_json())

    def _end_of(self, task: RunJob, job: Job, error: BaseException) -> JobDone:
        """Return the end of a job whose transaction could not be opened or committed."""
        if isinstance(error, STORE_TROUBLE):
            return JobDone(task.key, 0.0, None, None, {}, {}, _later(error))
        return self._reply(task.key, job, failed(job, error))

    @contextmanager
    def _work_in_transaction(self, job: StoreTransaction) -> Iterator[Concluding]:
        """Let a job work in a transaction of the store's; what is not committed is undone."""
        work = job.begin_work(partial(self._limit_of_work, job))
        try:
            yield Concluding(work, self._worker_name)
        finally:
            work.roll_back()

    def _piece(self, task: Task) -> Piece:
        # A process that dies takes the lines that wait in its queue along: where that has happened, none waits.
        if isinstance(task, RunSlice):
            learned = self._known.get(task.job_id)
            return Piece(
                job_id=task.job_id,
                kind=learned.row.kind if learned is not None else None,
                slice_number=task.number,
                worker=self._worker_name,
                prompt=task.crash_count > 0,
            )
        row = task.row
        return Piece(job_id=row.id, kind=row.kind, worker=self._worker_name, prompt=row.crash_count > 0)

    def _job_of(self, task: RunSlice) -> BatchJob:
        learned = self._known[task.job_id]
        loaded = self._loaded.get(task.job_id)
        if loaded is None or loaded[0] is not learned:
            self._loaded = {job_id: pair for job_id, pair in self._loaded.items() if job_id in self._known}
            loaded = self._loaded[task.job_id] = (learned, cast("BatchJob", load_job(learned.row)))
        return loaded[1]

    def _limit(self, job: Job) -> AbstractContextManager[None]:
        return _NO_LIMIT if job.timeout is None else _DEADLINES.limit(job.timeout, partial(self._note, "timeout"))

    @contextmanager
    def _limit_of_work(self, job: Job, most: float | None) -> Iterator[None]:
        """Limit what is done in a transaction of the store's, from the moment at which it is open."""
        of_job = nullcontext() if job.batch else self._limit(job)
        with _DEADLINES.limit(most, partial(self._note, "transaction"), HELD_TOO_LONG), of_job:
            yield

    def _limit_of_record(self, job: BatchJob) -> AbstractContextManager[None]:
        if job.in_store_transaction:
            cast("StoreTransaction", job).lent_connection()  # To wait for it takes none of the record's time.
        return self._limit(job)

    def _note(self, why: str, moment: float) -> None:
        """Tell when the process is to be killed: at the first moment of those that are noted; 0 takes one back."""
        self._ends.pop(why, None)
        if moment:
            self._ends[why] = moment
        self._note_deadline(min(self._ends.values(), default=0.0))

    def _reply(self, key: int, job: Job, verdict: Verdict) -> JobDone:
        """Return how a job ended, with what its code changed."""
        if verdict.error is not None and verdict.failure is not None:
            verdict.failure.worker_name = self._worker_name
        failure = verdict.failure.to_json() if verdict.failure and verdict.error is not None else None
        if verdict.error is not None:
            let_go(verdict.error)
        plain = verdict.move is Move.COMPLETE or (verdict.move is Move.FAIL and failure is not None)
        gone = plain and job.destroy_on_complete and failure is None and "after_complete" not in job.hooks
        if gone and not job.answers:
            return JobDone(key, 0.0, None, None, {}, {})
        try:
            columns, fields = ({}, {}) if gone and not _tells_more(job) else _changes(job)
            tells = _TELLING if job.answers else _COLLECTING
            collects = verdict.move in tells and job.collect_output and verdict.value is not None
            stored = encode_value(verdict.value) if collects else None
            if job.answers and verdict.move is Move.ABORT and verdict.failure is not None:
                columns["exception"] = verdict.failure.to_json()
        except BaseException as error:
            if failure is None:
                return JobDone(key, 0.0, job.describe(error, worker_name=self._worker_name).to_json(), None, {}, {})
            # What it was going to say is worth more than what it changed.
            (columns, fields), stored = _changes_of_failure(job), None
        return JobDone(key, 0.0, failure, stored, columns, fields, None if plain else _decision(verdict))

    def _failed(self, task: RunJob | RunHook, error: BaseException) -> JobDone:
        failure = _sealed_fields(task.row.kind).describe(task.row.id, error, worker_name=self._worker_name)
        return JobDone(task.key, 0.0, failure.to_json(), None, {}, {})


_RUN: Mapping[type, Callable[[Performer, Any], Reply]] = {
    RunSlice: Performer.run_slice,
    RunHook: Performer.run_hook,
    RunJob: Performer.run_job,
}
_COLLECTING = frozenset({Move.COMPLETE})
_TELLING = frozenset({Move.COMPLETE, Move.ABORT, Move.REQUEUE})
_MOMENTS_OF_BATCH = {"before_batch": _BEFORE, "after_batch": _AFTER}


def _attempted(job: Job, limit: AbstractContextManager[None], span: Untraced) -> Verdict:
    """Return what came of an attempt at a regular job within a limit and a span."""
    if limit is _NO_LIMIT and span is UNTRACED:  # As nearly all are: to enter what does nothing takes time.
        return attempt(job)
    try:
        with limit, span:
            verdict = attempt(job)
    except BaseException as error:  # The time-out, in the midst of our own code.
        verdict = failed(job, error)
    span.end_job(verdict)
    return verdict


def _sealed_fields(kind: str) -> SealedFields:
    cls = known_kinds().get(kind)
    return cls.sealed_fields if cls is not None else SealedFields()


def _seals(job: Job) -> bool:
    return cast("BatchJob", job).seals_anything if job.batch else bool(job.sealed_fields.names)


def _tells_more(job: Job) -> bool:
    """Tell whether who waits for a job that goes with its end is to be told more than its result."""
    return isinstance(job, FunctionJob) and (bool(job.added) or job.progress is not None)


def _unknown_kind() -> Decision:
    at = clock.now() + timedelta(seconds=UNKNOWN_SECONDS)
    return Decision(Move.REQUEUE, at, "its worker does not know the kind", True, None)


def _later(error: BaseException) -> Decision:
    at = clock.now() + timedelta(seconds=LATER_SECONDS)
    return Decision(Move.REQUEUE, at, " ".join(str(error).split()), False, None)


def _decision(verdict: Verdict) -> Decision:
    failure = verdict.failure.to_json() if verdict.failure and verdict.error is None else None
    return Decision(verdict.move, verdict.at, verdict.reason, verdict.kind_wide, failure)


def _changes_of_failure(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what an attempt that failed says of the failure: it must count though nothing else can be stored."""
    if not job.kept_of_failures:
        return {}, {}
    fresh = load_as(type(job), replace(job.row))
    for name in job.kept_of_failures:
        setattr(fresh, name, getattr(job, name))
    return _changes(fresh)


def _changes(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    columns: dict[str, Any] = job.changed_values()
    fields: dict[str, Any] = columns.pop("fields", {})
    return columns, fields
