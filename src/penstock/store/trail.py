"""What a store keeps of what happened, for people: the audit, figures, and the last lines that jobs logged."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from penstock.store.rows import AuditRow, FigureRow, LogLine

FIGURES_KEPT = timedelta(days=7)
LINES_OF_JOB = 200
"""Lines that are kept of one job."""
LINES_KEPT = 100_000
"""Lines that are kept of all jobs together."""


class AuditStore(Protocol):
    """What people did."""

    def add_audit(self, row: AuditRow) -> None:
        """Store a line, in the transaction that is open where there is one. The store gives it its id."""

    def audit(
        self,
        *,
        target: str | None = None,
        who: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AuditRow]:
        """Return lines, the newest first, below the id `before`; reads no more rows than are asked for by one name."""


class FigureStore(Protocol):
    """What servers did, minute by minute."""

    def add_figures(self, row: FigureRow) -> None:
        """Add to what is counted for a minute. Minutes that are older than `FIGURES_KEPT` before it go."""

    def figures(self, since: datetime) -> list[FigureRow]:
        """Return what was counted, the oldest first, in minutes that began at `since` or later and had anything."""


class LogStore(Protocol):
    """The last lines that jobs logged."""

    def add_log_lines(self, lines: Sequence[LogLine]) -> None:
        """Store lines. Only the last `LINES_OF_JOB` of a job are kept, and about `LINES_KEPT` of all."""

    def log_lines(self, job_id: UUID, *, after: int = 0, limit: int = LINES_OF_JOB) -> list[LogLine]:
        """Return the last lines of a job behind the id `after`, the oldest first."""
