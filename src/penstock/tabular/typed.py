"""Rows as instances of a class: a dataclass, TypedDict, NamedTuple, pydantic model or msgspec Struct."""

import re
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

from penstock.errors import BadRow, ConfigurationError
from penstock.tabular.classes import bare_class, columns_of
from penstock.tabular.formats import Row

_NO_ROWS = (str, bytes, int, float, bool, list, tuple, set)
_NUMERIC = re.compile(r"\s*[+-]?[0-9.]+\s*", re.ASCII)
_OWN_WORDS = frozenset({"value_error", "assertion_error"})


def row_converter(annotation: Any) -> Callable[[Row | None], Any]:
    """Return a function from rows to what an annotation says; build it once, it is called for each row.

    pydantic fills a dataclass, TypedDict, NamedTuple or pydantic model, and converts text to numbers, booleans,
    Decimal, dates and so on; msgspec does so for a Struct. Other columns are ignored, unless a model forbids them.

    A value of None stays where the class takes None, else the field has its default. Empty text is as None where
    the class takes no text. None itself, a blank line, stays None. For `dict`, `Mapping` or no annotation, rows stay
    as they are.

    The function raises `BadRow`, which names the fields that do not fit and why, but no values.

    Raises:
        ConfigurationError: Rows cannot become what the annotation says.
    """
    cls = bare_class(annotation)
    fields = columns_of(cls)
    if fields is None:
        if isinstance(cls, type) and issubclass(cls, _NO_ROWS):
            raise ConfigurationError(f"a row cannot become a {cls.__name__}; take a dict, a dataclass or a model")
        return _as_it_is
    build = _struct_builder(cls) if hasattr(cls, "__struct_fields__") else _pydantic_builder(cls)
    prepare = _Preparation(cls, fields)

    def convert(row: Row | None) -> Any:
        return None if row is None else build(prepare(row))

    return convert


def _as_it_is(row: Row | None) -> Any:
    return row


def _pydantic_builder(cls: Any) -> Callable[[Row], Any]:
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        validate = TypeAdapter(_known_to_pydantic(cls)).validate_python
    except (PydanticUserError, NameError) as error:
        raise ConfigurationError(f"rows cannot become a {cls.__name__}: {error}") from error

    def build(row: Row) -> Any:
        try:
            return validate(row)
        except ValidationError as error:
            faults = "; ".join(map(_fault, error.errors(include_url=False)))
            raise BadRow(f"the row is no {cls.__name__}: {faults}") from None

    return build


def _known_to_pydantic(cls: Any) -> Any:
    """Return a TypedDict as pydantic wants it before Python 3.12; any other class as it is."""
    if not is_typeddict(cls) or type(cls).__module__ != "typing":
        return cls
    import typing_extensions

    needed = cls.__required_keys__
    hints = {name: (Required if name in needed else NotRequired)[hint] for name, hint in _hints(cls).items()}
    make: Any = typing_extensions.TypedDict
    return make(cls.__name__, hints)


def _fault(error: Mapping[str, Any]) -> str:
    """Return where a row does not fit, and why; the words of a validator of the user's own without the value."""
    why = error["msg"]
    given = str(error.get("input", ""))
    if error["type"] in _OWN_WORDS and given:
        why = why.replace(given, "…")
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {why}" if where else str(why)


def _struct_builder(cls: Any) -> Callable[[Row], Any]:
    import msgspec

    def build(row: Row) -> Any:
        try:
            return msgspec.convert(row, cls, strict=False)
        except msgspec.ValidationError as error:
            why, _, path = str(error).partition(" - at `$.")
            where = path.removesuffix("`")
            raise BadRow(f"the row is no {cls.__name__}: {where + ': ' if where else ''}{why}") from None

    return build


class _Preparation:
    """What is done to a row before it is converted."""

    def __init__(self, cls: Any, fields: Iterable[str]) -> None:
        hints = _hints(cls)
        keys = _names_in_rows(cls)
        # What a model makes of a number is its own choice; msgspec refuses it.
        keeps_dates = hasattr(cls, "model_fields") or hasattr(cls, "__struct_fields__")
        self._fields = frozenset(fields)
        self._takes_no_others = issubclass(cls, tuple)
        self._name = cls.__name__
        self._blank_is_none = [keys.get(name, name) for name, hint in hints.items() if not _takes(hint, str)]
        self._none_is_missing = [keys.get(name, name) for name, hint in hints.items() if not _takes(hint, type(None))]
        self._dates = [] if keeps_dates else [name for name, hint in hints.items() if _is_date(hint)]

    def __call__(self, row: Row) -> Row:
        """Return the row with what is empty as None or left out; the row itself is not changed."""
        if self._takes_no_others and not row.keys() <= self._fields:
            row = {name: row[name] for name in row if name in self._fields}
        values = row.values()
        if None in values or "" in values:
            row = self._without_blanks(row)
        for name in self._dates:
            value = row.get(name)
            # pydantic would take it for seconds since 1970.
            if type(value) is str and value.find("-", 1) < 0 and _NUMERIC.fullmatch(value):
                raise BadRow(f"the row is no {self._name}: {name}: a number is no date; write YYYY-MM-DD")
        return row

    def _without_blanks(self, row: Row) -> Row:
        row = row.copy()
        for name in self._blank_is_none:
            if row.get(name) == "":
                row[name] = None
        for name in self._none_is_missing:
            if name in row and row[name] is None:
                del row[name]
        return row


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise ConfigurationError(f"rows cannot become a {cls.__name__}: {error}") from error


def _names_in_rows(cls: Any) -> dict[str, str]:
    """Return the key in a row for each field that a class calls otherwise."""
    if hasattr(cls, "__struct_fields__"):
        return dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    if hasattr(cls, "model_fields"):
        return {name: field.alias for name, field in cls.model_fields.items() if field.alias}
    return {}


def _parts(hint: Any) -> list[Any]:
    """Return what an annotation is a union of, without what is wrapped around it."""
    if hasattr(hint, "__supertype__"):
        return _parts(hint.__supertype__)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return [part for each in get_args(hint) for part in _parts(each)]
    if origin in (Required, NotRequired):
        return _parts(get_args(hint)[0])
    return [origin if isinstance(origin, type) and not hasattr(hint, "__metadata__") else hint]


def _takes(hint: Any, kind: type) -> bool:
    """Say whether an annotation takes values of a kind; of one that cannot be told, that it does."""
    return any(_part_takes(part, kind) for part in _parts(hint))


def _part_takes(part: Any, kind: type) -> bool:
    if hasattr(part, "__metadata__"):
        return _takes(part.__origin__, kind)
    if part is None:
        return kind is type(None)
    return part in (Any, object) or not isinstance(part, type) or issubclass(part, kind)


def _is_date(hint: Any) -> bool:
    return {part for part in _parts(hint) if part is not type(None)} in ({date}, {datetime})
