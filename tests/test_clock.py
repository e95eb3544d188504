"""Time."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import clock
from penstock.clock import ManualClock, SystemClock, from_micros, to_micros


def test_now_is_aware_and_in_utc():
    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_systems_clock_is_corrected_by_its_offset_and_durations_are_not():
    system = SystemClock()
    system.offset = timedelta(hours=-2)
    assert abs(system.now() - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(seconds=5)
    assert abs(system.monotonic() - time.monotonic()) < 5


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(minutes=-10)])
def test_once_measured_it_does_not_follow_the_machines_clock_when_that_is_set(monkeypatch, step):
    system = SystemClock()
    system.set_offset(timedelta(hours=2))
    monkeypatch.setattr(clock, "machine_now", lambda: datetime.now(UTC) + step)
    assert abs(system.now() - (datetime.now(UTC) + timedelta(hours=2))) < timedelta(seconds=0.5)


def test_never_measured_it_is_the_machines_clock_whatever_that_is_set_to(monkeypatch):
    system = SystemClock()
    monkeypatch.setattr(clock, "machine_now", lambda: datetime.now(UTC) + timedelta(hours=1))
    assert abs(system.now() - (datetime.now(UTC) + timedelta(hours=1))) < timedelta(seconds=0.5)


def test_a_manual_clock_moves_only_when_told_to():
    manual = ManualClock()
    start = manual.now()
    assert (manual.now(), manual.monotonic()) == (start, 0.0)
    manual.advance(1.5)
    assert (manual.now() - start, manual.monotonic()) == (timedelta(seconds=1.5), 1.5)


def test_a_clock_is_in_use_for_the_length_of_the_block_even_when_it_raises():
    outer, inner = ManualClock(), ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    with clock.use(outer):
        with pytest.raises(KeyError), clock.use(inner):
            raise KeyError(clock.now().year)
        assert clock.now() == outer.now()
        assert clock.monotonic() == 0.0
    assert clock.now() != outer.now()


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_goes_through_microseconds_exactly(moment):
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return  # Its moment in UTC is outside of what datetime knows.
    assert from_micros(to_micros(moment)) == moment.astimezone(UTC)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_microseconds_go_through_a_moment_exactly(micros):
    moment = from_micros(micros)
    assert moment.tzinfo is UTC
    assert to_micros(moment) == micros


def test_one_moment_is_one_number_in_every_zone():
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert to_micros(moment) == to_micros(moment.astimezone(timezone(timedelta(hours=5, minutes=30))))


def test_a_naive_moment_is_refused_and_shown():
    with pytest.raises(ValueError, match=r"2026.*has no time zone"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001
