"""Schedules against a walk through every minute, in zones whose clocks change by an hour, by half of one, or never.

The walk reads no schedule: what each text means is written beside it in Python, and local times are those of zoneinfo.
"""

import calendar
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.plugins.schedule import CronSchedule

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

ZONES = {
    # Zone: what its clocks do in 2026.
    "UTC": "nothing",
    "America/New_York": "02:00 -> 03:00 on 8 March, 02:00 -> 01:00 on 1 November",
    "Europe/Berlin": "02:00 -> 03:00 on 29 March, 03:00 -> 02:00 on 25 October",
    "Australia/Lord_Howe": "02:00 -> 01:30 on 5 April, 02:00 -> 02:30 on 4 October",
    "Asia/Kolkata": "nothing, at 5:30 from UTC",
    "America/St_Johns": "as New York, at 3:30 from UTC",
    "Pacific/Chatham": "03:45 -> 02:45 on 5 April, 02:45 -> 03:45 on 27 September",
    "Africa/Casablanca": "03:00 -> 02:00 on 15 February, 02:00 -> 03:00 on 22 March",
}

ELAPSED, CLOCK, TWICE = "every hour", "certain hours", "certain hours, of which those that come twice are run twice"


class Form(NamedTuple):
    text: str
    day: Callable[[date], bool]
    time: Callable[[int, int], bool]
    """Of hour and minute."""
    kind: str = CLOCK
    seconds: tuple[int, ...] = (0,)


def length(d: date) -> int:
    return calendar.monthrange(d.year, d.month)[1]


def from_end(d: date) -> int:
    """The last day of a month is -1."""
    return d.day - length(d) - 1


def name(d: date) -> str:
    return f"{d:%a}".lower()


def nth(d: date) -> int:
    """Which of its weekday in the month it is, by counting them."""
    return sum((d - timedelta(weeks=weeks)).month == d.month for weeks in range(5) if d.day > 7 * weeks)


def is_last(d: date) -> bool:
    return (d + timedelta(weeks=1)).month != d.month


def always(_: date) -> bool:
    return True


def at(hour: int, minute: int) -> Callable[[int, int], bool]:
    return lambda h, m: (h, m) == (hour, minute)


