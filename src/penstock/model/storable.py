"""Fields that come back from the store exactly as they went: their values, types and time zones.

pydantic writes a job's fields as JSON and reads them again. Many types come back by themselves. `make_storable` adds
to an annotation what the others need:

- moments and times of day keep their zone, and durations are seconds: forms that sort;
- sets are written in an order;
- ranges, flags of patterns, dicts with any keys, and enums whose values JSON does not have are written at all;
- for `Any`, and in a union of types that look alike in JSON (`date | str`), each value says its own type.

The forms are those of `penstock.model.tagged`, and read in JSON only, which is what the store keeps.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from re import Pattern
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    FutureDate,
    FutureDatetime,
    GetCoreSchemaHandler,
    NaiveDatetime,
    PastDate,
    PastDatetime,
)
from pydantic_core.core_schema import CoreSchema

from penstock.model.moments import parse_datetime, parse_time, with_lasting_zone
from penstock.model.schemas import AgainstNow, AnyValue, ByName, Leaf, Ordered, Pairs, SpecialFloat, Stored, Tagged
from penstock.model.tagged import FORMS, read_form
from penstock.query import COLUMNS


def make_storable(annotation: Any, *, tagged: bool = False) -> Any:
    """Return an annotation with all that its values need to come back from the store; itself if that is nothing.

    Args:
        annotation: As it stands at a field. Models, dataclasses and types we do not know are left to pydantic.
        tagged: Each value must say its type, because others are allowed in its place.
    """
    if type(annotation) is type and annotation in _NEEDS_NOTHING and not tagged:
        return annotation
    origin = get_origin(annotation)
    if origin is None:
        return _bare(annotation, tagged)
    if origin is Annotated:
        return _annotated(annotation, tagged)
    if origin in (Union, UnionType):
        return _union(annotation, tagged)
    return _generic(annotation, origin, tagged) if origin in _LOOKS else annotation


class StoredField(Stored):
    """Metadata of a field for which `make_storable` has something; its annotation stays as it was written."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic see the annotation with all it needs."""
        return handler(make_storable(source))


