"""Filters and orders of a question as SQL of PostgreSQL.

A field of the document has a text or a number, never both: conditions with text look at the one, conditions with
numbers and truth values at the other. Names of an allow-list become SQL; values never do.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from penstock.errors import InvalidQuery
from penstock.query import COLUMNS, Filter, Query, Span
from penstock.store.postgres.convert import stored

Condition = tuple[str, list[Any]]

INDEXED = 200
"""Characters of a text that an index keeps: a longer one may not fit into it. The whole is compared afterwards."""

_COMPARISONS = {"eq": "=", "ne": "IS DISTINCT FROM", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_RANGES = frozenset({"lt", "le", "gt", "ge"})
_LOOSER = {"eq": "=", "lt": "<=", "le": "<=", "gt": ">=", "ge": ">="}
"""What the shortened forms in an index must fulfil where the values fulfil the comparison."""
_SPANS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Each comparison with an end of the span; all must hold.
    "eq": (("ge", "low"), ("lt", "high")),
    "lt": (("lt", "low"),),
    "le": (("lt", "high"),),
    "gt": (("ge", "high"),),
    "ge": (("ge", "low"),),
}
_TRUTHS = frozenset({"batch", "destroy_on_complete"})
_WORDS = frozenset({
    "kind", "state", "sub_state", "server", "worker", "throttled_by", "throttle_group", "limit_name", "unique_key",
})  # fmt: skip


class Field:
    """The SQL for a field of the document, as indexes of it have it."""

    def __init__(self, name: str, schema: str) -> None:
        """Raises `InvalidQuery` when it is no name of a field."""
        if not name.isidentifier():
            raise InvalidQuery(f"{name!r} is no name of a field")
        value = f"{schema}.field_value(fields, '{name}')"
        self.text = f'({schema}.text_of({value}) COLLATE "C")'
        self.number = f"{schema}.number_of({value})"
        self.decimal = f"{schema}.decimal_of({schema}.text_of({value}))"
        self.short = f"left({self.text}, {INDEXED})"
        self.rank = f"{schema}.rank_of({value})"


def conditions_of(filters: Iterable[Filter], schema: str) -> Condition:
    """Return filters as one SQL condition with its values; without filters it is always true."""
    return joined([condition(filter_, schema) for filter_ in filters])


def where_of(query: Query, schema: str) -> Condition:
    """Return which jobs a query asks for, drafts left out."""
    parts: list[Condition] = [("NOT draft", [])]
    for name, allowed in (("kind", query.kinds), ("state", query.states)):
        if allowed:
            parts.append((f"{name} = ANY(%s)", [[stored(value) for value in allowed]]))
    parts += [condition(filter_, schema) for filter_ in query.filters]
    if query.due_by is not None:
        parts.append(("(run_at IS NULL OR run_at <= %s)", [stored(query.due_by)]))
    return joined(parts)


def joined(parts: Collection[Condition], word: str = "AND") -> Condition:
    """Return conditions as one, all of which or any of which must hold."""
    if not parts:
        return "true" if word == "AND" else "false", []
    return f" {word} ".join(part for part, _ in parts), [value for _, values in parts for value in values]


def order_of(term: str, decimals: Collection[str], schema: str) -> str:
    """Return a name of an order as SQL: what is not set first, then numbers, then text; turned round with `-`."""
    name = term.removeprefix("-")
    if name in COLUMNS:
        expressions = [name]
    else:
        field = Field(name, schema)
        expressions = [field.decimal] if term in decimals else [field.text, field.number]
    direction = "DESC NULLS LAST" if term.startswith("-") else "ASC NULLS FIRST"
    return ", ".join(f"{expression} {direction}" for expression in expressions)


def condition(filter_: Filter, schema: str) -> Condition:
    """Return a filter as SQL with its values."""
    if filter_.operator == "in":
        pairs = [condition(replace(filter_, operator="eq", value=value), schema) for value in filter_.value]
        part, values = joined(
            [pair for pair, value in zip(pairs, filter_.value, strict=True) if value is not None], "OR"
        )
        return f"({part})", values
    if isinstance(filter_.value, Span):
        return _span(filter_, filter_.value, schema)
    return _of_column(filter_) if filter_.is_column else _of_field(filter_, Field(filter_.name, schema))


def _of_column(filter_: Filter) -> Condition:
    value = bool(filter_.value) if filter_.name in _TRUTHS and filter_.value is not None else stored(filter_.value)
    if filter_.operator == "contains":
        expression = filter_.name if filter_.name in _WORDS else f"{filter_.name}::text"
        return f"strpos({expression}, %s) > 0", [value]
    if value is None:
        return f"{filter_.name} IS {'NOT ' if filter_.operator == 'ne' else ''}NULL", []
    return f"{filter_.name} {_COMPARISONS[filter_.operator]} %s", [value]


def _of_field(filter_: Filter, field: Field) -> Condition:
    value, operator = filter_.value, filter_.operator
    if value is None:
        unset = f"{field.text} IS NULL AND {field.number} IS NULL"
        return f"{'NOT ' if operator == 'ne' else ''}({unset})", []
    if isinstance(value, Decimal) and operator != "contains":
        return _of_decimal(value, operator, field)
    if isinstance(value, float) and not math.isfinite(value) and operator in _RANGES:
        raise InvalidQuery(f"where({filter_.name}=…): nothing is less or greater than {value} in a query")
    # As `field_value` of the database gives it.
    value = stored(value.replace("\0", "\ufffd") if isinstance(value, str) else value)
    return (_of_text if isinstance(value, str) else _of_number)(value, operator, field)


def _of_text(value: str, operator: str, field: Field) -> Condition:
    if operator == "contains":
        return f"strpos(coalesce({field.text}, {field.number}::text), %s) > 0", [value]
    compared = f"{field.text} {_COMPARISONS[operator]} %s"
    if operator == "ne":
        return compared, [value]
    found = f"{field.rank} = 'Infinity' AND {field.short} {_LOOSER[operator]} %s AND {compared}"
    if operator in ("lt", "le"):  # All numbers come before all text.
        found = f"{found} OR {field.rank} < 'Infinity'"
    return f"({found})", [value[:INDEXED], value]


def _of_number(value: float, operator: str, field: Field) -> Condition:
    compared = f"{field.number} {_COMPARISONS[operator]} %s"
    if operator == "ne":
        return compared, [int(value) if isinstance(value, bool) else value]
    if operator in ("gt", "ge"):
        # All text comes after all numbers. Floats that are not finite are text: NaN is on no side of anything.
        texts = f"{field.text} NOT IN ('-Infinity', 'NaN')" if isinstance(value, float) else f"{field.text} IS NOT NULL"
        compared = f"({compared} OR {texts})"
    found = f"{field.rank} {_LOOSER[operator]} %s AND {compared}"
    if operator in ("lt", "le") and isinstance(value, float):
        found = f"{found} OR {field.rank} = 'Infinity' AND {field.short} = '-Infinity'"
    return f"({found})", [_rank(value), int(value) if isinstance(value, bool) else value]


def _rank(value: float) -> float:
    """Return a number as the database's function `rank_of` does."""
    return 0.0 if abs(value) < _SMALLEST else float(max(-_LARGEST, min(_LARGEST, value)))