WEEK = ("mon", "tue", "wed", "thu", "fri")
FORMS = [
    # Minutes and hours.
    Form("* * * * *", always, lambda h, m: True, ELAPSED),
    Form("0 * * * *", always, lambda h, m: m == 0, ELAPSED),
    Form("1,15 * * * *", always, lambda h, m: m in (1, 15), ELAPSED),
    Form("50-10 * * * *", always, lambda h, m: m >= 50 or m <= 10, ELAPSED),
    Form("50-10/5 * * * *", always, lambda h, m: m in (50, 55, 0, 5, 10), ELAPSED),
    Form("*/5 * * * *", always, lambda h, m: m % 5 == 0, ELAPSED),
    Form("/25 * * * *", always, lambda h, m: m in (0, 25, 50), ELAPSED),
    Form("5/15 * * * *", always, lambda h, m: m in (5, 20, 35, 50), ELAPSED),
    Form("*/30 * * * *", always, lambda h, m: m in (0, 30), ELAPSED),
    Form("15 0-23 * * *", always, lambda h, m: m == 15, ELAPSED),
    Form("0 1 * * *", always, at(1, 0)),
    Form("30 1 * * *", always, at(1, 30)),
    Form("45 1 * * *", always, at(1, 45)),
    Form("30 2 * * *", always, at(2, 30)),
    Form("15 2 * * *", always, at(2, 15)),
    Form("50 2 * * *", always, at(2, 50)),
    Form("0 3 * * *", always, at(3, 0)),
    Form("15,30,45 2 * * *", always, lambda h, m: h == 2 and m in (15, 30, 45)),
    Form("20 */2 * * *", always, lambda h, m: h % 2 == 0 and m == 20),
    Form("40 1/2 * * *", always, lambda h, m: h % 2 == 1 and m == 40),
    Form("0 8-17 * * *", always, lambda h, m: 8 <= h <= 17 and m == 0),
    Form("0 8-17/3 * * *", always, lambda h, m: h in (8, 11, 14, 17) and m == 0),
    Form("0 22-2 * * *", always, lambda h, m: h in (22, 23, 0, 1, 2) and m == 0),
    Form("0 22-4/2 * * *", always, lambda h, m: h in (22, 0, 2, 4) and m == 0),
    Form("10,40 0-3 * * *", always, lambda h, m: h <= 3 and m in (10, 40)),
    Form("*/15 1-3 * * *", always, lambda h, m: 1 <= h <= 3 and m % 15 == 0, TWICE),
    Form("* 2 * * *", always, lambda h, m: h == 2, TWICE),
    Form("*/60 2 * * *", always, at(2, 0)),
    # Months.
    Form("0 3 * jan *", lambda d: d.month == 1, at(3, 0)),
    Form("0 3 * 4,Oct *", lambda d: d.month in (4, 10), at(3, 0)),
    Form("0 3 * NOV-FEB *", lambda d: d.month in (11, 12, 1, 2), at(3, 0)),
    Form("0 3 1 */5 *", lambda d: d.day == 1 and d.month in (1, 6, 11), at(3, 0)),
    Form("0 3 1 2/5 *", lambda d: d.day == 1 and d.month in (2, 7, 12), at(3, 0)),
    # Days of the month.
    Form("30 2 1 * *", lambda d: d.day == 1, at(2, 30)),
    Form("30 2 1,15,31 * *", lambda d: d.day in (1, 15, 31), at(2, 30)),
    Form("30 2 28-3 * *", lambda d: d.day >= 28 or d.day <= 3, at(2, 30)),
    Form("30 2 */10 * *", lambda d: d.day in (1, 11, 21, 31), at(2, 30)),
    Form("30 2 5/10 * *", lambda d: d.day in (5, 15, 25), at(2, 30)),
    Form("30 2 L * *", lambda d: d.day == length(d), at(2, 30)),
    Form("30 2 l-3 * *", lambda d: d.day == length(d) - 3, at(2, 30)),
    Form("30 2 -1 * *", lambda d: (d + DAY).day == 1, at(2, 30)),
    Form("30 2 -2,-31 * *", lambda d: from_end(d) in (-2, -31), at(2, 30)),
    Form("30 2 -10--5 * *", lambda d: -10 <= from_end(d) <= -5, at(2, 30)),
    Form("30 2 -10--1/2 * *", lambda d: from_end(d) in (-10, -8, -6, -4, -2), at(2, 30)),
    Form("30 2 -10/4 * *", lambda d: from_end(d) in (-10, -6, -2), at(2, 30)),
    Form("30 2 -3-L * *", lambda d: from_end(d) >= -3, at(2, 30)),
    Form("30 2 15-L * *", lambda d: d.day >= 15, at(2, 30)),
    Form("30 2 20--3 * *", lambda d: d.day >= 20 and from_end(d) <= -3, at(2, 30)),
    Form("30 2 15-L/7 * *", lambda d: d.day in (15, 22, 29), at(2, 30)),
    Form("30 2 29 2 *", lambda d: (d.month, d.day) == (2, 29), at(2, 30)),
    Form("30 2 31 * *", lambda d: d.day == 31, at(2, 30)),
    # Days of the week.
    Form("30 2 * * 0", lambda d: d.isoweekday() == 7, at(2, 30)),
    Form("30 2 * * 7", lambda d: d.isoweekday() == 7, at(2, 30)),
    Form("30 2 * * Mon", lambda d: name(d) == "mon", at(2, 30)),
    Form("30 2 * * sat,SUN", lambda d: name(d) in ("sat", "sun"), at(2, 30)),
    Form("30 2 * * mon-fri", lambda d: name(d) in WEEK, at(2, 30)),
    Form("30 2 * * Fri-Sun", lambda d: name(d) in ("fri", "sat", "sun"), at(2, 30)),
    Form("30 2 * * fri-mon", lambda d: name(d) in ("fri", "sat", "sun", "mon"), at(2, 30)),
    Form("30 2 * * fri-mon/2", lambda d: name(d) in ("fri", "sun"), at(2, 30)),
    Form("30 2 * * 5-7", lambda d: name(d) in ("fri", "sat", "sun"), at(2, 30)),
    Form("30 2 * * 0-7", always, at(2, 30)),
    Form("30 2 * * 7-1", lambda d: name(d) in ("sun", "mon"), at(2, 30)),
    Form("30 2 * * */3", lambda d: name(d) in ("sun", "wed", "sat"), at(2, 30)),
    Form("30 2 * * 2/2", lambda d: name(d) in ("tue", "thu", "sat"), at(2, 30)),
    Form("30 2 * * Mon#1", lambda d: name(d) == "mon" and nth(d) == 1, at(2, 30)),
    Form("30 2 * * mon#1,3#3", lambda d: (name(d), nth(d)) in (("mon", 1), ("wed", 3)), at(2, 30)),
    Form("30 2 * * sun#5", lambda d: name(d) == "sun" and nth(d) == 5, at(2, 30)),
    Form("30 2 * * Sun#-1", lambda d: name(d) == "sun" and is_last(d), at(2, 30)),
    Form("30 2 * * sun#-2", lambda d: name(d) == "sun" and is_last(d + 7 * DAY) and not is_last(d), at(2, 30)),
    Form("30 2 * * 5L", lambda d: name(d) == "fri" and is_last(d), at(2, 30)),
    Form("30 2 * * 7l,tueL", lambda d: name(d) in ("sun", "tue") and is_last(d), at(2, 30)),
    # Day of the month and of the week: either, when both are restricted.
    Form("30 2 13 * fri", lambda d: d.day == 13 or name(d) == "fri", at(2, 30)),
    Form("30 2 L * sun#1", lambda d: from_end(d) == -1 or (name(d) == "sun" and nth(d) == 1), at(2, 30)),
    Form("30 2 30 2 mon", lambda d: d.month == 2 and name(d) == "mon", at(2, 30)),
    Form("30 2 1-31 * mon", always, at(2, 30)),
    Form("30 2 */2 * mon", lambda d: d.day % 2 == 1 and name(d) == "mon", at(2, 30)),
    Form("30 2 13 * */5", lambda d: d.day == 13 and name(d) in ("sun", "fri"), at(2, 30)),
    # Names for all five.
    Form("@hourly", always, lambda h, m: m == 0, ELAPSED),
    Form("@daily", always, at(0, 0)),
    Form("@midnight", always, at(0, 0)),
    Form("@weekly", lambda d: name(d) == "sun", at(0, 0)),
    Form("@monthly", lambda d: d.day == 1, at(0, 0)),
    Form("@yearly", lambda d: (d.month, d.day) == (1, 1), at(0, 0)),
    Form("@Annually", lambda d: (d.month, d.day) == (1, 1), at(0, 0)),
    # Seconds first.
    Form("*/20 * * * * *", always, lambda h, m: True, ELAPSED, (0, 20, 40)),
    Form("59 30 * * * *", always, lambda h, m: m == 30, ELAPSED, (59,)),
    Form("15,45 30 2 * * *", always, at(2, 30), CLOCK, (15, 45)),
    Form("58-1 30 1 * * *", always, at(1, 30), CLOCK, (0, 1, 58, 59)),
    Form("7 */20 2 * * sun", lambda d: name(d) == "sun", lambda h, m: h == 2 and m % 20 == 0, TWICE, (7,)),
]


