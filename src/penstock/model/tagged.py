"""Values of any storable type as JSON, and back with their types, where no annotation says which type it is.

What JSON has stands as itself: text, whole numbers, finite floats, true, false, null, lists, dicts with text
keys. All else is a dict of one key that names its type, a tag: `{"$decimal": "1.50"}`. A dict of the user's that
looks like one is written as `{"$dict": [[key, value], …]}`, and so is one whose keys are not text.

The same value gives the same JSON in every process: sets are put in an order.
"""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from penstock.errors import UnstorableValue
from penstock.model.moments import datetime_text, parse_datetime, parse_time, time_text

MAX_DEPTH = 60
"""Of values in one another. pydantic reads JSON 200 deep, and a dict with other keys than text takes three levels."""

MAX_DIGITS = 4300
"""Of whole numbers: pydantic reads no more, and Python neither unless told to."""

_EXACT_IN_FLOAT = timedelta(seconds=2**33)  # Some 272 years: 53 bits of microseconds.
_PATTERN_FLAGS = {
    "a": re.ASCII, "i": re.IGNORECASE, "L": re.LOCALE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How values of one type are written as JSON and read again; the tag tells the type where nothing else does."""

    tag: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def encode(value: Any, depth: int = 0) -> Any:
    """Return a value in the types that JSON has.

    Raises:
        UnstorableValue: its exact type is not one that comes back as it went; the message names it.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if depth > MAX_DEPTH:
        raise UnstorableValue(f"a value is nested more than {MAX_DEPTH} deep")
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](value, depth + 1)
    if kind not in FORMS:
        raise UnstorableValue(
            f"a value of type {kind.__module__}.{kind.__qualname__} cannot be stored; use one of {_NAMES}"
        )
    form = FORMS[kind]
    try:
        written = form.write(value)
    except ValueError as error:
        raise UnstorableValue(str(error)) from None
    return written if type(written) is kind else {f"${form.tag}": written}


def decode(value: Any) -> Any:
    """Return the value that `encode` was given. Raises `ValueError` for a tag that there is not."""
    if type(value) is list:
        return [decode(item) for item in value]
    if type(value) is not dict:
        return value
    tag = tag_of(value)
    return {key: decode(item) for key, item in value.items()} if tag is None else read_form(tag, value[f"${tag}"])


def read_form(tag: str, written: Any) -> Any:
    """Return the value of a form. Raises `ValueError` for one that is not of this tag, and for an unknown tag."""
    if tag not in _READERS:
        raise ValueError(f"${tag} is no type that this version of Penstock stores")
    try:
        return _READERS[tag](written)
    except (TypeError, LookupError, ArithmeticError, re.error):
        raise ValueError(f"not the form of a {tag}") from None


def tag_of(value: Any) -> str | None:
    """Return the tag of a value from JSON, or None when it has none."""
    if type(value) is dict and len(value) == 1:
        (key,) = value
        if type(key) is str and key[:1] == "$":
            return key[1:]
    return None


def in_order(items: Iterable[Any]) -> list[Any]:
    """Return JSON values in an order that depends on nothing else: numbers by size, then all others by their text."""
    return sorted(items, key=_rank)


def check_text(text: str) -> str:
    """Return text that UTF-8 can write. Raises `UnstorableValue` for any other."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnstorableValue(
            f"text with the lone surrogate {text[error.start]!r} at position {error.start} cannot be stored"
        ) from None
    return text


def _rank(item: Any) -> tuple[bool, Any, str]:
    if type(item) in (int, float) and item == item:  # noqa: PLR0124 - NaN would spoil the order.
        return False, item, ""
    return True, 0, json.dumps(item, sort_keys=True)


def _encode_items(value: Iterable[Any], depth: int) -> list[Any]:
    return [encode(item, depth) for item in value]


def _encode_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if all(type(key) is str for key in value) and tag_of(value) is None:
        return {check_text(key): encode(item, depth) for key, item in value.items()}
    return {"$dict": [[encode(key, depth), encode(item, depth)] for key, item in value.items()]}


def _write_int(value: int) -> int:
    if not -_TOO_BIG < value < _TOO_BIG:
        raise UnstorableValue(f"a whole number of more than {MAX_DIGITS} digits cannot be stored")
    return value


def _write_bytes(value: bytes) -> str:
    return urlsafe_b64encode(value).decode()


def _write_timedelta(value: timedelta) -> int | float | str:
    """Return seconds, so that durations sort; text (ISO 8601), which does not, where a float loses microseconds."""
    if not value.microseconds:
        return value.days * 86_400 + value.seconds
    return value.total_seconds() if abs(value) < _EXACT_IN_FLOAT else str(to_jsonable_python(value))


def _read_timedelta(written: float | str) -> timedelta:
    if isinstance(written, str):
        return TypeAdapter(timedelta).validate_python(written)
    return timedelta(seconds=written)


def _read_range(written: list[int]) -> range:
    start, stop, step = written
    return range(start, stop, step)


def _write_pattern(value: re.Pattern[Any]) -> str | dict[str, Any]:
    """Return the text of a pattern, and its flags where it has any besides the usual."""
    flags = "".join(letter for letter, flag in _PATTERN_FLAGS.items() if value.flags & flag)
    text = encode(value.pattern)
    return text if not flags and type(text) is str else {"pattern": text, "flags": flags}


def _read_pattern(written: str | dict[str, Any]) -> re.Pattern[Any]:
    if isinstance(written, str):
        return re.compile(written)
    flags = sum(_PATTERN_FLAGS[letter] for letter in written["flags"])
    return re.compile(decode(written["pattern"]), flags)


_TOO_BIG = 10**MAX_DIGITS
_AS_THEY_ARE = frozenset({bool, type(None)})
FORMS: Mapping[type, Form] = {
    str: Form("str", check_text, str),
    int: Form("int", _write_int, int),
    float: Form("float", lambda value: value if math.isfinite(value) else str(value), float),
    bytes: Form("bytes", _write_bytes, urlsafe_b64decode),
    Decimal: Form("decimal", str, Decimal),
    date: Form("date", date.isoformat, date.fromisoformat),
    time: Form("time", time_text, parse_time),
    datetime: Form("datetime", datetime_text, parse_datetime),
    timedelta: Form("timedelta", _write_timedelta, _read_timedelta),
    UUID: Form("uuid", str, UUID),
    range: Form("range", lambda value: [value.start, value.stop, value.step], _read_range),
    re.Pattern: Form("pattern", _write_pattern, _read_pattern),
}
"""Of every type that is no container. Those that JSON has are written as themselves and need no tag."""

_CONTAINERS: Mapping[type, Callable[[Any, int], Any]] = {
    list: _encode_items,
    dict: _encode_dict,
    tuple: lambda value, depth: {"$tuple": _encode_items(value, depth)},
    set: lambda value, depth: {"$set": in_order(_encode_items(value, depth))},
    frozenset: lambda value, depth: {"$frozenset": in_order(_encode_items(value, depth))},
}
_READERS: Mapping[str, Callable[[Any], Any]] = {
    **{form.tag: form.read for form in FORMS.values()},
    "dict": lambda written: {decode(key): decode(item) for key, item in written},
    "tuple": lambda written: tuple(map(decode, written)),
    "set": lambda written: set(map(decode, written)),
    "frozenset": lambda written: frozenset(map(decode, written)),
}
_NAMES = ", ".join(sorted(kind.__name__ for kind in (*FORMS, *_CONTAINERS, bool))) + " or None"
