"""The question: which jobs. A value that says what is asked; a store renders it, a model names its fields."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock.errors import InvalidQuery
from penstock.states import State

OPERATORS: Mapping[str, str] = {
    "eq": "equals",
    "ne": "differs from, or is not set",
    "lt": "is less than",
    "le": "is at most",
    "gt": "is greater than",
    "ge": "is at least",
    "in": "is one of",
    "contains": "contains the text (case matters)",
}
"""What may follow a field's name and two underscores in `where`, with its meaning."""

COLUMNS = frozenset({
    "id", "kind", "batch", "state", "sub_state", "priority", "created_at", "run_at", "expires_at", "started_at",
    "completed_at", "failure_count", "crash_count", "server", "worker", "percent_complete", "record_count",
    "destroy_on_complete", "throttled_by", "throttled_at", "held_until", "throttle_group", "limit_name", "unique_key",
})  # fmt: skip
"""Standard fields that every store keeps in a column. All other fields live in the job's document."""


@dataclass(frozen=True, slots=True)
class Span:
    """All texts from `low` on and before `high`: those that stand for one moment, whatever its zone."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. `in` takes a tuple; None with `eq` or `ne` asks whether the field is set.

    Of a field of the document the value is what its JSON gives, a `Span` that takes its place, or a number: a
    `Decimal` is text there, and so is a float that is not finite.
    """

    name: str
    operator: str
    value: Any

    @property
    def is_column(self) -> bool:
        """Tell whether the field is a column, rather than part of the document."""
        return self.name in COLUMNS


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs, in which order, how many.

    Empty `kinds` or `states` mean any. Jobs come oldest first, by id, unless `newest_first`; with `order`, names of
    fields with `-` before those that descend, by these first.
    """

    kinds: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    filters: tuple[Filter, ...] = ()
    newest_first: bool = False
    limit: int | None = None
    due_by: datetime | None = None
    """Only jobs whose `run_at` is not set or not later."""
    order: tuple[str, ...] = ()
    decimals: frozenset[str] = frozenset()
    """Those of `order` whose values are decimal numbers in text."""

    def where(self, convert: Callable[[str, Any], Any] | None = None, /, **conditions: Any) -> "Query":
        """Return the query narrowed by conditions such as `username="ada"` or `priority__lt=50`.

        Args:
            convert: Turns a field's name and a value into what is stored; raises `InvalidQuery` for an
                unknown field. None stores values as they are.
            conditions: All must hold.

        Raises:
            InvalidQuery: an operator is unknown or a value does not fit it.
        """
        added = tuple(_filter(text, value, convert) for text, value in conditions.items())
        return replace(self, filters=self.filters + added)

    def in_states(self, *states: State) -> "Query":
        """Return the query narrowed to these states. Narrowed twice, only states named both times are left."""
        kept = tuple(state for state in states if not self.states or state in self.states)
        if not kept:
            raise InvalidQuery(f"no job is both {' or '.join(self.states)} and {' or '.join(states)}")
        return replace(self, states=kept)


def _filter(text: str, value: Any, convert: Callable[[str, Any], Any] | None) -> Filter:
    name, _, operator = text.partition("__")
    operator = operator or "eq"
    if operator not in OPERATORS:
        raise InvalidQuery(f"where({text}=…): no operator {operator!r}; known: {', '.join(OPERATORS)}")
    if operator == "in":
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise InvalidQuery(f"where({text}=…) takes a list of values, not {value!r}")
        return Filter(name, operator, tuple(_stored(name, item, convert) for item in value))
    if value is None and operator not in ("eq", "ne"):
        raise InvalidQuery(f"where({text}=None): only eq and ne compare with None")
    if operator == "contains":
        if not isinstance(value, str):
            raise InvalidQuery(f"where({text}=…) takes text, not {value!r}")
        return Filter(name, operator, value)
    return Filter(name, operator, None if value is None else _stored(name, value, convert))


def _stored(name: str, value: Any, convert: Callable[[str, Any], Any] | None) -> Any:
    return convert(name, value) if convert else value
