"""The log of a worker's pieces of work: when each began, and how it ended. At debug level, and free above it."""

import logging
import time
from collections.abc import Callable

from penstock.server.log_context import CURRENT, JobContext

log = logging.getLogger("penstock.worker")


class Piece(JobContext, eq=False):
    """The context of a piece of work, which tells its beginning and its end."""

    failed: bool = False
    """Set where it failed without an exception that comes out."""
    _name: str = ""
    _began: float = 0.0

    def leave(self, error: BaseException | None) -> None:
        """Tell how it ended, if its beginning was told."""
        if self._began:
            how = "Failed" if self.failed or error is not None else "Completed"
            facts = {"duration": round(time.perf_counter() - self._began, 6), "metric": f"{self.kind}/{self._name}"}
            log.debug("%s #%s", how, self._name, extra=facts)
        super().leave(error)

    def tell_start(self, name: str) -> None:
        """Say that it begins."""
        self._name = name
        self._began = time.perf_counter()
        self._loud = True
        log.debug("Start #%s", name)


def begin_piece(
    name: str, level: str | None, record_number: Callable[[], int] | None = None, *, seals: bool = True
) -> None:
    """Say that the piece of work begins that this thread is in, if it is in one.

    Args:
        name: What it is: `perform`, `slice`, or the moment of its hooks, as `before_batch`.
        level: The job's own `log_level`, known only now that the job is read.
        record_number: Gives the number of the record that is performed.
        seals: Whether something of the job is sealed.
    """
    piece = CURRENT.get()
    if isinstance(piece, Piece):
        piece.record_number = record_number
        piece.seals = seals
        if level is not None:
            piece.use_level(level)
        if log.isEnabledFor(logging.DEBUG):
            piece.tell_start(name)