_SMALLEST, _LARGEST = 1e-99, 1e300


def _of_decimal(value: Decimal, operator: str, field: Field) -> Condition:
    compared = f"{field.decimal} {_COMPARISONS[operator]} %s::numeric"
    if operator in ("gt", "ge"):
        compared = f"({compared} AND {field.decimal} <> 'NaN')"
    if operator in ("lt", "le"):
        compared = f"({compared} OR {field.number} IS NOT NULL)"
    return compared, [_fitting(value)]


def _fitting(value: Decimal) -> str:
    """Return a decimal number as the database has room for, in the same way as its function `decimal_of`."""
    if not value.is_finite():
        return "NaN" if value.is_nan() else ("-Infinity" if value < 0 else "Infinity")
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if not value or exponent < -16_000:
        return "0"
    if exponent + len(digits) > 100_000:
        return "-Infinity" if value < 0 else "Infinity"
    return str(value)


def _span(filter_: Filter, span: Span, schema: str) -> Condition:
    if filter_.operator == "ne":
        inside, values = _span(replace(filter_, operator="eq"), span, schema)
        return f"({inside}) IS NOT TRUE", values
    sides = [
        condition(replace(filter_, operator=operator, value=getattr(span, end)), schema)
        for operator, end in _SPANS[filter_.operator]
    ]
    part, values = joined(sides)
    return f"({part})", values
