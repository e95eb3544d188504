"""Lists of jobs in pages, at the same cost however many jobs there are: each page is a walk along one index.

What an index cannot answer is looked for among the next `scan` jobs of the walk; the page then says where it got to.
Counts stop at a number. Both engines share the walks, and say how values and conditions are written.
"""

import heapq
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

from penstock import clock
from penstock.errors import InvalidQuery
from penstock.query import Filter
from penstock.states import SliceState
from penstock.store.rows import JobRow, StripPart

MOST_RUNNING = 2_000
"""Running jobs that are looked at: more do not run, unless as many batch jobs are under way."""
MOST_KINDS = 500
"""Kinds with jobs that may start whose walks are merged."""
LONG_SECONDS = 5.0
"""How long a list that was too long to be counted is not counted again."""
SLACK = 20
"""Rows that a walk may meet which are not to be shown, as drafts, without going on to the next page for them."""


class Listing(StrEnum):
    """A list of jobs, with its order."""

    ALL = "all"
    """The newest first."""
    RUNNING = "running"
    """The most urgent first."""
    QUEUED = "queued"
    """What may start, the most urgent first; then what may start of throttle groups; then what is held; what is for
    later comes last."""
    QUEUED_NOW = "queued_now"
    """The same without what is for later."""
    SCHEDULED = "scheduled"
    """What is for later, the next first."""
    PAUSED = "paused"
    """The last paused first; so with those below."""
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class Page(NamedTuple):
    """A part of a list."""

    rows: list[JobRow]
    next: str | None
    """Where the next page begins; None where nothing is left."""


class Wanted(NamedTuple):
    """What jobs of a list are wanted."""

    filters: Sequence[Filter] = ()
    kinds: Sequence[str] = ()
    """Any of them; empty means all."""
    search: str | None = None
    """Text, in any case of letters, in the kind or the description."""

    @property
    def anything(self) -> bool:
        """Whether every job is wanted."""
        return not (self.filters or self.kinds or self.search)


class BrowseStore(Protocol):
    """Lists and counts for people."""

    def browse(
        self, listing: Listing, wanted: Wanted, *, after: str | None = None, limit: int, scan: int, newest: bool = True
    ) -> Page:
        """Return a page of a list.

        A filter that asks whether an indexed field equals something leads along its index, the newest job first;
        else up to `scan` jobs of the list are looked through. There may be fewer jobs than `limit`, and more behind.

        Args:
            listing: The list.
            wanted: Which of its jobs.
            after: `next` of the page before.
            limit: Jobs at most.
            scan: Jobs looked through at most.
            newest: False turns the list of all jobs round.

        Raises:
            InvalidQuery: `after` is not from a page of this list.
        """

    def counts_up_to(self, most: int) -> dict[str, int]:
        """Return how many jobs there are in each `Listing` but `all`; counting stops at `most` for each part of one.

        A part that had so many may be told as such for a few seconds more.
        """

    def is_indexed(self, name: str) -> bool:
        """Tell whether there is an index of a field of the document."""

    def oldest_waiting(self) -> UUID | None:
        """Return the oldest job that may start, without a throttle group; a seek for each kind and priority."""

    def slice_strip(self, job_id: UUID, parts: int) -> list[StripPart]:
        """Return what is in each run of the slices of a job's main input: few seeks for each of `parts` runs."""

    def slice_counts_up_to(self, job_id: UUID, most: int) -> dict[SliceState, int]:
        """Return how many slices of a job are in each state; counting stops at `most`."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A part of a list: the rows of one index, in its order."""

    name: str
    where: str
    """Free of values but `{now}`."""
    keys: tuple[tuple[str, str], ...]
    """Expressions of the order before the id, each with its type: `moment`, `int` or `text`."""
    descending: bool = False
    hint: str = ""
    """The index, where the engine can be told."""