class Minute(NamedTuple):
    start: datetime
    """In UTC."""
    of_day: int
    """Minutes after midnight by the clock on the wall."""
    again: bool
    """Whether the clock has shown it once already."""


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@cache
def local_dates(zone: str, day: date) -> list[date]:
    """Return the local dates that a day of UTC has a part of, or that are left out in it."""
    first = (midnight(day) - MINUTE).astimezone(ZoneInfo(zone)).date()
    last = (midnight(day) + DAY).astimezone(ZoneInfo(zone)).date()
    return [first + n * DAY for n in range((last - first).days + 1)]


@cache
def walk(zone: str, day: date) -> tuple[dict[date, list[Minute]], list[tuple[datetime, list[datetime]]]]:
    """Walk through a day of UTC: its minutes by local date, and where local times are left out, which."""
    zone_info = ZoneInfo(zone)
    dates: dict[date, list[Minute]] = defaultdict(list)
    gaps = []
    start = midnight(day)
    offset = (start - MINUTE).astimezone(zone_info).utcoffset()
    for _ in range(1440):
        local = start.astimezone(zone_info)
        dates[local.date()].append(Minute(start, local.hour * 60 + local.minute, local.fold == 1))
        before, offset = offset, local.utcoffset()
        if offset > before:
            missing = range(1, (offset - before) // MINUTE + 1)
            gaps.append((start, [local.replace(tzinfo=None) - n * MINUTE for n in missing]))
        start += MINUTE
    return dates, gaps


@cache
def minutes_of_day(time: Callable[[int, int], bool]) -> set[int]:
    return {h * 60 + m for h in range(24) for m in range(60) if time(h, m)}


def walked(form: Form, zone: str, start: datetime, count: int) -> list[datetime]:
    """Return the times of a form after `start`, found by walking."""
    times = minutes_of_day(form.time)
    found: list[datetime] = []
    day = start.date() - DAY
    while len(found) < count:
        if any(map(form.day, local_dates(zone, day))):
            dates, gaps = walk(zone, day)
            minutes = {
                minute.start
                for local, them in dates.items()
                if form.day(local)
                for minute in them
                if minute.of_day in times and not (minute.again and form.kind == CLOCK)
            }
            if form.kind != ELAPSED:
                minutes |= {
                    after
                    for after, missing in gaps
                    if any(form.day(wall.date()) and wall.hour * 60 + wall.minute in times for wall in missing)
                }
            runs = [minute + timedelta(seconds=second) for minute in sorted(minutes) for second in form.seconds]
            found += [run for run in runs if run > start]
        day += DAY
    return found[:count]


@cache
def changes(zone: str, year: int) -> list[datetime]:
    """Return the hours of a year in which clocks change."""
    start, hours = datetime(year, 1, 1, tzinfo=UTC), range(366 * 24)
    offsets = [(start + n * HOUR).astimezone(ZoneInfo(zone)).utcoffset() for n in hours]
    return [start + n * HOUR for n in hours[1:] if offsets[n] != offsets[n - 1]]


def moments(zone: str) -> list[datetime]:
    """Return moments from which the next five times lead over changes of the clock, ends of months and leap days."""
    around = [change + n * HOUR for change in changes(zone, 2026) for n in (-26, -1, 0)]
    return [*around, datetime(2028, 2, 28, 23, 59, 59, 999_999, UTC)]


def utc(*times: datetime) -> list[datetime]:
    """Return times as they can be compared: in their own zone, two that the clock shows alike would be equal."""
    return [time.astimezone(UTC) for time in times]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text)
