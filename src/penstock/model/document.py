"""A job's fields as one JSON document, or a clear word on why that cannot be."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from penstock.errors import UnstorableValue
from penstock.model.tagged import MAX_DIGITS, check_text

_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_REPLACEMENT = "\ufffd"
_OURS = re.compile(r"UnstorableValue: (.+)")
_PREFIXES = re.compile(r"^(Error serializing to JSON: )?(\w+Error: )?")
_UNEXPECTED = re.compile(r"Expected (`[^`]+`).*input_type=(\w+)")


def write_document(model: BaseModel, left_out: Set[str]) -> str:
    """Return the fields of a model as JSON, without those to be left out.

    Raises:
        UnstorableValue: a field holds what would not come back. It is named; what it holds is not told.
    """
    try:
        return _write(model, exclude=set(left_out))
    except (ValueError, UnstorableValue):
        for name in type(model).model_fields.keys() - left_out:
            _check(model, name)
        raise


def _check(model: BaseModel, name: str) -> None:
    try:
        _write(model, include={name})
    except (ValueError, UnstorableValue) as error:
        raise UnstorableValue(f"{type(model).__name__}.{name}: {_reason(error)}") from None


def _write(model: BaseModel, **fields: Any) -> str:
    # Past `model_dump_json`, which costs as much again as the writing of a small job.
    text = model.__pydantic_serializer__.to_json(model, warnings="error", **fields).decode()
    # What pydantic writes and nobody could read again; nearly every document is passed without a second look.
    if len(text) > MAX_DIGITS and _LONG_NUMBER.search(text):
        _refuse_long_numbers(text)
    if _REPLACEMENT in text:
        for key in _texts_of_keys(model.__dict__):
            check_text(key)
    return text


def _refuse_long_numbers(text: str) -> None:
    try:
        from_json(text)  # Long runs of digits inside text are no numbers.
    except ValueError:
        raise UnstorableValue(f"a whole number of more than {MAX_DIGITS} digits cannot be stored") from None


def _texts_of_keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (key for key in value if isinstance(key, str))
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from _texts_of_keys(item)


def _reason(error: Exception) -> str:
    text = str(error)
    if found := _OURS.search(text):
        return found[1]
    if found := _UNEXPECTED.search(text):
        return f"a value of type {found[2]} is where {found[1]} should be"
    return _PREFIXES.sub("", text.strip().splitlines()[-1])
