"""Time. Moments are aware datetimes in UTC; durations are measured with the monotonic clock.

`now()` is the time of the store: a server measures how far its own clock is off and tells `set_offset`.
Tests put a `ManualClock` in place of the system's.
"""

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Where moments and durations come from."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""


class SystemClock:
    """The machine's clock, corrected by the measured offset to the store's."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """Return the moment by the store's clock."""
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock for tests that moves only when told to."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._seconds = 0.0

    def now(self) -> datetime:
        """Return the moment the clock stands at."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Move both the moment and the monotonic seconds on by `seconds`."""
        self._now += timedelta(seconds=seconds)
        self._seconds += seconds


_clock: Clock = SystemClock()


def now() -> datetime:
    """Return the moment by the clock in use: aware, UTC."""
    return _clock.now()


def monotonic() -> float:
    """Return seconds for measuring durations and deadlines."""
    return _clock.monotonic()


@contextmanager
def use(clock: Clock) -> "Iterator[None]":
    """Put `clock` in place of the one in use, for the length of a `with` block."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


def to_micros(moment: datetime) -> int:
    """Return `moment` as whole microseconds since 1970. Exact.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; give an aware datetime")
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime of `micros` microseconds since 1970. Exact."""
    return EPOCH + timedelta(microseconds=micros)
