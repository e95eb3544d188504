"""Moments and times of day as text that keeps their zone, and sorts.

The form is that of RFC 9557: the instant in UTC, always with microseconds, and then what else there is to say:

    2026-01-01T15:00:00.000000Z                      of `datetime.UTC`
    2026-01-01T15:00:00.000000Z[America/New_York]    of a `ZoneInfo`
    2026-01-01T15:00:00.000000Z[+05:30]              of any other fixed offset
    2026-01-01 15:00:00.000000                       without a zone; no other moment begins like it

So texts sort as their instants do, and those of one instant begin alike. An instant and its zone say what the clock
showed, except for times that a change of the clocks left out, and within a day of the years 1 and 9999: then
`[_wall=…]` follows, and `[_fold=1]` where the fold is one that nothing else tells.

Times of day have the clock's time in front instead: a zone alone does not tell their offset from UTC.
"""

import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic_core import TzInfo

_FORM = re.compile(r"([^\[]+)(?:\[([^_\]][^\]]*)\])?(?:\[_wall=([^\]]*)\])?(\[_fold=1\])?")
_AFTER_MARKS = chr(ord("[") + 1)
T = TypeVar("T", datetime, time)


def datetime_text(value: datetime) -> str:
    """Return a moment as text. Raises `ValueError` where the zone could not be read again."""
    zone = value.tzinfo
    if zone is None:
        return _front(value) + _fold_mark(value)
    mark, instant, wall = _zone_mark(zone), _instant(value), value.replace(tzinfo=None)
    told = _shows(instant, zone) == (wall, value.fold)
    return _front(instant) + mark + ("" if told else f"[_wall={wall.isoformat()}]{_fold_mark(value)}")


def span_of(value: datetime) -> tuple[str, str]:
    """Return between which texts those of this instant are, in whatever zone: from the first, before the second."""
    front = _front(value if value.tzinfo is None else _instant(value))
    return front, front + _AFTER_MARKS


def parse_datetime(text: str) -> datetime:
    """Return the moment of a text in this form. Raises `ValueError` for another, and for an unknown zone."""
    front, zone_text, wall, fold = _parts(text)
    value = datetime.fromisoformat(front)
    zone = _zone(zone_text) if zone_text else value.tzinfo
    if wall or value.tzinfo is None:
        clock_time = datetime.fromisoformat(wall) if wall else value
        return clock_time.replace(tzinfo=zone, fold=bool(fold))
    return value.astimezone(zone)


def time_text(value: time) -> str:
    """Return a time of day as text. Raises `ValueError` where the zone could not be read again."""
    zone = value.tzinfo
    text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
    return text + ("" if zone is None else _zone_mark(zone) or "Z") + _fold_mark(value)


def parse_time(text: str) -> time:
    """Return the time of day of a text in this form. Raises `ValueError` for another, and for an unknown zone."""
    front, zone_text, _, fold = _parts(text)
    value = time.fromisoformat(front)
    return value.replace(tzinfo=_zone(zone_text) if zone_text else value.tzinfo, fold=bool(fold))


def with_lasting_zone(value: T) -> T:
    """Return a moment or time with a zone that comes back: pydantic's own offsets become `datetime.timezone`.

    Raises:
        ValueError: the zone is of a kind that would not; the message says what to use.
    """
    zone = value.tzinfo
    if type(zone) is TzInfo:
        return value.replace(tzinfo=timezone(_offset(zone)))
    if zone is not None and zone is not UTC:
        _zone_mark(zone)
    return value


def _front(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(" ", "microseconds")
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _zone_mark(zone: tzinfo) -> str:
    if isinstance(zone, timezone | TzInfo):
        name = str(timezone(_offset(zone))).removeprefix("UTC")
        return f"[{name}]" if name else ""
    if type(zone) is ZoneInfo and zone.key:
        _zone(zone.key)
        return f"[{zone.key}]"
    kind = type(zone)
    raise ValueError(f"a time zone of type {kind.__module__}.{kind.__qualname__} cannot be stored; use zoneinfo")


def _fold_mark(value: datetime | time) -> str:
    return "[_fold=1]" if value.fold else ""


def _offset(zone: tzinfo) -> timedelta:
    offset = zone.utcoffset(None)
    assert offset is not None
    return offset


def _instant(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC).replace(fold=0)
    except OverflowError:  # Before the year 1 or after 9999 in UTC: the nearest there is still sorts right.
        return datetime.min.replace(tzinfo=UTC) if value.year == 1 else datetime.max.replace(tzinfo=UTC)


def _shows(instant: datetime, zone: tzinfo) -> tuple[datetime, int] | None:
    try:
        shown = instant.astimezone(zone)
    except OverflowError:
        return None
    return shown.replace(tzinfo=None), shown.fold


def _parts(text: str) -> tuple[str, str | None, str | None, str | None]:
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not the form of a moment or time")
    front, zone, wall, fold = match.groups()
    return front, zone, wall, fold


def _zone(text: str) -> tzinfo:
    if text[0] in "+-":
        size = time.fromisoformat(text[1:])
        offset = timedelta(hours=size.hour, minutes=size.minute, seconds=size.second, microseconds=size.microsecond)
        return timezone(-offset if text[0] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"no time zone {text!r} on this machine: pip install tzdata") from None