def test_the_next_five_times_are_those_that_a_walk_through_every_minute_meets(form: Form, zone: str):
    schedule = CronSchedule(form.text, zone)
    for moment in moments(zone):
        expected = walked(form, zone, moment, 5)
        assert utc(*schedule.upcoming(moment, 5)) == expected, moment
        assert utc(*map(schedule.previous_before, expected[1:])) == expected[:-1], moment
        assert schedule.previous_before(expected[0]) <= moment


def test_the_zones_do_in_2026_what_this_file_says():
    assert {zone for zone in ZONES if not changes(zone, 2026)} == {"UTC", "Asia/Kolkata"}
    assert {len(changes(zone, 2026)) for zone in ZONES} == {0, 2}


class TestKnownDays:
    """The same by hand, for readers; local times with their offset."""

    @pytest.mark.parametrize(
        ("text", "after", "expected"),
        [
            # New York left out 02:00-03:00 on 8 March 2026, and had 01:00-02:00 twice on 1 November.
            ("30 2 * * * America/New_York", "2026-03-07T12", "03-08 03:00 -04, 03-09 02:30 -04"),
            ("0,30 2 * * * America/New_York", "2026-03-07T12", "03-08 03:00 -04, 03-09 02:00 -04"),
            ("30 2,3 * * * America/New_York", "2026-03-07T12", "03-08 03:00 -04, 03-08 03:30 -04"),
            ("0 2,3 * * * America/New_York", "2026-03-07T12", "03-08 03:00 -04, 03-09 02:00 -04"),
            ("*/15 2 * * * America/New_York", "2026-03-08T05", "03-08 03:00 -04, 03-09 02:00 -04"),
            ("0 */2 * * * America/New_York", "2026-03-08T05", "03-08 03:00 -04, 03-08 04:00 -04"),
            ("15 * * * * America/New_York", "2026-03-08T06", "03-08 01:15 -05, 03-08 03:15 -04"),
            ("*/30 * * * * America/New_York", "2026-03-08T06", "03-08 01:30 -05, 03-08 03:00 -04, 03-08 03:30 -04"),
            ("30 1 * * * America/New_York", "2026-11-01T00", "11-01 01:30 -04, 11-02 01:30 -05"),
            ("30 1 * * * America/New_York", "2026-11-01T05:30", "11-02 01:30 -05, 11-03 01:30 -05"),
            ("15 * * * * America/New_York", "2026-11-01T05", "11-01 01:15 -04, 11-01 01:15 -05, 11-01 02:15 -05"),
            ("*/30 0-1 * * * America/New_York", "2026-11-01T05", "11-01 01:30 -04, 11-01 01:00 -05, 11-01 01:30 -05"),
            ("0,30 0-1 * * * America/New_York", "2026-11-01T05", "11-01 01:30 -04, 11-02 00:00 -05"),
            # Lord Howe left out 02:00-02:30 on 4 October 2026; what is left of that hour exists.
            ("15 2 * * * Australia/Lord_Howe", "2026-10-03T12", "10-04 02:30 +11, 10-05 02:15 +11"),
            ("47 * * * * Australia/Lord_Howe", "2026-10-03T15", "10-04 01:47 +10:30, 10-04 02:47 +11"),
            ("48 * * * * Australia/Lord_Howe", "2026-04-04T14", "04-05 01:48 +11, 04-05 01:48 +10:30"),
            # Havana has no midnight on 8 March 2026: clocks go from 00:00 to 01:00.
            ("@daily America/Havana", "2026-03-07T12", "03-08 01:00 -04, 03-09 00:00 -04"),
            ("*/20 0 * * * America/Havana", "2026-03-08T04:50", "03-08 01:00 -04, 03-09 00:00 -04"),
            # and two on 1 November: from 01:00 back to 00:00.
            ("@daily America/Havana", "2026-10-31T12", "11-01 00:00 -04, 11-02 00:00 -05"),
            ("@hourly America/Havana", "2026-11-01T03:30", "11-01 00:00 -04, 11-01 00:00 -05, 11-01 01:00 -05"),
            # Santiago's clocks go from midnight back to 23:00 of the date before.
            ("30 23 * * * America/Santiago", "2026-04-04T12", "04-04 23:30 -03, 04-05 23:30 -04"),
            ("30 * * * * America/Santiago", "2026-04-05T02", "04-04 23:30 -03, 04-04 23:30 -04, 04-05 00:30 -04"),
            # St John's went from 00:01 back to 23:01 of the date before: two dates were mixed.
            ("0 * * * * America/St_Johns", "2006-10-29T02", "10-29 00:00 -02:30, 10-29 00:00 -03:30"),
            ("*/30 * * * * America/St_Johns", "2006-10-29T02:10", "10-29 00:00 -02:30, 10-28 23:30 -03:30"),
            ("0 0 29 * * America/St_Johns", "2006-10-29T02", "10-29 00:00 -02:30, 11-29 00:00 -03:30"),
            # Samoa left out the whole of 30 December 2011.
            ("0 12 * * * Pacific/Apia", "2011-12-29T12", "12-29 12:00 -10, 12-31 00:00 +14, 12-31 12:00 +14"),
            ("0 12 30 12 * Pacific/Apia", "2011-12-29T12", "12-31 00:00 +14, 12-30 12:00 +14"),
            ("0 */6 * * * Pacific/Apia", "2011-12-30T04", "12-31 00:00 +14, 12-31 06:00 +14"),
            ("30 * * * fri Pacific/Apia", "2011-12-29T12", "01-06 00:30 +14, 01-06 01:30 +14"),
            # Monrovia's clocks went from 00:00 to 00:44:30 on 7 January 1972.
            ("15 */10 0 * * * Africa/Monrovia", "1972-01-07T00:30", "01-07 00:45:15 +00, 01-07 00:50:15 +00"),
            # Seconds stay within the minute that is run instead.
            ("15,45 30 2 * * * America/New_York", "2026-03-08T07:00:15", "03-08 03:00:45 -04, 03-09 02:30:15 -04"),
            ("*/30 59 1 * * * America/New_York", "2026-11-01T05:59:10", "11-01 01:59:30 -04, 11-02 01:59 -05"),
        ],
    )
    def test_a_time_left_out_runs_once_after_and_a_time_that_comes_twice_by_the_kind_of_schedule(
        self, text: str, after: str, expected: str
    ):
        times = CronSchedule(text).upcoming(datetime.fromisoformat(after).replace(tzinfo=UTC), expected.count(",") + 1)
        assert ", ".join(map(shown, times)) == expected


