"""Which type a parquet column has, by the values that are in it or by name, and what it takes from then on."""

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from penstock.errors import ConfigurationError, MissingExtra

DIGITS = 38
"""A decimal of 128 bits has no more."""

_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_ZONED = re.compile(r"datetime\[(.+)\]")
_NONE = type(None)


def arrow() -> Any:
    """Return pyarrow.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise MissingExtra("parquet", "arrow") from None


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What a column is, and what it takes."""

    name: str
    """As in `types=`."""
    arrow: Any
    takes: frozenset[type]
    """Types of values, beside None."""
    prepare: Callable[[Any], Any] | None = None
    """What is done to each value that is not None. Raises ValueError for one that does not belong here."""


def type_named(name: str, column: str) -> ColumnType:
    """Return the type of a name: `string`, `int`, `float`, `bool`, `bytes`, `date`, `time`, `datetime` without a zone,
    `datetime[UTC]` with any zone, `decimal(12,2)` with all its digits and those behind the point.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if name in _SIMPLE:
        kinds, make = _SIMPLE[name]
        return ColumnType(name, make(arrow()), kinds, _CHECKS.get(name))
    if found := _ZONED.fullmatch(name):
        return _zoned(found[1], column)
    if (found := _DECIMAL.fullmatch(name)) and int(found[2]) <= int(found[1]) <= DIGITS:
        return _decimal(int(found[1]), int(found[2]))
    known = ", ".join(_SIMPLE)
    raise ConfigurationError(
        f"column {column}: there is no type {name!r}; known are {known}, datetime[ZONE], decimal(DIGITS,DECIMALS)"
    )


def type_of(values: Iterable[Any], kinds: set[type], column: str) -> ColumnType | None:
    """Return the type that fits values; None when none fits them all.

    Args:
        values: All of a column, at first sight.
        kinds: Their types, without that of None. No values at all are taken for text.
        column: The name of the column.
    """
    if Decimal in kinds and kinds <= {Decimal, int}:
        return _decimal(DIGITS, max(map(_decimals, values), default=0))
    if kinds == {datetime}:
        zones = {_zone(value) for value in values if value is not None}
        if zones == {None}:
            return type_named("datetime", column)
        if None not in zones:
            return _zoned(zones.pop() or "UTC" if len(zones) == 1 else "UTC", column)
        return None
    fitting = (name for name, (takes, _) in _SIMPLE.items() if kinds <= takes)
    name = next(fitting, None)
    return type_named(name, column) if name else None


def bare_kinds(values: Sequence[Any]) -> set[type]:
    """Return the types of values, without that of None."""
    return set(map(type, values)) - {_NONE}


def _decimal(digits: int, decimals: int) -> ColumnType:
    made = arrow().decimal128(digits, decimals)
    return ColumnType(f"decimal({digits},{decimals})", made, frozenset({Decimal, int}))


def _decimals(value: Any) -> int:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return min(max(-exponent, 0), DIGITS) if isinstance(exponent, int) else 0


def _zoned(zone: str, column: str) -> ColumnType:
    try:
        made = arrow().timestamp("us", tz=zone)
        arrow().array([datetime(2000, 1, 1)], made).to_pylist()  # noqa: DTZ001  # is there such a zone?
    except Exception as error:
        raise ConfigurationError(f"column {column}: there is no time zone {zone!r}") from error
    return ColumnType(f"datetime[{zone}]", made, frozenset({datetime}), _with_zone)


def _zone(value: datetime) -> str | None:
    """Return the name of a datetime's zone, or its offset as +02:00; None when it has none."""
    if value.tzinfo is None:
        return None
    key = getattr(value.tzinfo, "key", None)
    if key:
        return str(key)
    offset = value.isoformat()[-6:]
    return "UTC" if offset == "+00:00" or offset[0] not in "+-" else offset


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a datetime without a zone")
    return value


def _without_zone(value: Any) -> Any:
    if value.tzinfo is not None:
        raise ValueError(f"a {type(value).__name__} with a zone")
    return value


_SIMPLE: dict[str, tuple[frozenset[type], Callable[[Any], Any]]] = {
    "string": (frozenset({str, UUID}), lambda pa: pa.string()),
    "int": (frozenset({int}), lambda pa: pa.int64()),
    "float": (frozenset({float, int}), lambda pa: pa.float64()),
    "bool": (frozenset({bool}), lambda pa: pa.bool_()),
    "bytes": (frozenset({bytes}), lambda pa: pa.binary()),
    "date": (frozenset({date}), lambda pa: pa.date32()),
    "time": (frozenset({time}), lambda pa: pa.time64("us")),
    "datetime": (frozenset({datetime}), lambda pa: pa.timestamp("us")),
}
_CHECKS: dict[str, Callable[[Any], Any]] = {"string": str, "time": _without_zone, "datetime": _without_zone}
