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
STEP = timedelta(seconds=1)
"""What a clock may drift off until it is measured again; more than this, and somebody has set it."""


class Clock(Protocol):
    """Where moments and durations come from."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""


def machine_now() -> datetime:
    """Return the moment by this machine's own clock. The one place where it is read, so that a test can set it."""
    return datetime.now(UTC)


def _since_boot() -> float:
    """Return seconds that nobody can set, those in which the machine slept included where that is known."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SystemClock:
    """The machine's clock, corrected by the measured offset to the store's."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self._measured: tuple[datetime, float] | None = None

    def set_offset(self, offset: timedelta) -> None:
        """Note how far the store's clock is ahead just now."""
        self.offset = offset
        self._measured = (machine_now(), _since_boot())

    def now(self) -> datetime:
        """Return the moment by the store's clock. That this machine's was set since it was measured changes nothing."""
        moment = machine_now()
        if self._measured is not None:
            then, seconds = self._measured
            passed = timedelta(seconds=_since_boot() - seconds)
            if abs(moment - then - passed) > STEP:
                moment = then + passed
        return moment + self.offset

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


def in_use() -> Clock:
    """Return the clock in use."""
    return _clock


def set_offset(offset: timedelta) -> None:
    """Note how far the store's clock is ahead of this machine's. A clock put in its place goes on as it does."""
    if isinstance(_clock, SystemClock):
        _clock.set_offset(offset)


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
