"""Cron texts in words. What has no simple words is told by its text: the next times are always shown beside it."""

from collections.abc import Mapping, Sequence

from penstock.errors import InvalidSchedule
from penstock.plugins.schedule import CronSchedule
from penstock.plugins.schedule_text import ALIASES

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_NUMBERS = {name[:3].lower(): number for number, name in enumerate(DAYS[:7])}
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}
_WEEKS: Mapping[str, str] = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth", "-1": "last"}


def schedule_in_words(text: str) -> str:
    """Return what a schedule means, as `every day at 04:15, Europe/Berlin time`; the text itself where words fail.

    Raises:
        InvalidSchedule: the text means nothing.
    """
    schedule = CronSchedule(text)
    fields = schedule.text.split()
    zone = f", {schedule.zone.key} time"
    if fields[0].startswith("@"):
        fields = ALIASES[fields[0].lower()].split()
    else:
        fields = fields[:-1] if not _is_field(fields[-1]) else fields
    if len(fields) == 6 and fields[0] == "0":
        fields = fields[1:]
    if len(fields) != 5:
        return schedule.text
    minute, hour, day, month, weekday = (each.lower() for each in fields)
    time, days = _time(minute, hour), _days(day, weekday)
    if time is None or days is None:
        return schedule.text
    often = time.startswith("every")
    when = days or ("" if often else "every day")
    told = " ".join(part for part in ((time, when) if often else (when, time)) if part)
    months = _months(month)
    return schedule.text if months is None else f"{told}{months}{zone}"


def is_schedule(text: str) -> bool:
    """Tell whether a text is a schedule."""
    try:
        CronSchedule(text)
    except InvalidSchedule:
        return False
    return True


def _is_field(word: str) -> bool:
    """Tell whether the last word is a field rather than a zone: a zone has a letter that no field begins with so."""
    return not word[:1].isalpha() or word[:3].lower() in _DAY_NUMBERS or word[:1] in "lL"


def _time(minute: str, hour: str) -> str | None:
    every = _step(minute)
    if every and hour == "*":
        return "every minute" if every == 1 else f"every {every} minutes"
    if not minute.isdecimal():
        return None
    at = f":{int(minute):02}"
    step = _step(hour)
    if step:
        return f"every hour at {at}" if step == 1 else f"every {step} hours at {at}"
    if "-" in hour and all(part.isdecimal() for part in hour.split("-")):
        first, last = hour.split("-")
        return f"every hour from {int(first):02}{at} to {int(last):02}{at}"
    hours = hour.split(",")
    if not all(each.isdecimal() for each in hours):
        return None
    return f"at {_listed([f'{int(each):02}{at}' for each in hours])}"


def _step(field: str) -> int | None:
    if field == "*":
        return 1
    return int(field[2:]) if field.startswith("*/") and field[2:].isdecimal() else None


def _days(day: str, weekday: str) -> str | None:
    """Return on which days; empty for all; None where there are no words."""
    of_month = "" if day == "*" else _of_month(day)
    of_week = "" if weekday == "*" else _of_week(weekday)
    if of_month is None or of_week is None:
        return None
    return f"{of_month} or {of_week}" if of_month and of_week else of_month or of_week


def _of_month(day: str) -> str | None:
    if day in ("l", "-1"):
        return "on the last day of the month"
    if day.startswith("-") and day[1:].isdecimal():
        return f"on the last day but {int(day[1:]) - 1} of the month"
    days = day.split(",")
    return (
        f"on the {_listed([_ordinal(int(each)) for each in days])}" if all(each.isdecimal() for each in days) else None
    )


def _of_week(field: str) -> str | None:
    if field in ("1-5", "mon-fri"):
        return "on weekdays"
    if field in ("6,0", "0,6", "sat,sun", "sat-sun"):
        return "on weekends"
    name, hash_mark, week = field.partition("#")
    if not hash_mark and field.endswith("l") and len(field) == 2:
        name, hash_mark, week = field[:1], "#", "-1"
    if hash_mark:
        found = _day_name(name)
        return f"on the {_WEEKS[week]} {found} of the month" if found and week in _WEEKS else None
    first, dash, last = field.partition("-")
    if dash:
        ends = _day_name(first), _day_name(last)
        return f"from {ends[0]} to {ends[1]}" if all(ends) else None
    names = [_day_name(each) for each in field.split(",")]
    return f"on {_listed([f'{name}s' for name in names])}" if all(names) else None


def _months(field: str) -> str | None:
    if field == "*":
        return ""
    found = [_month_name(each) for each in field.split(",")]
    return f" in {_listed([str(name) for name in found])}" if all(found) else None


def _day_name(text: str) -> str | None:
    number = int(text) if text.isdecimal() else _DAY_NUMBERS.get(text)
    return DAYS[number] if number is not None and number < len(DAYS) else None


def _month_name(text: str) -> str | None:
    number = int(text) if text.isdecimal() else _MONTH_NUMBERS.get(text)
    return MONTHS[number - 1] if number is not None and 1 <= number <= len(MONTHS) else None


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
