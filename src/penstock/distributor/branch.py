"""A branch of a distributor: one store, its dispatcher, and who waits for the jobs in it."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.errors import PenstockError
from penstock.functions.feedback import CallbackThread, Feedback, call_back
from penstock.functions.handle import Answer, Handle
from penstock.functions.stored import answer_of_row, is_periodic, is_periodic_row
from penstock.model import storing
from penstock.model.attempt import run_hooks
from penstock.model.failure import Failure, parse_failure
from penstock.model.job import Job
from penstock.model.moves import move_job
from penstock.model.tagged import decode
from penstock.records import decode_value
from penstock.server.dispatcher import Dispatcher
from penstock.server.ledger import Ending
from penstock.server.membership import Membership
from penstock.server.messages import REPLIES, Enqueued, Progressed, Recalled
from penstock.states import ENDED, Move, State
from penstock.store import process_name
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

log = logging.getLogger("penstock.distributor")

_STATES = {Move.COMPLETE: State.COMPLETED, Move.FAIL: State.FAILED, Move.ABORT: State.ABORTED}
_BEFORE_STORING = frozenset({"before_validation", "after_validation", "before_save", "before_create"})
STOPPED = Failure("penstock.DistributorStopped", "the distributor stopped before there was an answer")


@dataclass(slots=True)
class Due:
    """A job that has no answer yet."""

    row: JobRow
    periodic: bool = False
    handle: Handle[Any] | None = None
    """None for one that a job enqueued."""
    feedback: Feedback | None = None
    progress: Any = None


class Branch:
    """Takes jobs, and gives their answers. With a `durable` store a job is on disk when it has been enqueued."""

    def __init__(
        self,
        store: Store,
        hand_out: Callable[[Any, list[Any]], None],
        callbacks: CallbackThread,
        nodes: Callable[[], Sequence[Mapping[str, object]]],
        *,
        durable: bool,
    ) -> None:
        self.store = store
        self.durable = durable
        self.dispatcher = Dispatcher(store, process_name(), hand_out, keeps_nothing=not durable)
        self.dispatcher.on_endings = self._told
        self.dispatcher.heartbeat.nodes = nodes
        self.dispatcher.on_lost = self._broke
        self._name = self.dispatcher.name
        self._membership = Membership(store, self._name, self.dispatcher)
        self._callbacks = callbacks
        self._due: dict[UUID, Due] = {}
        self._changed = threading.Condition()
        self._broken: str | None = None
        """Why it goes no further; None as long as it does."""

    def begin(self) -> None:
        """Take up what is unfinished in the store, and take turns."""
        self._membership.begin(processes=0, slots=0)

    def end(self, grace: float) -> None:
        """Let what runs finish, give the rest back, and disappear. Who still waits for an answer is told so."""
        self.dispatcher.drain(grace)
        self._membership.end()
        self._leave_unanswered(STOPPED)

    def _broke(self, error: PenstockError) -> None:
        """Tell who waits that no answer will come any more: the store is lost, or there is a defect of ours."""
        self._broken = f"the distributor goes no further: {error}"
        log.error(self._broken)
        self.dispatcher.close()
        self._leave_unanswered(Failure("penstock.DistributorStopped", self._broken))

    def _leave_unanswered(self, why: Failure) -> None:
        with self._changed:
            left, self._due = self._due, {}
            self._changed.notify_all()
        for due in left.values():
            if due.handle is not None and not due.handle.done:
                due.handle.resolve(Answer(State.QUEUED, failure=why))

    # From any thread -----------------------------------------------------------------------------

    def enqueue(self, job: Job, feedback: Feedback | None) -> Handle[Any]:
        """Take a new job.

        Raises:
            PenstockError: no job is taken any more, since the store is lost.
        """
        handle: Handle[Any] = Handle(job.id, job.kind, self, periodic=is_periodic(job))
        if not self.durable:
            job.__dict__["destroy_on_complete"] = True  # Its answer is all that anybody can still ask for.
        handle.is_due = True
        due = Due(job.row, handle.periodic, handle, feedback)
        with self._changed:
            if self._broken is not None:
                raise PenstockError(f"{self._broken}; stop it, and start it again")
            self._due[job.id] = due
        try:
            if self.durable or job.unique_by is not None:
                storing.save_new(self.store, [job])
            else:
                self._submit(job)
        except BaseException:
            with self._changed:
                self._due.pop(job.id, None)
            raise
        return handle

    def _submit(self, job: Job) -> None:
        # What was made a moment ago is valid; it is checked again only for hooks that may have changed it.
        row = job.new_row() if _BEFORE_STORING.isdisjoint(job.hooks) else storing.prepare_new(job)
        self.dispatcher.submit([row])
        job.note_stored()
        run_hooks(job, "after_create")
        run_hooks(job, "after_save")

    def watch(self, handle: Handle[Any]) -> None:
        """See to it that the handle gets its answer: it is told anyway, unless it had ended before it was asked for."""
        if handle.is_due:
            return  # That nobody is noted any more who waits for it means that the answer is on its way.
        row = self.store.job(handle.id)
        handle.is_due = True
        with self._changed:
            due = self._due.get(handle.id)
            if due is None and row is not None and row.state not in ENDED:
                due = self._due[handle.id] = Due(row, handle.periodic, handle)
            elif due is not None and due.handle is None:
                due.handle = handle
        if due is None:
            handle.resolve(answer_of_row(row))
        elif due.handle is not handle and due.handle is not None:
            due.handle.add_done_callback(handle.follow)
        else:
            self._look_again(handle)

    def _look_again(self, handle: Handle[Any]) -> None:
        """Give the answer of a job that ended when its handle was not noted yet, and of which nothing is told again."""
        row = self.store.job(handle.id) if self.durable else None
        if row is not None and row.state in ENDED:
            with self._changed:
                due = self._due.pop(handle.id, None)
                self._changed.notify_all()
            if due is not None:
                handle.resolve(answer_of_row(row))

    def row(self, job_id: UUID) -> JobRow | None:
        """Return the job as it is now; None when it is gone."""
        row = self.store.job(job_id)
        if row is None:
            with self._changed:
                due = self._due.get(job_id)
            row = due.row if due is not None else None
        return row

    def progress(self, job_id: UUID) -> Any:
        """Return what the job last said of how far it is."""
        with self._changed:
            due = self._due.get(job_id)
        return due.progress if due is not None else None

    def abort(self, job_id: UUID) -> None:
        """End a job that waits or runs; who waits for it is told so."""
        if not self.dispatcher.withdraw(job_id):
            self.dispatcher.store_held(job_id)
            move_job(self.store, job_id, Move.ABORT)
            if not self.durable:
                self.store.destroy_job(job_id)
        self.dispatcher.wake()
        with self._changed:
            due = self._due.pop(job_id, None)
            self._changed.notify_all()
        if due is not None:
            self._answer(due, Answer(State.ABORTED, aborted_from_outside=True))

    def wait(self, timeout: float | None) -> bool:
        """Wait until every job has its answer, but for periodic ones; False where `timeout` seconds were not enough."""
        deadline = None if timeout is None else clock.monotonic() + timeout
        with self._changed:
            while any(not due.periodic for due in self._due.values()):
                left = None if deadline is None else deadline - clock.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def waiting(self) -> Iterable[Due]:
        """Return the jobs that have no answer yet."""
        with self._changed:
            return list(self._due.values())

    # What nodes say ------------------------------------------------------------------------------

    def take(self, worker: Any, messages: list[Any]) -> None:
        """Take what a worker says."""
        replies = [message for message in messages if isinstance(message, REPLIES)]
        for message in [message for message in messages if not isinstance(message, REPLIES)]:
            match message:
                case Enqueued():
                    self._take_child(message.row)
                case Progressed():
                    self._note_progress(message)
                case Recalled():
                    self.dispatcher.worker_recalled(worker, message.keys)
        if replies:
            self.dispatcher.worker_returned(worker, replies)

    def _take_child(self, row: JobRow) -> None:
        """Take a job that a job has made: stored at the latest together with the end of the other."""
        if not self.durable:
            row.destroy_on_complete = True
        with self._changed:
            self._due.setdefault(row.id, Due(row, is_periodic_row(row)))
        self.dispatcher.submit([row])

    def _note_progress(self, message: Progressed) -> None:
        with self._changed:
            due = self._due.get(message.job_id)
            if due is not None:
                due.progress = decode_value(message.value)

    # In the dispatcher's thread ------------------------------------------------------------------

    def _told(self, endings: list[Ending]) -> None:
        told: list[tuple[Due, Ending]] = []
        with self._changed:
            for ending in endings:
                final = ending.move in _STATES
                if not final and "runs" not in ending.fields:
                    continue  # It is tried again, or has only put itself off.
                due = self._due.pop(ending.row.id, None) if final else self._due.get(ending.row.id)
                if due is not None:
                    told.append((due, ending))
            self._changed.notify_all()
        for due, ending in told:
            self._answer(due, _answer_of(ending))
        if not self.durable:
            for ending in endings:
                if ending.move is Move.ABORT:
                    self.dispatcher.at_leisure(partial(self.store.destroy_job, ending.row.id))

    def _answer(self, due: Due, answer: Answer) -> None:
        handle, feedback = due.handle, due.feedback
        if handle is None:
            return
        handle.resolve(answer)
        if feedback is not None:
            error = answer.error(handle.id, handle.kind)
            self._callbacks.do(lambda: call_back(feedback, handle, None if error else answer.value, error))


def _answer_of(ending: Ending) -> Answer:
    added = ending.fields.get("added")
    return Answer(
        _STATES.get(ending.move, State.QUEUED),
        ending.result,
        parse_failure(ending.failure),
        decode(added) if added else None,
        progress=decode(ending.fields["progress"]) if "progress" in ending.fields else None,
    )
