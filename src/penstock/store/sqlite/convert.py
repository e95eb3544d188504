"""Between the rows of the protocol and what SQLite keeps: moments as microseconds, ids as sixteen bytes."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.clock import from_micros, to_micros
from penstock.query import Filter
from penstock.states import State, SubState
from penstock.store.rows import JobRow

JOB_COLUMNS = tuple(field.name for field in fields(JobRow))
"""The columns of a job in the order in which they are selected."""


def stored(value: Any) -> Any:
    """Return a Python value as SQLite keeps it."""
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, UUID):
        return value.bytes
    return value


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


_LOADERS: Mapping[str, Callable[[Any], Any]] = {
    "id": lambda value: UUID(bytes=value),
    "state": {str(state): state for state in State}.__getitem__,
    "sub_state": {str(state): state for state in SubState}.get,
    "batch": bool,
    "draft": bool,
    "destroy_on_complete": bool,
    **dict.fromkeys(("created_at", "run_at", "expires_at", "started_at", "completed_at"), _moment),
}
_LOADED = tuple((position, _LOADERS[name]) for position, name in enumerate(JOB_COLUMNS) if name in _LOADERS)


def job_row(columns: tuple[Any, ...]) -> JobRow:
    """Return the job of a selected row."""
    values = list(columns)
    for position, load in _LOADED:
        values[position] = load(values[position])
    return JobRow(*values)


def job_parameters(row: JobRow, now: datetime) -> dict[str, Any]:
    """Return the columns of a new job."""
    values = {name: stored(getattr(row, name)) for name in JOB_COLUMNS}
    due = row.run_at is None or row.run_at <= now
    values["runnable"] = row.state is State.QUEUED and due and not row.draft
    return values


_COMPARISONS = {"eq": "IS", "ne": "IS NOT", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def condition(filter_: Filter) -> tuple[str, list[Any]]:
    """Return a filter as SQL with its values. Only names of an allow-list become SQL; values never do."""
    if filter_.is_column:
        expression, names = filter_.name, []
    else:
        expression, names = "json_extract(fields, ?)", [f'$."{filter_.name}"']
    if filter_.operator == "in":
        return f"{expression} IN ({', '.join('?' * len(filter_.value))})", [
            *names,
            *map(stored, filter_.value),
        ]
    if filter_.operator == "contains":
        return f"instr({expression}, ?) > 0", [*names, filter_.value]
    return f"{expression} {_COMPARISONS[filter_.operator]} ?", [*names, stored(filter_.value)]
