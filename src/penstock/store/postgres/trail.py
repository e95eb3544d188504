"""The audit, figures, and what jobs logged, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import stored
from penstock.store.rows import AuditRow, FigureRow, LogLine
from penstock.store.trail import FIGURES_KEPT, LINES_KEPT, LINES_OF_JOB


class PostgresTrail:
    """What happened."""

    connections: Connections
    sql: dict[str, str]

    @again
    def add_audit(self, row: AuditRow) -> None:
        """Store a line."""
        with self.connections.transaction() as session:
            session.execute(self.sql["add_audit"], [stored(value) for value in row[1:]])

    def audit(
        self,
        *,
        target: str | None = None,
        who: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AuditRow]:
        """Return lines, the newest first."""
        asked: dict[str, Any] = {"target": target, "who": who, "action": action}
        given = {f"{name} = %s": stored(value) for name, value in asked.items() if value is not None}
        if before is not None:
            given["id < %s"] = before
        statement = self.sql["audit"].replace("/* conditions */", " AND ".join(given) or "true")
        return list(map(AuditRow._make, self.connections.fetch(statement, [*given.values(), limit])))

    @again
    def add_figures(self, row: FigureRow) -> None:
        """Add to what is counted for a minute."""
        with self.connections.transaction() as session:
            session.execute(self.sql["add_figures"], row._asdict())
            session.execute(self.sql["drop_figures"], (row.minute - FIGURES_KEPT,))

    def figures(self, since: datetime) -> list[FigureRow]:
        """Return what was counted, the oldest first."""
        return list(map(FigureRow._make, self.connections.fetch(self.sql["figures"], (since,))))

    @again
    def add_log_lines(self, lines: Sequence[LogLine]) -> None:
        """Store lines."""
        jobs = sorted({line.job_id for line in lines})  # In one order: others may trim the same.
        with self.connections.transaction() as session:
            session.execute_many(self.sql["add_log_line"], [[stored(value) for value in line[1:]] for line in lines])
            trims = [{"job_id": job_id, "kept": LINES_OF_JOB} for job_id in jobs]
            session.execute_many(self.sql["trim_log_of_job"], trims)
            session.execute(self.sql["trim_log"], (LINES_KEPT,))

    def log_lines(self, job_id: UUID, *, after: int = 0, limit: int = LINES_OF_JOB) -> list[LogLine]:
        """Return the last lines of a job, the oldest first."""
        rows = self.connections.fetch(self.sql["log_lines"], (job_id, after, limit))
        return list(map(LogLine._make, reversed(rows)))
