"""Lists of jobs as walks: each page goes along one index, or along one for each part of its list.

What an index cannot answer is looked for among the next `scan` jobs of the walk; the page then says where it got to.
Counts stop at a number. Both engines share the walks, and say how values and conditions are written.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, ClassVar
from uuid import UUID

from penstock import clock
from penstock.errors import InvalidQuery
from penstock.query import Filter
from penstock.store.browsing import Listing, Page, Wanted
from penstock.store.rows import JobRow

MOST_RUNNING = 2_000
"""Running jobs that are looked at: more do not run, unless as many batch jobs are under way."""
MOST_KINDS = 500
"""Kinds with jobs that may start whose walks are merged."""
LONG = 1_000
"""Jobs of a walk whose count is kept for a while."""
LONG_SECONDS = 5.0
"""How long the count of a list that was too long to be counted is kept; that of a shorter one accordingly less."""
SLACK = 20
"""Rows that a walk may meet which are not to be shown, as drafts, without going on to the next page for them."""


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

    @property
    def names(self) -> list[str]:
        """What its keys are called in a statement; that of the id is the last."""
        return [f"k{number}" for number in range(len(self.keys) + 1)]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is asked of one walk, from a place on."""

    walk: Walk
    tail: str
    """The statement behind what it selects."""
    tail_values: list[Any]
    matches: str
    """The condition for a job that is walked over to be wanted."""
    values: list[Any]
    bare: bool
    """Whether all jobs are wanted."""
    kinds: Sequence[str] = ()
    """The kinds that are walked one by one."""

    def select(self, *more: str) -> str:
        """Return the statement of the walk: its keys, and more."""
        named = map("{} AS {}".format, [*(expression for expression, _ in self.walk.keys), "id"], self.walk.names)
        return f"SELECT {', '.join([*named, *more])} {self.tail}"

    def judged(self, *more: str) -> str:
        """Return the statement with whether each job is wanted; it takes `values` before `tail_values`."""
        return self.select(f"({self.matches}) AS matches", *more)