def shown(time: datetime) -> str:
    seconds = f":{time:%S}" if time.second else ""
    return f"{time:%m-%d %H:%M}{seconds} {time.isoformat()[-6:].removesuffix(':00')}"


@st.composite
def drawn_field(draw: Any, low: int, high: int) -> tuple[str, frozenset[int]]:
    """Draw a field's text, with the numbers that it takes."""
    size = high - low + 1
    step = draw(st.integers(1, size))
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["*", f"*/{step}"])), frozenset()
    texts: list[str] = []
    found: set[int] = set()
    for _ in range(draw(st.integers(1, 3))):
        start, more = draw(st.integers(low, high)), draw(st.integers(0, size - 1))
        end = low + (start - low + more) % size
        text, taken = draw(
            st.sampled_from(
                [
                    (f"{start}", range(start, start + 1)),
                    (f"{start}/{step}", range(start, high + 1, step)),
                    (f"{start}-{end}", range(start, start + more + 1)),
                    (f"{start}-{end}/{step}", range(start, start + more + 1, step)),
                ]
            )
        )
        texts.append(text)
        found |= {low + (number - low) % size for number in taken}
    return ",".join(texts), frozenset(found)


def taken(field: tuple[str, frozenset[int]], low: int, high: int) -> frozenset[int]:
    text, found = field
    return found or frozenset(range(low, high + 1, int(text.removeprefix("*").removeprefix("/") or 1)))


