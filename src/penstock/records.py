"""Records as bytes: how a run of values is kept in a slice, and a job's result in its row.

Two forms, told by the first byte:

- `T`: lines of text in UTF-8, a newline after each. Plain lines take this form: it is cut from the file,
  stored, and written to the output as it stands.
- `L`: a msgpack list. Types that msgpack does not have (https://msgpack.org) are extensions of ours,
  numbered in `_Code`; they come back with their types. Nothing executable is ever stored.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from penstock.errors import UnstorableValue

TEXT, LIST = b"T", b"L"
MAX_DEPTH = 100
_ONLY_TEXT = {str}


class _Code(IntEnum):
    DECIMAL, DATE, TIME, DATETIME, UUID, TUPLE, BIG_INT = range(1, 8)


def encode_text(lines: bytes) -> bytes:
    """Return the payload of lines that each end in a newline."""
    return TEXT + lines


def encode_text_records(records: Sequence[Any]) -> bytes | None:
    """Return the compact payload of records that are all text without a newline, or None when they are not."""
    if set(map(type, records)) != _ONLY_TEXT:
        return None
    text = "\n".join(records)
    if text.count("\n") != len(records) - 1:
        return None  # A newline inside a record would make two of it.
    try:
        return b"T%b\n" % text.encode()
    except UnicodeEncodeError:
        return None


def encode_records(records: Sequence[Any]) -> bytes:
    """Return the payload of `records`; all-text records without a newline take the compact form.

    Raises:
        UnstorableValue: a record has a type that cannot be stored; `position_of_unstorable` finds which.
    """
    return encode_text_records(records) or LIST + _encode(list(map(pack, records)))


def decode_records(payload: bytes) -> list[Any]:
    """Return the records of a payload, with their types."""
    if payload[:1] == TEXT:
        return str(payload, "utf-8")[1:].split("\n")[:-1]
    return [unpack(value) for value in cast("list[Any]", _decode(payload[1:]))]


def text_of(payload: bytes) -> memoryview | None:
    """Return the lines of a text payload, or None when the payload is a list."""
    return memoryview(payload)[1:] if payload[:1] == TEXT else None


def position_of_unstorable(records: Iterable[Any]) -> tuple[int, UnstorableValue] | None:
    """Return the index of the first record that cannot be stored, with the reason, or None."""
    for position, record in enumerate(records):
        try:
            _encode(pack(record))
        except UnstorableValue as error:
            return position, error
    return None


def size_of(record: Any) -> int:
    """Return the bytes of a record: of text in UTF-8, of other values as they are stored."""
    if isinstance(record, str):
        return len(record.encode("utf-8", "surrogatepass"))
    return len(record) if isinstance(record, bytes) else len(encode_value(record))


def encode_value(value: Any) -> bytes:
    """Return one value as bytes. Raises `UnstorableValue` as `encode_records` does."""
    return _encode(pack(value))


def decode_value(payload: bytes) -> Any:
    """Return the value that `encode_value` was given."""
    return unpack(_decode(payload))


def _encode(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError) as error:
        raise UnstorableValue(f"a value cannot be stored: {error}") from None


def _decode(payload: bytes) -> Any:
    return _decoder.decode(payload)


def pack(value: Any, depth: int = 0) -> Any:
    """Return `value` in types that msgpack keeps, ours wrapped as extensions.

    Raises:
        UnstorableValue: its exact type is not one that comes back as it went; the message names it.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    packer = _PACKERS.get(kind)
    if packer is None:
        raise UnstorableValue(
            f"a value of type {kind.__module__}.{kind.__qualname__} cannot be stored; use one of {_NAMES}"
        )
    if depth > MAX_DEPTH:
        raise UnstorableValue(f"a value is nested more than {MAX_DEPTH} deep")
    return packer(value, depth)


def unpack(value: Any) -> Any:
    """Undo `pack`. Lists and dicts are changed in place."""
    kind = type(value)
    if kind is list:
        value[:] = map(unpack, value)
    elif kind is dict:
        for key, item in value.items():
            value[key] = unpack(item)
    return value