class Walks:
    """`BrowseStore` for an engine of SQL, which says how it writes things."""

    mark: str
    """How a value is marked in a statement."""
    each_kind: str
    """How the kind is marked in a statement for `of_each_kind`."""
    ways: ClassVar[tuple[str, str]] = ("ASC", "DESC")
    """How a term is sorted, and turned round: what is not set first, and last."""
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

    def sort_terms(self, name: str) -> list[str]:
        """Return what jobs are sorted by in the order of a field: of each job one term at most is set."""
        raise NotImplementedError

    def of_each_kind(
        self, kinds: Sequence[str], statement: str, before: Sequence[Any], behind: Sequence[Any]
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of a statement for each kind, in any order; its values stand before and behind the kind."""
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
        self,
        listing: Listing,
        wanted: Wanted,
        *,
        after: str | None = None,
        limit: int,
        scan: int,
        newest: bool = True,
        order: str | None = None,
    ) -> Page:
        """Return a page of a list."""
        led_by = next((it for it in wanted.filters if self._leads(it)), None)
        if led_by is not None:
            names: tuple[str, ...] = ("led",)
        elif listing is Listing.ALL:
            names = ("all",) if newest else ("oldest",)
        else:
            names = PARTS[listing]
        if order is not None:
            return self._sorted([self._part(name, listing, led_by, wanted, None) for name in names], order, limit, scan)
        place, key = self._place(after, names)
        found: list[JobRow] = []
        for name in names[names.index(place) :]:
            part = self._part(name, listing, led_by, wanted, key)
            walk_on = self._merged if name == "may_start" else self._stretch
            rows, key, ended = walk_on(part, limit - len(found), scan)
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

    def _part(
        self, name: str, listing: Listing, led_by: Filter | None, wanted: Wanted, key: list[Any] | None
    ) -> "_Part":
        """Return what is asked of one walk, from a place on."""
        walk = self.walks[name]
        if name == "may_start":
            kinds = [kind for kind in self.runnable_kinds() if not wanted.kinds or kind in wanted.kinds][:MOST_KINDS]
            wanted = wanted._replace(kinds=())
            # No draft may start: where everything is wanted, the index has all there is to know.
            matches = ("true", list[Any]()) if wanted.anything else self._wanted(wanted)
            tail = self._tail(walk, f"{walk.where} AND kind = {self.each_kind}", [], key)
            return _Part(walk, *tail, *matches, wanted.anything, kinds)
        where, values = walk.where, list[Any]()
        condition, condition_values = self._wanted(wanted)
        if led_by is not None:
            led, values = self.condition_of(led_by)
            where = f"{where} AND {led}" if where else led
            due, due_values = self._due(listing)
            condition = f"{condition} AND {STATES_OF[listing]}{due}"
            condition_values = [*condition_values, *due_values]
        return _Part(walk, *self._tail(walk, where, values, key), condition, condition_values, wanted.anything)

    def _due(self, listing: Listing) -> tuple[str, list[Any]]:
        now = [self.written(clock.now())]
        if listing is Listing.SCHEDULED:
            return f" AND run_at > {self.mark}", now
        return (f" AND (run_at IS NULL OR run_at <= {self.mark})", now) if listing is Listing.QUEUED_NOW else ("", [])

    def _stretch(self, part: "_Part", limit: int, scan: int) -> tuple[list[JobRow], list[Any] | None, bool]:
        """Return jobs of one walk, where it got to, and whether it has ended."""
        size = limit + 1 + SLACK if part.bare else scan
        keys, way = part.walk.names, "DESC" if part.walk.descending else "ASC"
        # Joined behind the search: what is only looked at is not read in full.
        rows = self.select(
            f"SELECT {self.job_columns}, {', '.join(keys)}"  # noqa: S608
            f" FROM (SELECT {', '.join(keys)} FROM ({part.judged()} LIMIT {size}) AS walked WHERE matches"
            f" LIMIT {limit + 1}) AS found CROSS JOIN {self.jobs_table}"
            f" WHERE id = {keys[-1]} ORDER BY {', '.join(f'{key} {way}' for key in keys)}",
            [*part.values, *part.tail_values],
        )
        jobs = [self.row_of(row[: -len(keys)]) for row in rows]
        if len(rows) > limit:
            return jobs[:limit], [self.told(value) for value in rows[limit - 1][-len(keys) :]], False
        if limit <= 0:
            return [], None, not rows
        far = self.select(f"{part.select()} LIMIT 1 OFFSET {size - 1}", part.tail_values)
        return jobs, [self.told(value) for value in far[0]] if far else None, not far

    def _tail(self, walk: Walk, where: str, values: list[Any], key: list[Any] | None) -> tuple[str, list[Any]]:
        """Return the statement of a walk behind what it selects."""
        expressions = [expression for expression, _ in walk.keys] + ["id"]
        direction, beyond = ("DESC", "<") if walk.descending else ("ASC", ">")
        parts, bound = [part for part in [where] if part], self._times(where)
        bound += values
        if key is not None:
            parts.append(f"({', '.join(expressions)}) {beyond} ({', '.join([self.mark] * len(key))})")
            bound += key
        order = ", ".join(f"{expression} {direction}" for expression in expressions)
        return (
            f"FROM {self.jobs_table}{walk.hint}"
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

    def _merged(self, part: "_Part", limit: int, scan: int) -> tuple[list[JobRow], list[Any] | None, bool]:
        """Return jobs of all kinds that may start, by priority and id: a walk for each kind, merged."""
        enough = limit + 1 if part.bare else max(limit + 1, scan // max(1, len(part.kinds)))
        # Few of each kind are mostly enough, where all are wanted; of one kind alone it may be all of them.
        few = 2 * limit // max(1, len(part.kinds)) + 1
        for each in (few, enough) if part.bare and few < enough else (enough,):
            found = self.of_each_kind(part.kinds, f"{part.judged()} LIMIT {each}", part.values, part.tail_values)
            # No kind was looked at beyond this: what others have behind it comes on the next page.
            frontier = min((max(rows)[:2] for rows in found if len(rows) >= each), default=None)
            merged = sorted(row for rows in found for row in rows if frontier is None or row[:2] <= frontier)
            matching = [row for row in merged if row[2]]
            if len(matching) > limit:
                break
        jobs = self._jobs([row[1] for row in matching[:limit]])
        if len(matching) > limit:
            return jobs, [self.told(value) for value in matching[limit - 1][:2]] if limit else None, False
        return jobs, [self.told(value) for value in frontier] if frontier else None, frontier is None

    def _sorted(self, parts: Sequence["_Part"], order: str, limit: int, scan: int) -> Page:
        """Return the first jobs by a field, of those of each walk that are looked through."""
        terms, way = self.sort_terms(order.removeprefix("-")), self.ways[order.startswith("-")]
        names = [f"s{number}" for number in range(len(terms))]
        sorting = ", ".join(f"{name} {way}" for name in names)
        found, more = list[tuple[Any, ...]](), False
        for part in parts:
            size = max(1, scan // max(1, len(part.kinds)))
            judged = part.judged(*map("{} AS {}".format, terms, names))
            best = (
                f"SELECT {part.walk.names[-1]}, {', '.join(names)} FROM ({judged} LIMIT {size}) AS walked"  # noqa: S608
                f" WHERE matches ORDER BY {sorting} LIMIT {limit}"
            )
            found += chain.from_iterable(self._walks_of(part, best, part.values))
            more = more or any(self._walks_of(part, f"{part.select()} LIMIT 1 OFFSET {size}", []))
        found.sort(key=lambda row: self._rank(row[1:]), reverse=order.startswith("-"))
        return Page(self._jobs([row[0] for row in found[:limit]]), _cursor(parts[-1].walk.name, []) if more else None)

    def _walks_of(self, part: "_Part", statement: str, before: Sequence[Any]) -> list[list[tuple[Any, ...]]]:
        """Return the rows of a statement about a walk: of each kind apart, where it is one for each."""
        if part.walk.name == "may_start":
            return self.of_each_kind(part.kinds, statement, before, part.tail_values)
        return [self.select(statement, [*before, *part.tail_values])]

    def _rank(self, values: Sequence[Any]) -> tuple[int, Any]:
        """Return what to sort by: what is not set first, then numbers, then text."""
        value = next((value for value in values if value is not None), None)
        if value is None:
            return 0, 0
        return (1, value) if isinstance(value, int | float | Decimal) else (2, self.told(value))

    def _jobs(self, ids: Sequence[Any]) -> list[JobRow]:
        """Return the jobs of these ids, in their order."""
        if not ids:
            return []
        marks = ", ".join([self.mark] * len(ids))
        rows = self.select(f"SELECT id, {self.job_columns} FROM {self.jobs_table} WHERE id IN ({marks})", ids)  # noqa: S608
        found = {row[0]: self.row_of(row[1:]) for row in rows}
        return [found[each] for each in ids if each in found]

    # Counts ----------------------------------------------------------------------------------------

    def counts_up_to(self, most: int) -> dict[str, int]:
        """Return how many jobs there are in each list but that of all."""
        counts = {name: self._counted(walk, most) for name, walk in self.walks.items() if name in _COUNTED}
        told = {str(listing): sum(counts[name] for name in PARTS[listing]) for listing in PARTS}
        return {name: min(count, most) for name, count in told.items()}

    def _counted(self, walk: Walk, most: int) -> int:
        """Count; what is long is not counted again for a while, the longer it is: it will still be about so many."""
        kept: dict[tuple[str, int], tuple[float, int]] = self.__dict__.setdefault("_kept_counts", {})
        now = clock.monotonic()
        until, count = kept.get((walk.name, most), (now, 0))
        if now < until:
            return count
        count = self._count(walk, most)
        kept.pop((walk.name, most), None)
        if count >= min(most, LONG):
            kept[walk.name, most] = now + LONG_SECONDS * count / most, count
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
