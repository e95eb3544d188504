"""New jobs of a store that keeps nothing: they wait here, and never reach it unless more than their end is to be kept.

A job that is due, counts against no limit and is destroyed when it completes is known to nobody but the dispatcher and
who waits for it. It is stored as soon as anything else comes of it: a retry, a failure, a crash, a hook.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from penstock.server.messages import KindFacts
from penstock.store.rows import JobRow

_Entry = tuple[int, int, JobRow]


class Express:
    """The jobs that wait, most urgent first for each kind."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Entry]] = {}

    def put(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """Take new jobs; returns those that are to be stored."""
        others = []
        for row in rows:
            if _is_plain(row):
                heapq.heappush(self._waiting.setdefault(row.kind, []), (row.priority, row.id.int, row))
            else:
                others.append(row)
        return others

    def take_bound(self, kinds: Mapping[str, KindFacts]) -> list[JobRow]:
        """Return, and forget, the jobs of kinds that something limits: they are to be stored."""
        bound = [kind for kind in self._waiting if kind in kinds and (kinds[kind].limit or kinds[kind].depends_on)]
        return [row for kind in bound for _, _, row in self._waiting.pop(kind)]

    def first(self, kinds: Iterable[str]) -> JobRow | None:
        """Return the most urgent job of these kinds, or None; it stays."""
        tops = [self._waiting[kind][0] for kind in kinds if self._waiting.get(kind)]
        return min(tops)[2] if tops else None

    def pop(
        self, kind: str, kinds: Iterable[str], *, most: int, size: int, alike: Callable[[JobRow], bool]
    ) -> list[JobRow]:
        """Return, and forget, the most urgent job of a kind, and those right behind it that are alike.

        Args:
            kind: The kind; its most urgent job is the most urgent of all `kinds`.
            kinds: The kinds whose order is kept.
            most: Jobs that are wanted, one at least.
            size: Bytes after which no more are.
            alike: Tells of a job whether it may come along.
        """
        entries = self._waiting[kind]
        bound = min((top for other in kinds if other != kind for top in self._waiting.get(other, ())[:1]), default=None)
        first = heapq.heappop(entries)[2]
        taken, size = [first], size - len(first.fields)
        while len(taken) < most and size > 0 and entries and (bound is None or entries[0] < bound):
            if entries[0][0] != first.priority or not alike(entries[0][2]):
                break
            taken.append(heapq.heappop(entries)[2])
            size -= len(taken[-1].fields)
        return taken

    def withdraw(self, job_id: UUID) -> bool:
        """Forget a job; False when it does not wait here."""
        for kind, entries in self._waiting.items():
            kept = [entry for entry in entries if entry[2].id != job_id]
            if len(kept) < len(entries):
                heapq.heapify(kept)
                self._waiting[kind] = kept
                return True
        return False


def _is_plain(row: JobRow) -> bool:
    return (
        row.destroy_on_complete
        and not row.batch
        and row.run_at is None
        and row.expires_at is None
        and row.unique_key is None
        and row.throttle_group is None
    )


class Arrivals:
    """New jobs that came without the store: what is to be stored with the next turn, and what need not be."""

    def __init__(self, *, keeps_nothing: bool) -> None:
        self._fresh: list[JobRow] = []
        self.express = Express() if keeps_nothing else None

    @property
    def count(self) -> int:
        """How many came since the last turn."""
        return len(self._fresh)

    def add(self, rows: Iterable[JobRow]) -> bool:
        """Take new jobs; tells whether they are the first since the last turn."""
        first = not self._fresh
        self._fresh += rows
        return first

    def withdraw(self, job_id: UUID) -> bool:
        """Forget a job that is not stored yet; False when it is."""
        kept = [row for row in self._fresh if row.id != job_id]
        withdrawn, self._fresh = len(kept) < len(self._fresh), kept
        return withdrawn or (self.express is not None and self.express.withdraw(job_id))

    def take(self, kinds: Mapping[str, KindFacts]) -> list[JobRow]:
        """Return the jobs that a turn is to store; the others wait here to be claimed."""
        fresh, self._fresh = self._fresh, []
        return fresh if self.express is None else self.express.put(fresh) + self.express.take_bound(kinds)

    def put_back(self, rows: list[JobRow]) -> None:
        """Take jobs again that a turn has not stored."""
        self._fresh[:0] = rows
