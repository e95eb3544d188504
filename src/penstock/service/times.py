"""Times for people: in the zone of the `timezone` setting; and as plain data: ISO text."""

from datetime import datetime
from zoneinfo import ZoneInfo

from penstock.config import settings

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def time_text(moment: datetime) -> str:
    """Return a moment for people, to the second, as `2026-01-01 13:00:00 CET`."""
    return moment.astimezone(ZoneInfo(settings().timezone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def iso_text(moment: datetime | None) -> str | None:
    """Return a moment as plain data; None for None."""
    return None if moment is None else moment.isoformat()


def span_text(seconds: float) -> str:
    """Return how long something took or is ago in one unit, rounded down: `5 s`, `59 min`, `23 h`, `40 d`."""
    whole = max(0, int(seconds))
    size, unit = next(((size, unit) for size, unit in _UNITS if whole >= size), _UNITS[-1])
    return f"{whole // size} {unit}"
