"""What holds slices of a batch job back that is running: its own number of workers, and a rate limit."""

import json
from datetime import datetime
from typing import Any

from penstock.server.messages import KindFacts
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

AHEAD_SECONDS = 0.1
"""How much of a rate limit may be taken at once, where one slice is less than that."""


class SliceGates:
    """How many slices of each job may be taken, as one claim sees them. Used inside its transaction."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store = store
        self._now = now
        self.opens: datetime | None = None
        """When the first of the jobs held back by a rate limit may go on."""
        self.held = 0
        """How many jobs had as many workers as they may."""

    def allowed(self, row: JobRow, facts: KindFacts, room: int) -> int:
        """Return how many slices of a job may be taken, of those that there is room for."""
        if facts.rate:
            room = self._by_rate(row, facts, facts.rate, room)
        # Few jobs have one: looked for in the text first, since every turn asks for every job.
        if room > 0 and '"throttle_running_workers":null' not in row.fields:
            most = _field(row, "throttle_running_workers", None)
            if most is not None:
                room = min(room, most - self._store.running_slices(row.id))
                self.held += room <= 0
        return room

    def note_taken(self, facts: KindFacts, records: int) -> None:
        """Note how many records begin."""
        if facts.rate and records:
            self._store.spend_rate(facts.name, seconds=facts.rate * records, now=self._now)

    def _by_rate(self, row: JobRow, facts: KindFacts, rate: float, room: int) -> int:
        begins = self._store.next_of_rate(facts.name)
        if begins is not None and begins > self._now:
            self._store.hold_job(row.id, until=begins, reason="its rate limit", now=self._now)
            self.opens = min(begins, self.opens or begins)
            return 0
        return min(room, max(1, int(AHEAD_SECONDS / (rate * max(1, _field(row, "slice_size", 100))))))


def _field(row: JobRow, name: str, default: Any) -> Any:
    return json.loads(row.fields).get(name, default)