@given(
    minute=drawn_field(0, 59),
    hour=drawn_field(0, 23),
    month=drawn_field(1, 12),
    weekday=drawn_field(0, 6),
    zone=st.sampled_from(sorted(ZONES)),
    which=st.integers(0, 7),
)
@settings(max_examples=150)
def test_what_a_list_takes_is_what_its_items_take(minute, hour, month, weekday, zone: str, which: int):
    minutes, hours, months = taken(minute, 0, 59), taken(hour, 0, 23), taken(month, 1, 12)
    weekdays = {["sun", *WEEK, "sat"][number] for number in taken(weekday, 0, 6)}
    several = minute[0].startswith("*") and len(minutes) > 1
    form = Form(
        text=f"{minute[0]} {hour[0]} * {month[0]} {weekday[0]}",
        day=lambda d: d.month in months and name(d) in weekdays,
        time=lambda h, m: h in hours and m in minutes,
        kind=ELAPSED if len(hours) == 24 else TWICE if several else CLOCK,
    )
    moment = moments(zone)[which % len(moments(zone))]
    assert utc(*CronSchedule(form.text, zone).upcoming(moment, 3)) == walked(form, zone, moment, 3)


CHANGEABLE = [*ZONES, "Pacific/Apia", "America/Havana", "America/Santiago", "Atlantic/Azores", "Asia/Beirut"]


@given(
    text=st.sampled_from([form.text for form in FORMS]),
    zone=st.sampled_from(CHANGEABLE),
    data=st.data(),
)
@settings(max_examples=400)
def test_the_last_time_before_is_the_inverse_of_the_next_after(text: str, zone: str, data: Any):
    anywhere = st.integers(0, 115 * 366 * 86_400).map(lambda n: datetime(1975, 1, 1, tzinfo=UTC) + timedelta(seconds=n))
    change = st.sampled_from(moments(zone))
    near = st.builds(lambda moment, more: moment + more, change, st.timedeltas(-3 * HOUR, 30 * HOUR))
    moment = data.draw(anywhere | near)
    schedule = CronSchedule(text, zone)
    [before, after] = utc(schedule.previous_before(moment), schedule.next_after(moment))
    assert before < moment < after
    [last, first] = utc(schedule.previous_before(after), schedule.next_after(before))
    assert last == first == moment or (last, first) == (before, after)


@pytest.mark.parametrize("text", ["*/7 * * * * *", "59 * * * * *", "30 */2 0,23 * * *"])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Africa/Monrovia", "1919-03-01T00:43:08"),  # from -0:43:08 to -0:44:30
        ("Africa/Monrovia", "1972-01-07T00:44:30"),  # from -0:44:30 to 0
        ("America/Chicago", "1883-11-18T18:00:00"),  # from -5:50:36 to -6
        ("Asia/Manila", "1844-12-31T15:56:08"),  # 31 December was left out
        ("America/Sitka", "1867-10-19T00:31:13"),  # 18 October came twice
    ],
)
def test_times_are_in_order_where_clocks_changed_by_odd_seconds_or_a_day(text: str, zone: str, change: str):
    schedule = CronSchedule(text, zone)
    start = datetime.fromisoformat(change).replace(tzinfo=UTC) - 10 * MINUTE
    times = utc(*schedule.upcoming(start, 200))
    assert times == sorted(set(times))
    assert times[0] > start
    assert utc(*map(schedule.previous_before, times[1:])) == times[:-1]
