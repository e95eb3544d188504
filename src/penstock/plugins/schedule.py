"""Cron schedules: a text such as `0 1 * * mon-fri Europe/Berlin`, and the next or the last time that it names.

Five fields: minute, hour, day of month, month, day of week. With six, the first is the second. After them a time
zone, or none. Case does not matter, but in the zone.

    *  5  1,15  8-17          all, one, a list, a range; both ends belong to it
    22-2  fri-mon  nov-feb    a range may run over the end of its field
    */5  /5  5/15  8-17/2     steps: over all (twice the same), from 5 to the end of the field, within a range
    jan … dec  sun … sat      names; Sunday is 0 and 7
    L  -1                     day of month: the last; -2 is the last but one, and so on to -31
    L-3                       day of month: three days before the last, so the same as -4
    -10--5  -7-L  15-L        day of month: ranges by the month's end; 15-L is from the 15th to the last
    mon#1  sun#-1  5L         day of week: the first Monday, the last Sunday, the last Friday of the month

Also `@hourly @daily @midnight @weekly @monthly @yearly @annually`, each with a zone after it or without.

A day matches by day of month *and* day of week; when both are restricted, by *either*. What begins with `*` does not
restrict. This is the rule of Vixie's cron, crontab(5): `0 0 1-7 * mon` means the first seven days of a month and
every Monday; the first Monday is `0 0 * * mon#1`.

When clocks change, much as with Debian's cron(8), a schedule

- of *every hour* (`0 * * * *`, `*/30 * * * *`) goes by elapsed time: it runs in both of the hours that autumn makes
  of one, and not for local times that spring leaves out;
- of *certain hours* (`30 2 * * *`, `0 */2 * * *`) runs once for local times that are left out, in the first minute
  after them. Of a time that comes twice it takes the first; or both, when minutes are `*` or `*/n` (`*/5 0-6 * * *`).

Seconds count within the minutes that the other five fields choose.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from penstock.clock import EPOCH
from penstock.config import settings
from penstock.errors import InvalidSchedule
from penstock.plugins.schedule_text import MAX_TEXT, Step, read_schedule, zone_named

__all__ = ["CronSchedule", "InvalidSchedule"]

_SECOND = timedelta(seconds=1)
_DAY, _EPOCH_DAY = 86_400, EPOCH.toordinal()


class CronSchedule:
    """The times that a text names in a time zone. A value: schedules that mean the same are equal.

    `text` is the text with single spaces. `zone` is the one that the text ends with, or else `timezone`, or else that
    of the settings at this moment. `str()` always names the zone, and is read as the same schedule again. Compare
    times in UTC: Python calls two times of one zone equal when clocks show the same, were they an hour apart.

    Raises:
        InvalidSchedule: what is wrong, and in which field; one line.
    """

    __slots__ = ("_rules", "text", "zone")

    def __init__(self, text: str, timezone: str | None = None) -> None:
        if len(text) > MAX_TEXT:
            raise InvalidSchedule(f"a schedule of {len(text):,} characters; it may have {MAX_TEXT}")
        self.text = " ".join(text.split())
        self._rules, zone = read_schedule(self.text)
        self.zone: ZoneInfo = zone or zone_named(settings().timezone if timezone is None else timezone)

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after `moment`, never `moment` itself, in the schedule's zone.

        Raises:
            ValueError: `moment` is naive.
            OverflowError: there is none before the year 9999.
        """
        return self._nearest(moment, 1)

    def previous_before(self, moment: datetime) -> datetime:
        """Return the last time before `moment`, never `moment` itself, in the schedule's zone.

        Raises:
            ValueError: `moment` is naive.
            OverflowError: there is none after the year 1.
        """
        return self._nearest(moment, -1)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next `count` times after `moment`. Raises as `next_after` does."""
        times: list[datetime] = []
        for _ in range(count):
            moment = self.next_after(moment)
            times.append(moment)
        return times

    def __str__(self) -> str:
        return self.text if self.text.endswith(f" {self.zone.key}") else f"{self.text} {self.zone.key}"

    def __repr__(self) -> str:
        return f"CronSchedule({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CronSchedule):
            return NotImplemented
        return (self._rules, self.zone.key) == (other._rules, other.zone.key)

    def __hash__(self) -> int:
        return hash((self._rules, self.zone.key))

    def _nearest(self, moment: datetime, step: Step) -> datetime:
        if moment.utcoffset() is None:
            raise ValueError(f"{moment!r} has no time zone; give an aware datetime")
        instant = (moment - EPOCH) // _SECOND
        if step < 0 and moment.microsecond:
            instant += 1  # What is before half past a second is before the next one.
        found = self._search(instant, step)
        if found is None:
            side = "after" if step > 0 else "before"
            raise OverflowError(f"schedule {str(self)!r} names no time {side} {moment} in the years 2 to 9998")
        return (EPOCH + timedelta(seconds=found)).astimezone(self.zone)

    # Below, an instant is in seconds since 1970, and a day is a local date's ordinal.

    def _search(self, instant: int, step: Step) -> int | None:
        """Return the time nearest to `instant`, after it where `step` is 1, or before it.

        A local date is a day off that of UTC at most. When a day has a time, the one beyond it may have a nearer one:
        where clocks go back over midnight, the times of two dates are mixed.
        """
        today = instant // _DAY + _EPOCH_DAY
        for day in self._rules.days(today - step, step):
            found = self._of_day(day, instant, step)
            if found is not None:
                other = self._of_day(day + step, instant, step) if self._rules.has_day(day + step) else None
                return found if other is None else min(found, other, key=lambda time: time * step)
        return None

    def _of_day(self, day: int, instant: int, step: Step) -> int | None:
        """Return the time of one day nearest to `instant`, after or before it."""
        base, starts = self._minutes_of(day)
        seconds, sought, on = self._rules.seconds, instant - base, step > 0
        minute = bisect_right(starts, sought - seconds[-1]) if on else bisect_left(starts, sought - seconds[0]) - 1
        if not 0 <= minute < len(starts):
            return None
        sought -= starts[minute]
        second = bisect_right(seconds, sought) if on else bisect_left(seconds, sought) - 1
        return base + starts[minute] + seconds[second]

    def _minutes_of(self, day: int) -> tuple[int, Sequence[int]]:
        """Return when the minutes to run in start: an instant, and seconds after it."""
        midnight = (day - _EPOCH_DAY) * _DAY
        first = _offset(datetime.fromordinal(day).replace(tzinfo=self.zone))
        last = _offset(datetime.fromordinal(day + 1).replace(tzinfo=self.zone, fold=1))
        if first == last:
            return midnight - first, self._rules.starts
        return 0, self._minutes_around_change(midnight, midnight - max(first, last), midnight + _DAY - min(first, last))

    def _minutes_around_change(self, midnight: int, earliest: int, latest: int) -> list[int]:
        """Return the instants at which the minutes to run in start, when clocks change between two instants.

        At the change the local time goes from `old` to `new`, in seconds after midnight: some are left out when
        `new` is more, or come again when it is less.
        """
        before, after = self._offset_at(earliest), self._offset_at(latest)
        span = range(earliest, latest)
        change = earliest + bisect_left(span, True, key=lambda instant: self._offset_at(instant) != before)
        old, new = change + before - midnight, change + after - midnight
        rules = self._rules
        instants = [midnight + start - before for start in rules.starts if start < old]
        if rules.makes_up and any(old <= start < new for start in rules.starts):
            instants.append(change + -new % 60)
        resumed = new if rules.repeats else max(old, new)
        instants += [midnight + start - after for start in rules.starts if start >= resumed]
        # The minute that makes up may be one to run in anyway; and long ago clocks changed by odd seconds.
        return [instant for n, instant in enumerate(instants) if n == 0 or instant - instants[n - 1] >= 60]

    def _offset_at(self, instant: int) -> int:
        return _offset((EPOCH + timedelta(seconds=instant)).astimezone(self.zone))


def _offset(moment: datetime) -> int:
    """Return how many seconds the local time of a moment is ahead of UTC."""
    return (moment.replace(tzinfo=UTC) - moment) // _SECOND
