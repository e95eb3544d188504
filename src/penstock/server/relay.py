"""In a worker of a node: what its work says to the distributor that sent it, while it runs."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from penstock.errors import PenstockError
from penstock.functions.feedback import Feedback
from penstock.functions.handle import Handle
from penstock.functions.job import FunctionJob
from penstock.model import storing
from penstock.model.job import Job
from penstock.records import encode_value
from penstock.server.messages import Enqueued, Progressed
from penstock.store.rows import JobRow

RUNNING: ContextVar[int] = ContextVar("running")
"""The key of the piece of work that this thread, or task, is at."""


class Relay:
    """Where `enqueue` goes in a worker of a node. What it sends arrives before the end of the job that sent it."""

    def __init__(self, send: Callable[[list[Any]], object]) -> None:
        self._send = send

    def enqueue(self, job: Job, feedback: Feedback | None) -> Handle[Any]:
        """Send a new job.

        Raises:
            PenstockError: this is no thread or task of a job; or feedback is asked for, which only applications get.
        """
        if feedback is not None:
            raise PenstockError(
                "on_success and on_error are called in the application: enqueue it there, "
                "or add a callback to the function"
            )
        row = storing.prepare_new(job)
        self._send([Enqueued(_key(), row)])
        job.note_stored()
        return Handle(job.id, job.kind, self)

    def tell_progress(self, job: FunctionJob, value: Any) -> None:
        """Send how far a running job is."""
        self._send([Progressed(_key(), job.id, encode_value(value))])

    def watch(self, handle: Handle[Any]) -> None:
        """Refuse: a job that waits for others would keep them from its own slot."""
        raise PenstockError(f"{handle!r} was enqueued inside a job: its answer goes to the application, not here")

    def row(self, job_id: UUID) -> JobRow | None:
        """Refuse."""
        raise PenstockError(f"job {job_id} was enqueued inside a job: only the application knows how it is")

    def progress(self, job_id: UUID) -> Any:
        """Refuse."""
        return self.row(job_id)

    def abort(self, job_id: UUID) -> None:
        """Refuse."""
        self.row(job_id)


def _key() -> int:
    key = RUNNING.get(None)
    if key is None:
        raise PenstockError("on a node, only the thread or task that runs a job can enqueue or tell its progress")
    return key
