"""Rows of any shape as the values of columns: mappings, sequences, dataclasses, models, named tuples."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from penstock.errors import BadRow
from penstock.tabular.classes import columns_of

Values = Sequence[Any]


def values_of_rows(rows: Sequence[Any], columns: Sequence[str] | None, name: str) -> list[Values | None]:
    """Return the values of each row in the order of the columns; None for a row that is None.

    Args:
        rows: Of any shape that `TextFormat.render` takes.
        columns: As for `TextFormat.render`.
        name: What messages call the format.

    Raises:
        BadRow: A row is none, has too many values, or needs `columns` and there are none.
    """
    if columns and set(map(type, rows)) == {dict}:
        try:
            return list(map(_picker(columns), rows))
        except KeyError:
            return [[row.get(column) for column in columns] for row in rows]
    return [_values(row, columns, name, position) for position, row in enumerate(rows)]


def mapping_of(row: Any, name: str, position: int) -> Mapping[str, Any]:
    """Return a row that has columns of its own as a mapping.

    Raises:
        BadRow: It is none, or a sequence.
    """
    if isinstance(row, Mapping):
        return row
    fields = columns_of(type(row))
    if fields is None:
        _refuse_shapeless(row, position)
        raise BadRow(f"{name} takes a {type(row).__name__} only when the columns are set: columns=[...]", position)
    return {field: getattr(row, field) for field in fields}


def kinds_in(rows: Iterable[Values | None]) -> set[type]:
    """Return the types of all values."""
    return set(map(type, chain.from_iterable(filter(None, rows))))


def _picker(columns: Sequence[str]) -> Callable[[Any], Values]:
    if len(columns) > 1:
        return itemgetter(*columns)
    only = columns[0]
    return lambda row: (row[only],)


def _values(row: Any, columns: Sequence[str] | None, name: str, position: int) -> Values | None:
    if row is None:
        return None
    if isinstance(row, Mapping):
        if columns is None:
            raise BadRow(f"{name} needs the columns of a mapping in their order: set columns=[...]", position)
        return [row.get(column) for column in columns]
    fields = columns_of(type(row))
    if fields is not None:
        return [getattr(row, column) if column in fields else None for column in columns or fields]
    _refuse_shapeless(row, position)
    return row if columns is None else _fitted(row, len(columns), position)


def _refuse_shapeless(row: Any, position: int) -> None:
    if isinstance(row, str | bytes | bytearray | memoryview) or not isinstance(row, Sequence):
        raise BadRow(
            f"a row is a mapping, a sequence, a dataclass, a model or a named tuple; not a {type(row).__name__}",
            position,
        )


def _fitted(row: Values, width: int, position: int) -> Values:
    if len(row) > width:
        raise BadRow(f"a row of {len(row)} values for {width} columns; return as many, or a mapping", position)
    return [*row, *[None] * (width - len(row))]
