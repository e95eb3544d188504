"""Between the rows of the protocol and what SQLite keeps: moments as microseconds, ids as sixteen bytes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import compress
from operator import attrgetter
from typing import Any
from uuid import UUID

from penstock.clock import from_micros, to_micros
from penstock.errors import InvalidQuery
from penstock.ids import uuid_of
from penstock.query import Filter, Span
from penstock.states import State, SubState
from penstock.store.rows import JobRow

JOB_COLUMNS = JobRow.__struct_fields__
"""The columns of a job in the order in which they are selected."""


def stored(value: Any) -> Any:
    """Return a Python value as SQLite keeps it."""
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _NOT_FINITE.get(value, "NaN")
    return value


_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


_MOMENTS = (
    "created_at", "run_at", "expires_at", "started_at", "completed_at", "throttled_at", "held_until",
)  # fmt: skip
_FLAGS = ("batch", "draft", "destroy_on_complete")
_STATES = {str(state): state for state in State}
_SUB_STATES = {str(state): state for state in SubState}
_ID, _STATE, _SUB_STATE = (JOB_COLUMNS.index(name) for name in ("id", "state", "sub_state"))
_MOMENTS_AT, _FLAGS_AT = (tuple(JOB_COLUMNS.index(name) for name in names) for names in (_MOMENTS, _FLAGS))


def job_row(columns: tuple[Any, ...]) -> JobRow:
    """Return the job of a selected row."""
    values = list(columns)
    values[_ID] = uuid_of(int.from_bytes(values[_ID]))
    values[_STATE] = _STATES[values[_STATE]]
    values[_SUB_STATE] = _SUB_STATES.get(values[_SUB_STATE])
    for position in _FLAGS_AT:
        values[position] = values[position] == 1
    for position in _MOMENTS_AT:
        if values[position] is not None:
            values[position] = from_micros(values[position])
    return JobRow(*values)


def job_parameters(row: JobRow, now: datetime) -> tuple[tuple[str, ...], list[Any]]:
    """Return the columns in which a new job has something, with whether it may be claimed, and what it has there.

    The driver asks of each None and of all that is no plain number or text whether somebody adapts it: a job with its
    many empty columns took twice as long to store.
    """
    values = list(_VALUES(row))
    values[_ID] = row.id.bytes
    values[_STATE] = str(row.state)
    values[_SUB_STATE] = row.sub_state and str(row.sub_state)
    for position in _MOMENTS_AT:
        if values[position] is not None:
            values[position] = to_micros(values[position])
    for position in _FLAGS_AT:
        values[position] = int(values[position])
    due = (row.run_at is None or row.run_at <= now) and (row.held_until is None or row.held_until <= now)
    values.append(int(row.state is State.QUEUED and due and not row.draft))
    present = [value is not None for value in values]
    return tuple(compress(_OF_NEW, present)), list(compress(values, present))


_OF_NEW = (*JOB_COLUMNS, "runnable")
_VALUES = attrgetter(*JOB_COLUMNS)


def conditions_of(filters: Iterable[Filter]) -> tuple[str, list[Any]]:
    """Return filters as one SQL condition with its values; without filters it is always true."""
    pairs = [condition(filter_) for filter_ in filters]
    return " AND ".join([part for part, _ in pairs] or ["1"]), [value for _, values in pairs for value in values]


_RANGES = frozenset({"lt", "le", "gt", "ge"})
_SPANS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Each comparison with an end of the span; all must hold.
    "eq": (("ge", "low"), ("lt", "high")),
    "lt": (("lt", "low"),),
    "le": (("lt", "high"),),
    "gt": (("ge", "high"),),
    "ge": (("ge", "low"),),
}
_BESIDE_NUMBERS: Mapping[type, Mapping[str, str]] = {
    # Floats that are not finite are text, and SQLite has all text after all numbers. NaN is on no side of anything.
    float: {
        **dict.fromkeys(("lt", "le"), "OR {x} = '-Infinity'"),
        **dict.fromkeys(("gt", "ge"), "AND {x} NOT IN ('-Infinity', 'NaN')"),
    },
    Decimal: dict.fromkeys(("gt", "ge"), "AND {x} NOT GLOB '*N*'"),
}
_COMPARISONS = {"eq": "IS", "ne": "IS NOT", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def condition(filter_: Filter) -> tuple[str, list[Any]]:
    """Return a filter as SQL with its values. Only names of an allow-list become SQL; values never do."""
    expression = filter_.name if filter_.is_column else field_of(filter_.name)
    if filter_.operator == "in":
        return _any_of(expression, filter_)
    if filter_.operator == "contains":
        return f"instr({expression}, ?) > 0", [filter_.value]
    if isinstance(filter_.value, Span):
        return _span(filter_, filter_.value)
    collation = f" COLLATE {DECIMAL_COLLATION}" if isinstance(filter_.value, Decimal) else ""
    if filter_.operator == "eq" and filter_.value is not None:
        return f"{expression}{collation} = ?", [stored(filter_.value)]  # `IS ?` would leave an index aside.
    compared = f"{expression}{collation} {_COMPARISONS[filter_.operator]} ?"
    if filter_.operator in _RANGES and not filter_.is_column:
        # Where the field is indexed: SQLite would take a range for a quarter of all jobs, and read them all instead.
        compared = _among_numbers(expression, filter_, f"likelihood({compared}, 0.01)")
    return compared, [stored(filter_.value)]


def _any_of(expression: str, filter_: Filter) -> tuple[str, list[Any]]:
    if not any(isinstance(value, Span | Decimal) for value in filter_.value):
        return f"{expression} IN ({', '.join('?' * len(filter_.value))})", [*map(stored, filter_.value)]
    pairs = [condition(replace(filter_, operator="eq", value=value)) for value in filter_.value]
    return f"({' OR '.join(part for part, _ in pairs)})", [value for _, values in pairs for value in values]


def _span(filter_: Filter, span: Span) -> tuple[str, list[Any]]:
    if filter_.operator == "ne":
        inside, values = _span(replace(filter_, operator="eq"), span)
        return f"({inside}) IS NOT 1", values
    sides = [
        condition(replace(filter_, operator=operator, value=getattr(span, end)))
        for operator, end in _SPANS[filter_.operator]
    ]
    return f"({' AND '.join(part for part, _ in sides)})", [value for _, values in sides for value in values]


def _among_numbers(expression: str, filter_: Filter, compared: str) -> str:
    beside = _BESIDE_NUMBERS.get(type(filter_.value), {}).get(filter_.operator)
    if beside is None:
        return compared
    if isinstance(filter_.value, float) and not math.isfinite(filter_.value):
        raise InvalidQuery(f"where({filter_.name}=…): nothing is less or greater than {filter_.value} in a query")
    return f"({compared} {beside.format(x=expression)})"


DECIMAL_COLLATION = "penstock_decimal"
"""The name of `compare_decimals` in SQL. No index has it: programs that do not know it could not write then."""


def compare_decimals(one: str, other: str) -> int:
    """Order texts of decimal numbers by their value, as a collation does; NaN comes last."""
    first, second = _decimal_rank(one), _decimal_rank(other)
    return (first > second) - (first < second)


def _decimal_rank(text: str) -> tuple[bool, Decimal]:
    # SQLite takes an exception of a collation for "equal".
    try:
        number = Decimal(text)
    except InvalidOperation:
        return True, Decimal(0)
    return (True, Decimal(0)) if number.is_nan() else (False, number)


def field_of(name: str) -> str:
    """Return the SQL for a field of the document: the text by which indexes of it are found.

    Raises:
        InvalidQuery: it is no name of a field.
    """
    if not name.isidentifier():
        raise InvalidQuery(f"{name!r} is no name of a field")
    return f"json_extract(fields, '$.\"{name}\"')"
