"""What a server did since it last told the store, minute by minute: for charts, so nothing depends on it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from penstock import events
from penstock.store.protocol import Store
from penstock.store.rows import FigureRow

_COUNTED = {
    events.JobCompleted: "completed",
    events.JobFailed: "failed",
    events.JobRetried: "retried",
    events.SliceFailed: "failed_slices",
}
"""The column that counts each event."""


@dataclass(slots=True)
class Tally:
    """Counts of the minutes that are not stored yet. What a server that is killed had not told yet is not counted."""

    minutes: dict[datetime, dict[str, int]] = field(default_factory=dict)

    def count(self, now: datetime, announced: Iterable[events.Event], records: int) -> None:
        """Count what came of one turn."""
        if not (announced or records):
            return
        counts = self.minutes.setdefault(now.replace(second=0, microsecond=0), {})
        for event in announced:
            column = _COUNTED.get(type(event))
            if column is not None:
                counts[column] = counts.get(column, 0) + 1
        if records:
            counts["records"] = counts.get("records", 0) + records

    def store(self, store: Store) -> None:
        """Add all to the figures of the store, and begin anew."""
        for minute, counts in self.minutes.items():
            if counts:
                store.add_figures(FigureRow(minute, **counts))
        self.minutes.clear()
