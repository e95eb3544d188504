"""A schedule's text, read: which seconds, minutes, hours and days it names.

`penstock.plugins.schedule` says how it is written.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from penstock.errors import InvalidSchedule

MAX_TEXT = 256
"""Characters of the longest schedule that is read."""

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Names that stand for five fields."""

Step = Literal[1, -1]
"""Forwards or backwards."""
_Kind = tuple[int, int]
"""Of a month: how many days it has, and the day of the week of the first, from Sunday, 0."""
_FIRST_MONTH, _LAST_MONTH = 2 * 12, 9998 * 12 + 11
"""Months are counted from the year 0. A year is left at each end, for the zones to shift days into."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"-?[0-9]+")
_WHICH = re.compile(r"(?P<day>.+?)(?:#(?P<nth>.*)|[Ll])")
_NTH = re.compile(r"-?[1-5]")
_LAST = re.compile(r"l(?:-([0-9]+))?")
_SPAN = re.compile(r"(?P<start>[Ll]-[0-9]+|-?[^-]+)(?:-(?P<end>-?[^-]+))?")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*")
_NOT_WEEKDAY = re.compile(rf"(?!{'|'.join(_WEEKDAYS)})[a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the fields of a schedule say, sorted."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    numbers: Mapping[_Kind, tuple[int, ...]] = field(hash=False)
    """The days of the month, for each kind of month."""
    repeats: bool
    """Whether it runs again in local times that come again."""
    makes_up: bool
    """Whether it runs once for local times that are left out."""
    starts: "array[int]" = field(compare=False)
    """The minutes of a day in which to run, as seconds after midnight."""

    def days(self, start: int, step: Step) -> Iterator[int]:
        """Yield the matching days from `start`, on or back.

        From one to the next it looks at no more than 40 years of months: a schedule that names any day waits no
        longer, which is for a 29 February on one day of the week over 1900 or 2100.
        """
        start = min(max(start, _first_of(_FIRST_MONTH)), _first_of(_LAST_MONTH + 1) - 1)
        month = _month_of(start)
        while _FIRST_MONTH <= month <= _LAST_MONTH:
            if month % 12 + 1 in self.months:
                before = _first_of(month) - 1
                numbers = self.numbers[_kind_of(month)][::step]
                yield from (before + number for number in numbers if (before + number - start) * step >= 0)
            month += step

    def has_day(self, day: int) -> bool:
        """Tell whether one day matches."""
        month = _month_of(day)
        return month % 12 + 1 in self.months and day - _first_of(month) + 1 in self.numbers[_kind_of(month)]


def _month_of(day: int) -> int:
    first = date.fromordinal(day)
    return first.year * 12 + first.month - 1


def _first_of(month: int) -> int:
    return date(month // 12, month % 12 + 1, 1).toordinal()


def _kind_of(month: int) -> _Kind:
    first = _first_of(month)
    return _first_of(month + 1) - first, first % 7


@lru_cache(maxsize=512)
def read_schedule(text: str) -> tuple[Rules, ZoneInfo | None]:
    """Return the rules of a text with single spaces, and the zone at its end."""
    try:
        words, zone = _words(text)
        return _rules(*words), zone
    except InvalidSchedule as error:
        raise InvalidSchedule(f"schedule {_shown(text)}: {error}") from None


def _words(text: str) -> tuple[list[str], ZoneInfo | None]:
    """Return the six fields of a text, and its zone."""
    words = text.split()
    if text.startswith("@"):
        fields = ALIASES.get(words[0].lower())
        if fields is None or len(words) > 2:
            raise InvalidSchedule(f"with @, write one of {', '.join(ALIASES)}, and at most a time zone after it")
        return ["0", *fields.split()], zone_named(words[1]) if len(words) == 2 else None
    zone = zone_named(words.pop()) if len(words) > 5 and _NOT_WEEKDAY.match(words[-1]) else None
    if len(words) not in (5, 6):
        raise InvalidSchedule(f"it has {len(words)} fields; write {_ORDER}, or all these with second first")
    return ["0"] * (6 - len(words)) + words, zone


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        InvalidSchedule: there is none of this name.
    """
    if _ZONE.fullmatch(name):
        with suppress(OSError, LookupError, ValueError):  # a folder, no file, or not a zone's
            return ZoneInfo(name)
    raise InvalidSchedule(f"there is no time zone {_shown(name)}")


def _rules(second: str, minute: str, hour: str, day: str, month: str, weekday: str) -> Rules:
    minutes, hours = _MINUTE.numbers(minute), _HOUR.numbers(hour)
    spans, weekdays = {_DATE.span(item) for item in _DATE.items(day)}, _weekdays(weekday)
    dates = {length: _by_date(spans, length) for length in (28, 29, 30, 31)}
    combined = set.intersection if _is_free(day) or _is_free(weekday) else set.union
    rules = Rules(
        seconds=_SECONDS.numbers(second),
        minutes=minutes,
        hours=hours,
        months=_MONTH.numbers(month),
        numbers={
            (length, first): tuple(sorted(combined(dates[length], _by_weekday(weekdays, length, first))))
            for length in dates
            for first in range(7)
        },
        repeats=len(hours) == 24 or (_is_free(minute) and len(minutes) > 1),
        makes_up=len(hours) < 24,
        starts=array("i", (hour * 3600 + minute * 60 for hour in hours for minute in minutes)),
    )
    every_kind = range(2000 * 12, 2028 * 12)  # In these 28 years each month begins on each day of the week.
    if not any(rules.numbers[_kind_of(each)] for each in every_kind if each % 12 + 1 in rules.months):
        raise InvalidSchedule(f"no date ever has day of month {day}, month {month} and day of week {weekday}")
    return rules


