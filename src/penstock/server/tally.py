"""What a server did since it last told the store, minute by minute: for charts, so nothing depends on it."""

from collections import Counter
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

    minutes: dict[datetime, Counter[str]] = field(default_factory=dict)

    def count(self, now: datetime, announced: Iterable[events.Event], completed: int, records: int) -> None:
        """Count what came of one turn: its events, and jobs and records of which none was made."""
        counts = Counter({"completed": completed, "records": records})
        for event_type, number in Counter(map(type, announced)).items():
            if event_type in _COUNTED:
                counts[_COUNTED[event_type]] += number
        if any(counts.values()):
            self.minutes.setdefault(now.replace(second=0, microsecond=0), Counter()).update(counts)

    def store(self, store: Store) -> None:
        """Add all to the figures of the store, and begin anew."""
        for minute, counts in self.minutes.items():
            if counts:
                store.add_figures(FigureRow(minute, **counts))
        self.minutes.clear()
