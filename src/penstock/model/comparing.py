"""What conditions on a field of the document are compared with: what the store reads there for such a value."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import AllowInfNan, TypeAdapter, ValidationError

from penstock.errors import InvalidQuery
from penstock.model.moments import span_of
from penstock.model.storable import AGAINST_NOW, make_storable
from penstock.query import Span

if TYPE_CHECKING:
    from penstock.model.record import JobRecord


def comparable(cls: "type[JobRecord]", name: str, value: Any) -> Any:
    """Return what the stored values of a field are compared with: text, a number, a truth value or a `Span`.

    Decimals and floats stay as they are, not finite ones too: the store knows how it keeps them.

    Raises:
        InvalidQuery: the value does not fit the field, or no store can compare it.
    """
    checked = _checked(cls, name, value)
    stored = _stored(cls, name, checked)
    reason = _not_comparable(checked, stored)
    if reason:
        raise InvalidQuery(f"where({name}=…): {reason}")
    if type(checked) is datetime:
        return Span(*span_of(checked))
    return checked if type(checked) in (Decimal, float) else stored


def is_decimal(cls: "type[JobRecord]", name: str) -> bool:
    """Tell whether a field of the document holds decimal numbers, which are text there."""
    info = cls.model_fields.get(name)
    return info is not None and {*_members(info.annotation)} - {NoneType} == {Decimal}


_ASKED: dict[Any, Any] = {
    # What must be in the future when it is set may be compared with any moment.
    **{kind: base for kind, (base, _) in AGAINST_NOW.items()},
    Decimal: Annotated[Decimal, AllowInfNan()],
}


def _checked(cls: "type[JobRecord]", name: str, value: Any) -> Any:
    annotation = cls.model_fields[name].annotation
    members = tuple(_ASKED.get(member, member) for member in _members(annotation))
    try:
        return TypeAdapter(make_storable(Union[members])).validate_python(value)  # noqa: UP007
    except ValidationError as error:
        raise InvalidQuery(f"where({name}=…): {value!r}: {error.errors()[0]['msg']}") from None


def _stored(cls: "type[JobRecord]", name: str, value: Any) -> Any:
    # As the class itself writes it; the other fields are given too, so that no default is made for them.
    bare = cls.model_construct(**{**dict.fromkeys(cls.model_fields), name: value})
    return json.loads(bare.model_dump_json(include={name}, warnings=False))[name]


def _not_comparable(checked: Any, stored: Any) -> str | None:
    if isinstance(stored, list | dict):
        return f"values of type {type(checked).__name__} cannot be compared"
    if isinstance(stored, str) and "\0" in stored:
        return "text with the character NUL cannot be compared"
    if isinstance(stored, int) and not -(2**63) <= stored < 2**63:
        return "whole numbers of more than 64 bits cannot be compared"
    if isinstance(checked, timedelta) and isinstance(stored, str):
        return "durations of more than 272 years are compared without microseconds only"
    if type(checked) is Decimal and checked.is_nan():
        return "NaN cannot be compared"
    return None


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