def _is_free(text: str) -> bool:
    """Tell whether a field does not restrict."""
    return text.startswith(("*", "/"))


def _by_date(spans: Iterable[tuple[int, int, int]], length: int) -> set[int]:
    """Return the days that spans take of a month of `length` days."""
    found: set[int] = set()
    for start, end, step in spans:
        counted = range(start if start > 0 else length + 1 + start, length + 2 + end, step)
        found.update(counted if end < 0 else _DATE.between(start, end, step))
    return found.intersection(range(1, length + 1))


def _weekdays(text: str) -> set[tuple[int, int]]:
    """Return days of the week from Sunday, 0, and which of the month: 1 to 5, or from its end -1 to -5, or 0, all."""
    found: set[tuple[int, int]] = set()
    for item in _WEEKDAY.items(text):
        which = _WHICH.fullmatch(item)
        if which is None:
            found.update((number, 0) for number in _WEEKDAY.between(*_WEEKDAY.span(item)))
            continue
        nth = "-1" if which["nth"] is None else which["nth"]
        if not _NTH.fullmatch(nth):
            raise _WEEKDAY.refused(f"{_shown(nth)} in {_shown(item)} is not 1 to 5, or -1 to -5 from the month's end")
        found.add((_WEEKDAY.number(which["day"], item) % 7, int(nth)))
    return found


def _by_weekday(weekdays: Iterable[tuple[int, int]], length: int, first: int) -> set[int]:
    """Return the days that days of the week take of a month of `length` days that begins on `first`."""
    found: set[int] = set()
    for weekday, nth in weekdays:
        days = range((weekday - first) % 7 + 1, length + 1, 7)
        if abs(nth) <= len(days):
            found.update(days if nth == 0 else (days[nth - (nth > 0)],))
    return found


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a schedule: the numbers and names that it takes."""

    name: str
    takes: str
    """What messages say about the numbers and names."""
    low: int
    high: int
    size: int
    """How many numbers there are; those above mean the low ones again."""
    names: tuple[str, ...] = ()
    """Names of the numbers from `low` on."""
    from_end: bool = False
    """Whether numbers may be counted from the end, where `L` and -1 are the last."""

    def numbers(self, text: str) -> tuple[int, ...]:
        """Return the numbers of a field's text, sorted."""
        return tuple(sorted({number for item in self.items(text) for number in self.between(*self.span(item))}))

    def items(self, text: str) -> list[str]:
        items = dict.fromkeys(text.split(","))  # Each once, in order: a long list costs less.
        if "" in items:
            raise self.refused(f"an empty item in {_shown(text)}")
        return list(items)

    def between(self, start: int, end: int, step: int) -> Iterable[int]:
        """Return the numbers from `start` to `end`, over the end of the field when `end` is less."""
        end += self.size if end < start else 0
        return ((number - self.low) % self.size + self.low for number in range(start, end + 1, step))

    def span(self, item: str) -> tuple[int, int, int]:
        """Return the start, the end and the step of an item."""
        words, slash, step = item.partition("/")
        if slash and not (_NUMBER.fullmatch(step) and 1 <= int(step) <= self.size):
            raise self.refused(f"the step {_shown(step)} in {_shown(item)} is not 1 to {self.size}")
        every, last = int(step or 1), self.low + self.size - 1
        if words == "*" or (slash and not words):
            return self.low, last, every
        ends = _SPAN.fullmatch(words)
        if ends is None:
            raise self.refused(f"{_shown(item)} is no number, range or step")
        start = self.number(ends["start"], item)
        if ends["end"] is None:
            return start, (last if start >= 0 else -1) if slash else start, every
        end = self.number(ends["end"], item)
        if start < 0 and not start <= end < 0:
            raise self.refused(f"the range {_shown(item)} ends before it begins")
        return start, end, every

    def number(self, word: str, item: str) -> int:
        """Return the number that a word of an item is or names, negative when it counts from the end."""
        lower = word.lower()
        if lower in self.names:
            return self.names.index(lower) + self.low
        if self.from_end and (last := _LAST.fullmatch(lower)):
            lower = f"-{int(last[1] or 0) + 1}"
        if _NUMBER.fullmatch(lower):
            number = int(lower)
            counted = self.from_end and -self.high <= number <= -self.low
            if counted or (lower[0] != "-" and self.low <= number <= self.high):
                return number
        where = "" if word == item else f" in {_shown(item)}"
        raise self.refused(f"{_shown(word)}{where} is not {self.takes}")

    def refused(self, why: str) -> InvalidSchedule:
        return InvalidSchedule(f"{self.name}: {why}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


_SECONDS = _Field("second", "0 to 59", 0, 59, 60)
_MINUTE = _Field("minute", "0 to 59", 0, 59, 60)
_HOUR = _Field("hour", "0 to 23", 0, 23, 24)
_DATE = _Field("day of month", "1 to 31, or L or -1 to -31 from the end", 1, 31, 31, from_end=True)
_MONTH = _Field("month", "1 to 12, or jan to dec", 1, 12, 12, _MONTHS)
_WEEKDAY = _Field("day of week", "0 to 7, or sun to sat", 0, 7, 7, _WEEKDAYS)
_ORDER = ", ".join(each.name for each in (_MINUTE, _HOUR, _DATE, _MONTH, _WEEKDAY))
