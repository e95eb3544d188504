"""Conditions as a person types them, `priority__lt=50` or `username=ada`, as filters of a query."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from penstock.config import settings
from penstock.errors import InvalidQuery
from penstock.model.job import Job
from penstock.query import COLUMNS, Filter, Query
from penstock.store.rows import JobRow


def parse_conditions(texts: Iterable[str], cls: type[Job] | None = None) -> tuple[Filter, ...]:
    """Return filters for conditions such as `state=failed`, `priority__lt=50`, `kind__in=A,B`, `username=`.

    Values of a class's own fields are checked by it. Without a class they are compared as they are typed: JSON where
    they are JSON, else text; what is a number in JSON equals the text of its digits too. An empty value, or `null`,
    asks for what is not set. Moments without a zone are in the `timezone` setting.

    Raises:
        InvalidQuery: there is no such operator, or a value does not fit; the condition is named.
    """
    filters: tuple[Filter, ...] = ()
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidQuery(f"--where {text!r}: write FIELD=VALUE or FIELD__OPERATOR=VALUE")
        filters += _parse(name, value, cls)
    for each in filters:
        _refuse_unstorable(each)
    return filters


def _parse(name: str, value: str, cls: type[Job] | None) -> tuple[Filter, ...]:
    field, _, operator = name.partition("__")
    given = value.split(",") if operator == "in" else None if value in ("", "null") else value
    if field in COLUMNS:
        return Query().where(_column, **{name: given}).filters
    if cls is not None:
        info = cls.model_fields.get(field)
        takes_anything = info is not None and info.annotation is Any and isinstance(given, str)
        return cls.query.where(**{name: _typed(str(given)) if takes_anything else given}).asked.filters
    if operator in ("", "eq", "in", "ne") and given is not None:
        return tuple(_equal(field, operator, given if isinstance(given, list) else [given]))
    return Query().where(lambda _, text: _typed(text), **{name: given}).filters


def _equal(field: str, operator: str, texts: list[str]) -> Iterator[Filter]:
    """Yield what a field must equal, or not, of whose type nobody knows whether it is text or what JSON has."""
    values = tuple(dict.fromkeys(value for text in texts for value in (_typed(text), text)))
    if operator != "ne":
        yield Filter(field, "in", values)
        return
    for value in values:
        yield Filter(field, "ne", value)


def _typed(text: str) -> Any:
    """Return JSON where the text is JSON, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value


def _column(name: str, text: str) -> Any:
    annotation: Any = get_type_hints(JobRow)[name]
    if annotation in (UUID, UUID | None):
        from penstock.ids import parse_id

        return parse_id(text)
    try:
        value = TypeAdapter(annotation).validate_python(text)
    except ValidationError as error:
        raise InvalidQuery(f"--where {name}={text}: {error.errors()[0]['msg']}") from None
    return _zoned(value) if isinstance(value, datetime) else value


def _zoned(moment: datetime) -> datetime:
    from zoneinfo import ZoneInfo

    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings().timezone))


def _refuse_unstorable(asked: Filter) -> None:
    """Refuse what no store could compare with: whole numbers beyond 64 bits, and text that is not Unicode."""
    for value in asked.value if isinstance(asked.value, tuple) else (asked.value,):
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise InvalidQuery(f"--where {asked.name}: {value} is too large")
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidQuery(f"--where {asked.name}: {value!r} is not Unicode text")
