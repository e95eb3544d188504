"""What workers have been told of batch jobs: each learns of a job before its first slice, and anew when it changed."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from penstock.server.messages import LearnJob
from penstock.server.seats import Assignment
from penstock.server.settling import HeldSlice
from penstock.store.rows import JobRow


class Lessons:
    """The batch jobs under way, and which worker knows which. Workers come and go in any thread."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._known: dict[Any, set[UUID]] = {}
        self.batches: dict[UUID, JobRow] = {}

    def join(self, worker: Any) -> None:
        """Note a worker that knows nothing yet."""
        with self._changing:
            self._known[worker] = set()

    def leave(self, worker: Any) -> None:
        """Note that a worker is gone."""
        with self._changing:
            self._known.pop(worker, None)

    def before(self, worker: Any, pieces: Iterable[Assignment]) -> list[LearnJob]:
        """Return what a worker must be told before it gets these pieces; nothing for one that has just died."""
        if not self.batches:
            return []
        wanted = {piece.subject.job_id for piece in pieces if isinstance(piece.subject, HeldSlice)}
        with self._changing:
            known = self._known.get(worker)
            if known is None:
                return []
            news = wanted - known
            known |= news
        return [LearnJob(self.batches[job_id]) for job_id in news]

    def learn(self, rows: Mapping[UUID, JobRow]) -> None:
        """Note batch jobs as they are now; workers are told again of those that have changed."""
        edited = [job_id for job_id, row in rows.items() if self.batches.get(job_id) != row]
        self.batches.update(rows)
        with self._changing:
            for known in self._known.values():
                known.difference_update(edited)

    def forget(self, job_id: UUID) -> list[Any]:
        """Forget a batch job; returns the workers that are to be told so."""
        self.batches.pop(job_id, None)
        with self._changing:
            told = [worker for worker, known in self._known.items() if job_id in known]
            for worker in told:
                self._known[worker].discard(job_id)
        return told
