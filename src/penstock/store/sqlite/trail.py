"""The audit, figures, and what jobs logged, in SQLite."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.clock import from_micros
from penstock.store.rows import AuditRow, FigureRow, LogLine
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import stored
from penstock.store.sqlite.jobs import SQL
from penstock.store.trail import FIGURES_KEPT, LINES_KEPT, LINES_OF_JOB


class SqliteTrail:
    """What happened."""

    connections: Connections

    def add_audit(self, row: AuditRow) -> None:
        """Store a line."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["add_audit"], [stored(value) for value in row[1:]])

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
        asked = {"target": target, "who": who, "action": action}
        given = {f"{name} = ?": value for name, value in asked.items() if value is not None}
        if before is not None:
            given["id < ?"] = before  # type: ignore[assignment]
        conditions = " AND ".join(given) or "true"
        statement = SQL["audit"].replace("/* conditions */", conditions)
        with self.connections.reading() as connection:
            return list(map(_audit_row, connection.execute(statement, [*given.values(), limit]).fetchall()))

    def add_figures(self, row: FigureRow) -> None:
        """Add to what is counted for a minute."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["add_figures"], {name: stored(value) for name, value in row._asdict().items()})
            connection.execute(SQL["drop_figures"], (stored(row.minute - FIGURES_KEPT),))

    def figures(self, since: datetime) -> list[FigureRow]:
        """Return what was counted, the oldest first."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["figures"], (stored(since),)).fetchall()
        return [FigureRow(from_micros(row[0]), *row[1:]) for row in rows]

    def add_log_lines(self, lines: Sequence[LogLine]) -> None:
        """Store lines."""
        with self.connections.transaction() as connection:
            connection.executemany(SQL["add_log_line"], [[stored(value) for value in line[1:]] for line in lines])
            jobs = {line.job_id for line in lines}
            trims = [{"job_id": job_id.bytes, "kept": LINES_OF_JOB} for job_id in jobs]
            connection.executemany(SQL["trim_log_of_job"], trims)
            connection.execute(SQL["trim_log"], (LINES_KEPT,))

    def log_lines(self, job_id: UUID, *, after: int = 0, limit: int = LINES_OF_JOB) -> list[LogLine]:
        """Return the last lines of a job, the oldest first."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["log_lines"], (job_id.bytes, after, limit)).fetchall()
        return [LogLine(row[0], UUID(bytes=row[1]), from_micros(row[2]), *row[3:]) for row in reversed(rows)]


def _audit_row(row: tuple[Any, ...]) -> AuditRow:
    return AuditRow(row[0], from_micros(row[1]), *row[2:])