class Walks:
    """`BrowseStore` for an engine of SQL, which says how it writes things."""

    mark: str
    """How a value is marked in a statement."""
    walks: ClassVar[dict[str, Walk]]
    jobs_table: str
    job_columns: str

    # What an engine says ---------------------------------------------------------------------------

    def select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        raise NotImplementedError

    def row_of(self, columns: tuple[Any, ...]) -> JobRow:
        """Return the job of a selected row."""
        raise NotImplementedError

    def written(self, value: Any) -> Any:
        """Return a value as the engine keeps it."""
        raise NotImplementedError

    def told(self, value: Any) -> Any:
        """Return a value of a key as JSON has it."""
        return value.isoformat() if isinstance(value, datetime) else value.hex if isinstance(value, UUID) else value

    def read_back(self, value: Any, type_: str) -> Any:
        """Return a value of a key that was told."""
        if type_ == "id":
            return self.written(UUID(hex=value))
        return self.written(datetime.fromisoformat(value)) if type_ == "moment" else value

    def condition_of(self, filter_: Filter) -> tuple[str, list[Any]]:
        """Return a filter as SQL with its values."""
        raise NotImplementedError

    def search_condition(self) -> str:
        """Return the condition that a text is in the kind or the description; it takes the text twice."""
        raise NotImplementedError

    def runnable_kinds(self) -> list[str]:
        """Return the kinds that have jobs which may start, without a throttle group; one seek for each."""
        raise NotImplementedError

    def is_indexed(self, name: str) -> bool:
        """Tell whether there is an index of a field of the document."""
        raise NotImplementedError

    # Pages -----------------------------------------------------------------------------------------

    def browse(
        self, listing: Listing, wanted: Wanted, *, after: str | None = None, limit: int, scan: int, newest: bool = True
    ) -> Page:
        """Return a page of a list."""
        led_by = next((it for it in wanted.filters if self._leads(it)), None)
        if led_by is not None:
            names: tuple[str, ...] = ("led",)
        elif listing is Listing.ALL:
            names = ("all",) if newest else ("oldest",)
        else:
            names = PARTS[listing]
        part, key = self._place(after, names)
        found: list[JobRow] = []
        for name in names[names.index(part) :]:
            rows, key, ended = self._walk_on(name, listing, led_by, wanted, key, limit - len(found), scan)
            found += rows
            if not ended:
                return Page(found, _cursor(name, key or []))
            key = None
            if len(found) >= limit and name != names[-1]:
                return Page(found, _cursor(names[names.index(name) + 1], []))
        return Page(found, None)

    def _leads(self, filter_: Filter) -> bool:
        equals = filter_.operator == "eq" and filter_.value is not None and not filter_.is_column
        return equals and isinstance(filter_.value, str | int | float) and self.is_indexed(filter_.name)

    def _place(self, after: str | None, names: Sequence[str]) -> tuple[str, list[Any] | None]:
        if after is None:
            return names[0], None
        try:
            part, key = json.loads(urlsafe_b64decode(after.encode()))
            types = [type_ for _, type_ in self.walks.get(part, self.walks["all"]).keys] + ["id"]
            values = [self.read_back(value, type_) for value, type_ in zip(key, types, strict=True)] if key else None
        except (ValueError, TypeError, AttributeError):
            raise InvalidQuery(f"after={after!r} is no place in a list: take `next` of the page before") from None
        if part not in names:
            raise InvalidQuery(f"after={after!r} is a place in another list")
        return part, values

    def _walk_on(
        self,
        name: str,
        listing: Listing,
        led_by: Filter | None,
        wanted: Wanted,
        key: list[Any] | None,
        limit: int,
        scan: int,
    ) -> tuple[list[JobRow], list[Any] | None, bool]:
        """Return jobs of one walk, where it got to, and whether it has ended."""
        if name == "may_start":
            return self._merged(wanted, key, limit, scan)
        walk = self.walks[name]
        where, values = walk.where, []
        outer, outer_values = self._wanted(wanted)
        if led_by is not None:
            part, part_values = self.condition_of(led_by)
            where, values = f"{where} AND {part}" if where else part, list(part_values)
            due, due_values = self._due(listing)
            outer, outer_values = f"{outer} AND {STATES_OF[listing]}{due}", [*outer_values, *due_values]
        return self._stretch(walk, where, values, (outer, outer_values), key, limit, scan, bare=wanted.anything)

    def _due(self, listing: Listing) -> tuple[str, list[Any]]:
        now = [self.written(clock.now())]
        if listing is Listing.SCHEDULED:
            return f" AND run_at > {self.mark}", now
        return (f" AND (run_at IS NULL OR run_at <= {self.mark})", now) if listing is Listing.QUEUED_NOW else ("", [])

    def _stretch(
        self,
        walk: Walk,
        where: str,
        values: list[Any],
        outer: tuple[str, list[Any]],
        key: list[Any] | None,
        limit: int,
        scan: int,
        *,
        bare: bool,
    ) -> tuple[list[JobRow], list[Any] | None, bool]:
        size = limit + 1 + SLACK if bare else scan
        inner, inner_values = self._inner(walk, where, values, key)
        count = len(walk.keys) + 1
        keys = ", ".join(f"k{number}" for number in range(count))
        statement = (
            f"SELECT {self.job_columns}, {keys} FROM ({inner} LIMIT {size}) AS walked"  # noqa: S608
            f" WHERE {outer[0]} LIMIT {limit + 1}"
        )
        rows = self.select(statement, [*inner_values, *outer[1]])
        jobs = [self.row_of(row[:-count]) for row in rows]
        if len(rows) > limit:
            return jobs[:limit], [self.told(value) for value in rows[limit - 1][-count:]], False
        if limit <= 0:
            return [], None, not rows
        far = self.select(
            f"SELECT {keys} FROM ({inner} LIMIT 1 OFFSET {size - 1}) AS walked",  # noqa: S608
            inner_values,
        )
        return jobs, [self.told(value) for value in far[0]] if far else None, not far

    def _inner(self, walk: Walk, where: str, values: list[Any], key: list[Any] | None) -> tuple[str, list[Any]]:
        expressions = [expression for expression, _ in walk.keys] + ["id"]
        direction, beyond = ("DESC", "<") if walk.descending else ("ASC", ">")
        parts, bound = [part for part in [where] if part], self._times(where)
        bound += values
        if key is not None:
            parts.append(f"({', '.join(expressions)}) {beyond} ({', '.join([self.mark] * len(key))})")
            bound += key
        named = ", ".join(f"{expression} AS k{number}" for number, expression in enumerate(expressions))
        order = ", ".join(f"{expression} {direction}" for expression in expressions)
        return (
            f"SELECT {self.job_columns}, {named} FROM {self.jobs_table}{walk.hint}"  # noqa: S608
            f" WHERE {' AND '.join(parts).replace('{now}', self.mark) or 'true'} ORDER BY {order}"
        ), bound

    def _times(self, where: str) -> list[Any]:
        return [self.written(clock.now())] * where.count("{now}")

    def _wanted(self, wanted: Wanted) -> tuple[str, list[Any]]:
        parts, values = ["NOT draft"], []
        for filter_ in wanted.filters:
            part, more = self.condition_of(filter_)
            parts.append(f"({part})")
            values += more
        if wanted.kinds:
            parts.append(f"kind IN ({', '.join([self.mark] * len(wanted.kinds))})")
            values += wanted.kinds
        if wanted.search:
            parts.append(f"({self.search_condition()})")
            values += [wanted.search.lower()] * 2
        return " AND ".join(parts), values

    def _merged(
        self, wanted: Wanted, key: list[Any] | None, limit: int, scan: int
    ) -> tuple[list[JobRow], list[Any] | None, bool]:
        """Return jobs of all kinds that may start, by priority and id: a walk for each kind, merged."""
        kinds = [kind for kind in self.runnable_kinds() if not wanted.kinds or kind in wanted.kinds][:MOST_KINDS]
        walk, outer = self.walks["may_start"], self._wanted(wanted._replace(kinds=()))
        bare = wanted._replace(kinds=()).anything
        each = max(limit + 1, scan // max(1, len(kinds)))
        found: list[list[tuple[Any, ...]]] = []
        for kind in kinds:
            inner, values = self._inner(walk, f"{walk.where} AND kind = {self.mark}", [kind], key)
            size = limit + 1 if bare else each
            found.append(
                self.select(
                    f"SELECT priority, id, matches FROM (SELECT *, ({outer[0]}) AS matches FROM ({inner} LIMIT {size})"  # noqa: S608
                    " AS walked) AS judged",
                    [*outer[1], *values],
                )
            )
        # No kind was looked at beyond this: what others have behind it comes on the next page.
        ends = [rows[-1][:2] for rows in found if len(rows) >= (limit + 1 if bare else each)]
        frontier = min(ends, default=None)
        merged = [row for row in heapq.merge(*found) if frontier is None or row[:2] <= frontier]
        matching = [row for row in merged if row[2]]
        jobs = self._jobs([row[1] for row in matching[:limit]])
        if len(matching) > limit:
            return jobs, [self.told(value) for value in matching[limit - 1][:2]] if limit else None, False
        return jobs, [self.told(value) for value in frontier] if frontier else None, frontier is None

    def _jobs(self, ids: Iterable[Any]) -> list[JobRow]:
        wanted = list(ids)
        if not wanted:
            return []
        rows = self.select(
            f"SELECT {self.job_columns} FROM {self.jobs_table} WHERE id IN ({', '.join([self.mark] * len(wanted))})",  # noqa: S608
            wanted,
        )
        return sorted(map(self.row_of, rows), key=lambda row: (row.priority, row.id))

    # Counts ----------------------------------------------------------------------------------------

    def counts_up_to(self, most: int) -> dict[str, int]:
        """Return how many jobs there are in each list but that of all."""
        counts = {name: self._counted(walk, most) for name, walk in self.walks.items() if name in _COUNTED}
        told = {str(listing): sum(counts[name] for name in PARTS[listing]) for listing in PARTS}
        return {name: min(count, most) for name, count in told.items()}

    def _counted(self, walk: Walk, most: int) -> int:
        """Count; what is so long that counting stopped is not counted again for a while: it will still be."""
        long: dict[tuple[str, int], float] = self.__dict__.setdefault("_long_walks", {})
        now = clock.monotonic()
        if now - long.get((walk.name, most), float("-inf")) < LONG_SECONDS:
            return most
        count = self._count(walk, most)
        if count >= most:
            long[walk.name, most] = now
        else:
            long.pop((walk.name, most), None)
        return count

    def _count(self, walk: Walk, most: int) -> int:
        where = walk.where.replace("{now}", self.mark)
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {self.jobs_table}{walk.hint} WHERE {where} LIMIT {most}) AS n"  # noqa: S608
        return int(self.select(statement, self._times(walk.where))[0][0])


PARTS: dict[Listing, tuple[str, ...]] = {
    Listing.RUNNING: ("running",),
    Listing.QUEUED: ("may_start", "grouped", "held", "scheduled"),
    Listing.QUEUED_NOW: ("may_start", "grouped", "held"),
    Listing.SCHEDULED: ("scheduled",),
    Listing.PAUSED: ("paused",),
    Listing.COMPLETED: ("completed",),
    Listing.FAILED: ("failed",),
    Listing.ABORTED: ("aborted",),
}
"""The walks that each list is made of, one behind the other."""
_COUNTED = frozenset(name for names in PARTS.values() for name in names)
STATES_OF: dict[Listing, str] = {
    listing: f"state = '{'queued' if listing in ('queued_now', 'scheduled') else listing}'" for listing in Listing
} | {Listing.ALL: "NOT draft"}
"""The condition for a job to be in a list, but for what is due."""


def _cursor(part: str, key: Sequence[Any]) -> str:
    return urlsafe_b64encode(json.dumps([part, list(key)]).encode()).decode()