@classmethod  # type: ignore[misc]
def storable_fields(cls: type[BaseModel], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Mark the fields that need it before pydantic looks at them: `__get_pydantic_core_schema__` of a job class.

    By then annotations given as text are known, and the class is built once, whatever its fields need.
    """
    for name, info in cls.__pydantic_fields__.items():
        known = name in COLUMNS or any(isinstance(item, Stored) for item in info.metadata)
        if not known and make_storable(info.annotation) is not info.annotation:
            info.metadata = [StoredField(), *info.metadata]
    return handler(source)


# Each kind of annotation ------------------------------------------------------------------------------


def _bare(annotation: Any, tagged: bool) -> Any:
    if annotation in _WITHOUT_ITEMS:
        return make_storable(_WITHOUT_ITEMS[annotation], tagged=tagged)
    if annotation in AGAINST_NOW:
        base, side = AGAINST_NOW[annotation]
        return _with(make_storable(base, tagged=tagged), AgainstNow(side))
    if annotation in (Any, object):
        return _with(annotation, AnyValue())
    if _is_named(annotation):
        return _named(annotation, tagged)
    if _is_enum(annotation):
        return _with(annotation, *_enum_metadata(annotation, tagged))
    return _with(annotation, *_leaf_metadata(annotation, tagged))


def _annotated(annotation: Any, tagged: bool) -> Any:
    inner, *metadata = get_args(annotation)
    if any(isinstance(item, Stored) for item in metadata):
        return annotation
    new = make_storable(inner, tagged=tagged)
    return annotation if new is inner else _with(new, *metadata)


def _union(annotation: Any, tagged: bool) -> Any:
    members = get_args(annotation)
    if Any in members or object in members:
        return make_storable(Any)
    tagged = tagged or (len(members) - (NoneType in members) > 1 and _look_alike(members))
    new = tuple(make_storable(member, tagged=tagged) for member in members)
    return annotation if _same(new, members) else Union[new]  # noqa: UP007


def _generic(annotation: Any, origin: Any, tagged: bool) -> Any:
    items = get_args(annotation)
    if not items:  # `typing.List`, or the type of the empty tuple, which has nothing in it.
        return annotation if getattr(annotation, "__args__", None) == () else make_storable(origin, tagged=tagged)
    new = tuple(item if item is ... else make_storable(item, tagged=tagged) for item in items)
    if origin is defaultdict and not _same(new, items):
        # pydantic tells the factory from the type itself, not from one that is annotated.
        new = (new[0], _with(new[1], Field(default_factory=get_origin(items[1]) or items[1])))
    kept = annotation if origin is Pattern or _same(new, items) else origin[new]
    return _with(kept, *_generic_metadata(origin, new, tagged))


def _named(annotation: Any, tagged: bool) -> Any:
    if _is_recursive(annotation):
        return annotation
    meant = _meaning(annotation)
    new = make_storable(meant, tagged=tagged)
    return annotation if new is meant else new


def _with(annotation: Any, *metadata: Any) -> Any:
    return Annotated[(annotation, *metadata)] if metadata else annotation


def _same(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))


# What is put beside them ------------------------------------------------------------------------------


def _leaf_metadata(annotation: Any, tagged: bool) -> Iterable[Stored]:
    kind = _BASES.get(annotation, annotation)
    if kind in _LEAVES:
        yield _LEAVES[kind]
    if tagged and kind is float:
        yield SpecialFloat("float", float)
    elif tagged and kind in FORMS and kind not in _JSON_TYPES:
        yield Tagged(FORMS[kind].tag, kind)


def _enum_metadata(kind: type[Enum], tagged: bool) -> Iterable[Stored]:
    if not _value_types(kind) <= _JSON_TYPES:
        yield ByName(kind)
    if tagged:
        yield Tagged(kind.__name__, kind)


def _generic_metadata(origin: Any, items: tuple[Any, ...], tagged: bool) -> Iterable[Stored]:
    if origin is Pattern:
        yield from _leaf_metadata(origin, tagged)
    if origin in _SETS:
        yield Ordered()
    if origin in _DICTS and (tagged or not _is_text_in_json(items[0])):
        yield Pairs(*items)
    if tagged and origin in (tuple, set, frozenset):
        yield Tagged(origin.__name__, origin)


# What types look like in JSON -------------------------------------------------------------------------


def _look_alike(members: Iterable[Any]) -> bool:
    looks = [_looks(member) for member in members]
    return sum(map(len, looks)) > len(frozenset().union(*looks))


def _looks(annotation: Any) -> frozenset[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _looks(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return frozenset().union(*map(_looks, get_args(annotation)))
    if origin is Literal:
        return _looks_of_types(map(type, get_args(annotation)))
    if _is_named(annotation) and not _is_recursive(annotation):
        return _looks(_meaning(annotation))
    if _is_enum(annotation):
        kinds = _value_types(annotation)
        return _looks_of_types(kinds if kinds <= _JSON_TYPES else {str})  # Else by their names.
    kind = _BASES.get(origin or annotation, origin or annotation)
    return frozenset(_LOOKS.get(kind, "").split())


def _looks_of_types(kinds: Iterable[Any]) -> frozenset[str]:
    return frozenset({int: "int", bool: "bool", NoneType: "null"}.get(kind, "text") for kind in kinds)


def _is_text_in_json(key: Any) -> bool:
    """Tell whether pydantic writes the keys of a dict as text from which it reads the same keys."""
    if get_origin(key) is Annotated:
        return _is_text_in_json(get_args(key)[0])
    if get_origin(key) is Literal:
        return {type(value) for value in get_args(key)} == {str}
    if _is_enum(key):
        return _value_types(key) in ({str}, {int}) and not issubclass(key, Flag)
    return _BASES.get(key, key) in _KEYS


def _value_types(kind: type[Enum]) -> set[type]:
    return {type(member.value) for member in kind.__members__.values()}


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def _is_named(annotation: Any) -> bool:
    # Aliases are of `typing` from Python 3.12, or of `typing_extensions`.
    return isinstance(annotation, NewType) or type(annotation).__name__ == "TypeAliasType"


def _meaning(name: Any) -> Any:
    return name.__supertype__ if isinstance(name, NewType) else name.__value__


def _is_recursive(name: Any) -> bool:
    seen: list[Any] = []
    waiting = [_meaning(name)]
    while waiting:
        item = waiting.pop()
        if item is name or isinstance(item, str | ForwardRef):  # Whose name that is, pydantic will find out.
            return True
        if any(item is other for other in seen):
            continue
        seen.append(item)
        waiting += [_meaning(item)] if _is_named(item) else _parts(item)
    return False


def _parts(annotation: Any) -> Sequence[Any]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ()
    return parts[:1] if origin is Annotated else parts


# Forms of leaves --------------------------------------------------------------------------------------


def _read_datetime(written: Any) -> Any:
    return parse_datetime(written) if isinstance(written, str) and written.endswith("]") else written


def _read_time(written: Any) -> Any:
    return parse_time(written) if isinstance(written, str) and written.endswith("]") else written


def _read_timedelta(written: Any) -> Any:
    return timedelta(seconds=written) if type(written) in (int, float) else written


def _read_range(written: Any) -> Any:
    return read_form("range", written) if isinstance(written, list) else written


def _read_pattern(written: Any) -> Any:
    return read_form("pattern", written) if isinstance(written, dict) else written


def _settle_datetime(value: datetime) -> datetime:
    plain = value if type(value) is datetime else datetime.combine(value.date(), value.time(), value.tzinfo)
    return with_lasting_zone(plain)


_LEAVES: Mapping[Any, Leaf] = {
    datetime: Leaf(datetime, FORMS[datetime].write, _read_datetime, _settle_datetime),
    time: Leaf(time, FORMS[time].write, _read_time, with_lasting_zone),
    timedelta: Leaf(timedelta, FORMS[timedelta].write, _read_timedelta),
    range: Leaf(range, FORMS[range].write, _read_range),
    Pattern: Leaf(Pattern, FORMS[Pattern].write, _read_pattern),
}
_BASES: Mapping[Any, Any] = {AwareDatetime: datetime, NaiveDatetime: datetime}
"""Types of pydantic's that differ from the usual ones in what they accept only."""
AGAINST_NOW: Mapping[Any, tuple[Any, str]] = {
    PastDatetime: (datetime, "past"),
    FutureDatetime: (datetime, "future"),
    PastDate: (date, "past"),
    FutureDate: (date, "future"),
}
"""Types of pydantic's that are checked against the clock: what they are besides, and the side."""
_WITHOUT_ITEMS: Mapping[Any, Any] = {
    list: list[Any],
    set: set[Any],
    frozenset: frozenset[Any],
    tuple: tuple[Any, ...],
    dict: dict[Any, Any],
    Sequence: Sequence[Any],
    Set: Set[Any],
    Mapping: Mapping[Any, Any],
}
_SETS = (set, frozenset, Set, MutableSet)
_DICTS = (dict, Mapping, MutableMapping)
_JSON_TYPES = {str, int}
_NEEDS_NOTHING = {str, int, float, bool, bytes, date, Decimal, UUID, NoneType}
_KEYS = (str, int, float, bool, bytes, Decimal, UUID, date, time, datetime)
_LOOKS: Mapping[Any, str] = {
    NoneType: "null",
    bool: "bool",
    int: "int",
    float: "float text",
    timedelta: "int float text",
    Pattern: "text object",
    **dict.fromkeys((str, bytes, Decimal, date, time, datetime, UUID, PastDatetime, FutureDatetime), "text"),
    **dict.fromkeys((PastDate, FutureDate), "text"),
    **dict.fromkeys((list, tuple, Sequence, MutableSequence, deque, range, *_SETS), "array"),
    **dict.fromkeys((OrderedDict, defaultdict, *_DICTS), "object"),
}
"""The kinds of JSON values in which a type is written."""
