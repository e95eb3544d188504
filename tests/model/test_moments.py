"""Moments and times as text: they come back, and they sort."""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.model.moments import datetime_text, parse_datetime, parse_time, span_of, time_text

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.one_of(
    st.just(UTC),
    st.timezones(),
    st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds))),
    st.just(timezone(timedelta(microseconds=1))),
)
FOLDS = st.sampled_from([0, 1])
MOMENTS = st.builds(lambda value, fold: value.replace(fold=fold), st.datetimes(timezones=ZONES | st.none()), FOLDS)
TIMES = st.builds(lambda value, fold: value.replace(fold=fold), st.times(timezones=ZONES | st.none()), FOLDS)


def parts(value):
    return value.replace(tzinfo=None), value.fold, type(value.tzinfo), value.tzinfo


def instant(value):
    """Return a moment in UTC; None where there is no such year."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return None


@given(MOMENTS)
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=23))))
@example(datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))))
@example(datetime.max.replace(tzinfo=NEW_YORK))
@example(datetime(2026, 3, 8, 2, 30, tzinfo=NEW_YORK))
@example(datetime(2026, 3, 8, 2, 30, tzinfo=NEW_YORK, fold=1))
@example(datetime(2026, 7, 1, tzinfo=UTC, fold=1))
def test_a_moment_comes_back_with_its_zone_and_fold(value):
    assert parts(parse_datetime(datetime_text(value))) == parts(value)


@given(TIMES)
def test_a_time_comes_back_with_its_zone_and_fold(value):
    assert parts(parse_time(time_text(value))) == parts(value)


@given(MOMENTS, MOMENTS)
def test_texts_sort_as_the_instants_do_whatever_the_zones(one, other):
    if one.tzinfo is None or other.tzinfo is None:
        return
    first, second = instant(one), instant(other)
    if first is None or second is None:
        return
    assert (span_of(one)[0] < span_of(other)[0]) is (first < second)
    assert (datetime_text(one) < span_of(other)[0]) is (first < second)
    assert (datetime_text(one) >= span_of(other)[1]) is (first > second)


@given(MOMENTS, MOMENTS)
def test_the_texts_of_an_instant_are_those_in_its_span(one, other):
    low, high = span_of(one)
    same_kind = (one.tzinfo is None) is (other.tzinfo is None)
    instants = [value if value.tzinfo is None else instant(value) for value in (one, other)]
    if None not in instants:
        assert (low <= datetime_text(other) < high) is (same_kind and instants[0] == instants[1])


@given(MOMENTS, ZONES)
def test_one_instant_in_two_zones_is_in_one_span(value, zone):
    if value.tzinfo is None or instant(value) is None:
        return
    try:
        other = value.astimezone(zone)
    except OverflowError:
        return
    assert span_of(value) == span_of(other)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 1, 15, tzinfo=UTC), "2026-01-01T15:00:00.000000Z"),
        (datetime(2026, 1, 1, 15, tzinfo=ZoneInfo("UTC")), "2026-01-01T15:00:00.000000Z[UTC]"),
        (datetime(2026, 1, 1, 10, tzinfo=NEW_YORK), "2026-01-01T15:00:00.000000Z[America/New_York]"),
        (datetime(1, 1, 1), "0001-01-01 00:00:00.000000"),  # noqa: DTZ001
        (datetime(2026, 1, 1, fold=1), "2026-01-01 00:00:00.000000[_fold=1]"),  # noqa: DTZ001
        (datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=1), "2026-11-01T06:30:00.000000Z[America/New_York]"),
        (
            datetime(2026, 3, 8, 2, 30, tzinfo=NEW_YORK),
            "2026-03-08T07:30:00.000000Z[America/New_York][_wall=2026-03-08T02:30:00]",
        ),
    ],
    ids=str,
)
def test_moments_are_written_so(value, text):
    assert datetime_text(value) == text


@pytest.mark.parametrize("text", ["", "[UTC]", "x[UTC]", "2026-01-01T15:00:00Z[Mars/Olympus]", "2026-01-01[../x]"])
def test_another_text_is_refused(text):
    with pytest.raises(ValueError, match=r"no time zone|not the form|Invalid isoformat"):
        parse_datetime(text)
    with pytest.raises(ValueError, match=r"no time zone|not the form|Invalid isoformat"):
        parse_time(text)


def test_a_zone_that_could_not_be_read_again_is_refused():
    class Unknown(tzinfo):
        def utcoffset(self, moment):
            return timedelta(0)

    with pytest.raises(ValueError, match=r"Unknown cannot be stored; use zoneinfo"):
        datetime_text(datetime(2026, 1, 1, tzinfo=Unknown()))
    with pytest.raises(ValueError, match=r"Unknown cannot be stored; use zoneinfo"):
        time_text(time(1, tzinfo=Unknown()))
