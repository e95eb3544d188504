"""Values in fields of fixed width: text on the left and padded with blanks, numbers on the right and with zeros."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import Enum
from math import isinf
from typing import Any, cast

_LONG = 4000
"""Digits: `int` refuses 4,300 and more in text."""
_EXACT = 1 << 63
_ZERO, _ONE = Decimal(0), Decimal(1)
_ROUNDING = Context(prec=_LONG, rounding=ROUND_HALF_UP)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a layout."""

    size: int | None
    """Characters; None for the remainder of the line."""
    key: str | None = None
    """Name of the column; None for filler: skipped on input, blanks on output."""
    type: str = "string"
    """`string`, `integer`, `float` or `decimal`."""
    decimals: int = 2
    """Digits behind the point of a float or decimal that is written."""


def _read_text(text: str) -> str:
    return text.rstrip(" ")


def _read_integer(text: str) -> int | None:
    digits = text.strip(" ")
    if not digits:
        return None
    if not _WHOLE.fullmatch(digits):
        raise ValueError("this is no whole number")
    return int(digits) if len(digits) < _LONG else int(Decimal(digits))


def _read_float(text: str) -> float | None:
    digits = text.strip(" ")
    if not digits:
        return None
    _refuse_no_number(digits)
    number = float(digits)
    if isinf(number):
        raise ValueError("this number is too large for a float; make the type decimal")
    return number


def _read_decimal(text: str) -> Decimal | None:
    digits = text.strip(" ")
    if not digits:
        return None
    _refuse_no_number(digits)
    return Decimal(digits)


def _refuse_no_number(digits: str) -> None:
    if not _NUMBER.fullmatch(digits):
        raise ValueError("this is no number")


READERS: dict[str, Callable[[str], Any]] = {
    "string": _read_text,
    "integer": _read_integer,
    "float": _read_float,
    "decimal": _read_decimal,
}
"""Functions from what stands in a field to its value, by type; they raise ValueError."""


def written(value: Any, field: Field, truncate: bool) -> str:
    """Return a value as it stands in its field.

    Raises:
        ValueError: It has no place there.
    """
    if isinstance(value, Enum):
        value = value.value
    if field.type != "string":
        return _written_number(value, field)
    text = value if type(value) is str else _text(value)
    if field.size is None or len(text) == field.size:
        return text
    if len(text) < field.size:
        return text.ljust(field.size)
    if not truncate:
        raise ValueError(f"the text has {len(text)} characters and the field {field.size}; shorten it")
    return text[: field.size]


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | list | tuple | set | dict):
        raise ValueError(f"fixed has no form for a {type(value).__name__}; return text instead")
    return "" if value is None else str(value)


def _written_number(value: Any, field: Field) -> str:
    if type(value) is int and field.type == "integer":
        text = str(value) if -_EXACT < value < _EXACT else f"{Decimal(value):f}"
    elif field.type == "integer":
        text = f"{_whole(_number(value)):f}"
    else:
        text = f"{_rounded(_number(value), field.decimals):f}"
    size = cast("int", field.size)
    if len(text) > size:
        raise ValueError(f"the number takes {len(text)} characters and the field has {size}")
    return text.zfill(size)


def _number(value: Any) -> Decimal:
    if value is None or value == "":
        return _ZERO
    try:
        # A float is what its shortest text says: 0.1, and not a little more.
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"a {type(value).__name__} that is no number") from None
    if not number.is_finite():
        raise ValueError("nan and infinity have no form in fixed")
    return number


def _whole(number: Decimal) -> Decimal:
    whole = number.to_integral_value()
    if number != whole:
        raise ValueError("the number is not whole; round it, or make the type decimal")
    return whole or _ZERO  # and not -0


def _rounded(number: Decimal, decimals: int) -> Decimal:
    try:
        rounded = number.quantize(_ONE.scaleb(-decimals), context=_ROUNDING)
    except InvalidOperation:
        raise ValueError("the number has too many digits for any field") from None
    return rounded or abs(rounded)  # and not -0.00