def _pack_int(value: int, _: int) -> Any:
    return value if -(1 << 63) <= value < (1 << 64) else _extension(_Code.BIG_INT, hex(value))


def _pack_list(value: list[Any], depth: int) -> list[Any]:
    return [pack(item, depth + 1) for item in value]


def _pack_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    for key in value:
        if type(key) is not str:
            raise UnstorableValue(f"a dict key of type {type(key).__name__} cannot be stored; use text keys")
    return {key: pack(item, depth + 1) for key, item in value.items()}


def _pack_tuple(value: tuple[Any, ...], depth: int) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(+_Code.TUPLE, _encode(_pack_list(list(value), depth)))


def _pack_datetime(value: datetime, _: int) -> msgspec.msgpack.Ext:
    # The zone's name is kept beside the offset: without it a time zone would come back as a bare offset.
    wall = value.replace(tzinfo=None).isoformat()
    return msgspec.msgpack.Ext(+_Code.DATETIME, _encode([wall, value.fold, _pack_zone(value.tzinfo)]))


def _pack_time(value: time, _: int) -> msgspec.msgpack.Ext:
    wall = value.replace(tzinfo=None).isoformat()
    return msgspec.msgpack.Ext(+_Code.TIME, _encode([wall, value.fold, _pack_zone(value.tzinfo)]))


def _pack_zone(zone: tzinfo | None) -> str | float | None:
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    if isinstance(zone, timezone):
        return zone.utcoffset(None).total_seconds()
    raise UnstorableValue(f"a time zone of type {type(zone).__qualname__} cannot be stored; use zoneinfo")


def _unpack_zone(zone: str | float | None) -> tzinfo | None:
    if zone is None:
        return None
    return ZoneInfo(zone) if isinstance(zone, str) else timezone(timedelta(seconds=zone))


def _unpack_datetime(data: bytes) -> datetime:
    wall, fold, zone = _decode(data)
    return datetime.fromisoformat(wall).replace(fold=fold, tzinfo=_unpack_zone(zone))


def _unpack_time(data: bytes) -> time:
    wall, fold, zone = _decode(data)
    return time.fromisoformat(wall).replace(fold=fold, tzinfo=_unpack_zone(zone))


def _extension(code: _Code, text: str) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(int(code), text.encode())


_PLAIN: frozenset[type] = frozenset({str, bytes, float, bool, type(None)})
_PACKERS: dict[type, Callable[[Any, int], Any]] = {
    int: _pack_int,
    list: _pack_list,
    dict: _pack_dict,
    tuple: _pack_tuple,
    datetime: _pack_datetime,
    time: _pack_time,
    date: lambda value, _: _extension(_Code.DATE, value.isoformat()),
    Decimal: lambda value, _: _extension(_Code.DECIMAL, str(value)),
    UUID: lambda value, _: msgspec.msgpack.Ext(+_Code.UUID, value.bytes),
}
_NAMES = ", ".join(sorted(kind.__name__ for kind in (*_PLAIN, *_PACKERS) if kind is not type(None))) + " or None"
_UNPACKERS: dict[int, Callable[[bytes], Any]] = {
    _Code.DECIMAL: lambda data: Decimal(data.decode()),
    _Code.DATE: lambda data: date.fromisoformat(data.decode()),
    _Code.TIME: _unpack_time,
    _Code.DATETIME: _unpack_datetime,
    _Code.UUID: lambda data: UUID(bytes=bytes(data)),
    _Code.TUPLE: lambda data: tuple(unpack(_decode(data))),
    _Code.BIG_INT: lambda data: int(data, 16),  # Decimal digits are limited in number, and slow.
}


def _unpack_extension(code: int, data: memoryview) -> Any:
    return _UNPACKERS[code](bytes(data))


_decoder = msgspec.msgpack.Decoder(ext_hook=_unpack_extension)
