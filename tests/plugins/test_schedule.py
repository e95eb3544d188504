"""Schedules: what a text says, what is refused with which words, and that neither ever takes long.

That the times are the right ones, in every zone, is in `test_schedule_dst.py`.
"""

import copy
import pickle
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.errors import ConfigurationError, PenstockError
from penstock.plugins import schedule, schedule_text
from penstock.plugins.schedule import CronSchedule, InvalidSchedule
from penstock.plugins.schedule_text import ALIASES, MAX_TEXT

NOW = datetime(2015, 12, 9, 17, 50, 5, tzinfo=UTC)
A_SECOND = timedelta(seconds=1)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0 1 * * * UTC", "2015-12-10T01:00:00+00:00"),
            ("0 1 * * * America/New_York", "2015-12-10T06:00:00+00:00"),
            ("51 17 * * * UTC", "2015-12-09T17:51:00+00:00"),
            ("50 17 * * * UTC", "2015-12-10T17:50:00+00:00"),
            ("6 50 17 * * * UTC", "2015-12-09T17:50:06+00:00"),
            ("@daily Asia/Kolkata", "2015-12-09T18:30:00+00:00"),
            ("0 0 29 2 * UTC", "2016-02-29T00:00:00+00:00"),
            ("0 0 29 2 */7 UTC", "2032-02-29T00:00:00+00:00"),
        ],
    )
    def test_the_next_time_of_days_that_are_known(self, text: str, expected: str):
        assert CronSchedule(text).next_after(NOW) == datetime.fromisoformat(expected)

    def test_times_come_in_the_zone_of_the_schedule(self):
        schedule = CronSchedule("0 1 * * * America/New_York")
        assert schedule.next_after(NOW).isoformat() == "2015-12-10T01:00:00-05:00"
        assert schedule.next_after(NOW).tzinfo is schedule.previous_before(NOW).tzinfo is schedule.zone

    def test_a_moment_may_be_given_in_any_zone(self):
        schedule = CronSchedule("0 1 * * * UTC")
        for zone in (ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=-11)), timezone(timedelta(seconds=61))):
            assert schedule.next_after(NOW.astimezone(zone)) == schedule.next_after(NOW)

    def test_a_moment_that_is_a_time_itself_is_neither_next_nor_previous(self):
        schedule = CronSchedule("* * * * * * UTC")
        moment = NOW.replace(microsecond=0)
        assert schedule.next_after(moment) == moment + A_SECOND
        assert schedule.previous_before(moment) == moment - A_SECOND

    def test_parts_of_a_second_count(self):
        schedule = CronSchedule("* * * * * * UTC")
        moment = NOW.replace(microsecond=1)
        assert schedule.next_after(moment) == NOW + A_SECOND
        assert schedule.previous_before(moment) == NOW
        assert schedule.next_after(moment - timedelta(microseconds=2)) == NOW

    def test_upcoming_times_follow_each_other(self):
        schedule = CronSchedule("0 9 * * mon-fri UTC")
        days = [moment.strftime("%a %d") for moment in schedule.upcoming(NOW, 5)]
        assert days == ["Thu 10", "Fri 11", "Mon 14", "Tue 15", "Wed 16"]
        assert schedule.upcoming(NOW, 0) == []

    def test_a_naive_moment_is_refused(self):
        for find in (CronSchedule("@daily UTC").next_after, CronSchedule("@daily UTC").previous_before):
            with pytest.raises(ValueError, match="no time zone"):
                find(NOW.replace(tzinfo=None))

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_where_the_calendar_ends_there_is_no_time(self, zone: str):
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for text in ("@daily", "* * * * * *", "0 0 29 2 *"):
            schedule = CronSchedule(text, zone)
            with pytest.raises(OverflowError, match="names no time after 9999-12-31"):
                schedule.next_after(last)
            with pytest.raises(OverflowError, match="names no time before 0001-01-01"):
                schedule.previous_before(first)
            assert schedule.next_after(first).year in (2, 4)
            assert schedule.previous_before(last).year in (9998, 9996)

    @pytest.mark.parametrize(
        ("text", "years"),
        [
            # 29 February on a Sunday, over 1900 and 2100, which are no leap years.
            ("0 0 29 2 */7 UTC", [1852, 1880, 1920, 1948, 1976, 2004, 2032, 2060, 2088, 2128]),
            ("0 0 * 2 sun#5 UTC", [1852, 1880, 1920, 1948, 1976, 2004, 2032, 2060, 2088, 2128]),
        ],
    )
    def test_a_day_of_forty_years_is_found_over_a_century_without_a_leap_day(self, text: str, years: list[int]):
        times = CronSchedule(text).upcoming(datetime(1850, 1, 1, tzinfo=UTC), len(years))
        assert [moment.year for moment in times] == years
        assert [CronSchedule(text).previous_before(moment).year for moment in times[1:]] == years[:-1]


class TestText:
    def test_the_zone_is_that_of_the_text_or_the_argument_or_the_settings(self):
        penstock.configure(timezone="Asia/Tokyo")
        assert CronSchedule("0 1 * * * Europe/Paris", "America/Lima").zone is ZoneInfo("Europe/Paris")
        assert CronSchedule("0 1 * * *", "America/Lima").zone is ZoneInfo("America/Lima")
        assert CronSchedule("0 1 * * *").zone is ZoneInfo("Asia/Tokyo")
        penstock.configure(timezone="Asia/Seoul")
        assert CronSchedule("0 1 * * *").zone is ZoneInfo("Asia/Seoul")

    @pytest.mark.parametrize("zone", ["UTC", "EST5EDT", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "GB", "W-SU"])
    def test_a_zone_may_follow_five_fields_six_or_a_name(self, zone: str):
        for text in ("0 1 * * *", "0 1 * * mon", "0 0 1 * * *", "0 0 1 * * mon", "@daily"):
            assert CronSchedule(f"{text} {zone}").zone.key == zone

    @pytest.mark.parametrize("last", ["mon", "Mon-Fri", "*", "0", "5L", "friL", "Sun#-1", "*/2", "/2", "sun,tue"])
    def test_with_six_fields_the_first_is_the_second_and_the_last_no_zone(self, last: str):
        [moment] = CronSchedule(f"5 4 3 * * {last}", "UTC").upcoming(NOW, 1)
        assert (moment.hour, moment.minute, moment.second) == (3, 4, 5)

    def test_the_text_is_kept_with_single_spaces_and_shown_with_its_zone(self):
        schedule = CronSchedule("  0  1\t* * Mon\n", "Europe/Paris")
        assert schedule.text == "0 1 * * Mon"
        assert str(schedule) == "0 1 * * Mon Europe/Paris"
        assert str(CronSchedule(" @daily   UTC ")) == CronSchedule("@daily UTC").text == "@daily UTC"
        assert repr(schedule) == "CronSchedule('0 1 * * Mon Europe/Paris')"

    @pytest.mark.parametrize("text", ["0 1 * * *", "0 1 * * * Asia/Tokyo", "@weekly", "5 0 1 -3-L * Mon#1,5L"])
    def test_what_is_shown_is_read_as_the_same_schedule_whatever_the_settings(self, text: str):
        schedule = CronSchedule(text, "Europe/Paris")
        penstock.configure(timezone="Asia/Seoul")
        assert CronSchedule(str(schedule)) == schedule

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("@daily", "0 0 * * *"),
            ("@weekly", "0 0 * * sun"),
            ("0 0 * * 0", "0 0 * * 7"),
            ("/5 * * * *", "*/5 * * * *"),
            ("/15 1-3 /2 * mon", "*/15 1-3 */2 * mon"),
            ("0 0 L * *", "0 0 -1 * *"),
            ("0 0 l-3 * *", "0 0 -4 * *"),
            ("0 0 * * 5L", "0 0 * * fri#-1"),
            ("0 0 1,2,3 * *", "0 00 3,1-2 * *"),
            ("0 0 * jan *", "0 0 0 * 1 * UTC"),
            ("0 22-2 * * *", "0 0,1,2,22,23 * * *"),
            ("0 0 * * 5-7", "0 0 * * fri-sun"),
        ],
    )
    def test_schedules_that_mean_the_same_are_equal(self, one: str, other: str):
        assert CronSchedule(one, "UTC") == CronSchedule(other, "UTC")
        assert hash(CronSchedule(one, "UTC")) == hash(CronSchedule(other, "UTC"))

    @pytest.mark.parametrize("other", ["0 2 * * *", "0 1 * * mon", "1 0 1 * * *", "0 1 2 * *", "0 1 * 2 *"])
    def test_schedules_that_differ_are_not_equal(self, other: str):
        assert CronSchedule("0 1 * * *") != CronSchedule(other)
        assert CronSchedule("0 1 * * *") != CronSchedule("0 1 * * *", "Asia/Tokyo")
        assert CronSchedule("0 1 * * *") != "0 1 * * *"

    def test_a_schedule_can_be_copied_and_pickled(self):
        schedule = CronSchedule("0 22-2 L * * Asia/Tokyo")
        for same in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
            assert same == schedule
            assert same.next_after(NOW) == schedule.next_after(NOW)


COUNT = "fields; write minute, hour, day of month, month, day of week, or all these with second first"
REFUSED = [
    # How many fields.
    ("", f"schedule '': it has 0 {COUNT}"),
    (" \t\n", "schedule '': it has 0 fields"),
    ("* * * *", f"schedule '* * * *': it has 4 {COUNT}"),
    ("* * * * * * *", "it has 7 fields"),
    ("* * * * * * * UTC", "it has 7 fields"),
    ("mañana", "it has 1 fields"),
    # Out of range.
    ("60 * * * *", "schedule '60 * * * *': minute: '60' is not 0 to 59"),
    ("* 24 * * *", "hour: '24' is not 0 to 23"),
    ("* * 0 * *", "day of month: '0' is not 1 to 31, or L or -1 to -31 from the end"),
    ("* * 32 * *", "day of month: '32' is not 1 to 31"),
    ("* * -32 * *", "day of month: '-32' is not 1 to 31"),
    ("* * L-31 * *", "day of month: 'L-31' is not 1 to 31"),
    ("* * -0 * *", "day of month: '-0' is not"),
    ("* * * 13 *", "month: '13' is not 1 to 12, or jan to dec"),
    ("* * * 0 *", "month: '0' is not"),
    ("* * * * 8", "day of week: '8' is not 0 to 7, or sun to sat"),
    ("60 * * * * *", "second: '60' is not 0 to 59"),
    ("1,2,70 * * * *", "minute: '70' is not 0 to 59"),
    ("5-70 * * * *", "minute: '70' in '5-70' is not 0 to 59"),
    ("-5 * * * *", "minute: '-5' is not 0 to 59"),
    ("-0 * * * *", "minute: '-0' is not 0 to 59"),
    ("* * * * -1", "day of week: '-1' is not"),
    ("9" * 200 + " * * * *", "minute: '9999"),
    # Lists, ranges and steps.
    ("1,,2 * * * *", "minute: an empty item in '1,,2'"),
    (", * * * *", "minute: an empty item in ','"),
    ("* * * * mon,", "day of week: an empty item in 'mon,'"),
    ("* 5- * * *", "hour: '5-' is no number, range or step"),
    ("* 1-2-3 * * *", "hour: '1-2-3' is no number, range or step"),
    ("* *-5 * * *", "hour: '*' in '*-5' is not 0 to 23"),
    ("* ** * * *", "hour: '**' is not"),
    ("* * -3-5 * *", "day of month: the range '-3-5' ends before it begins"),
    ("* * -3--10 * *", "day of month: the range '-3--10' ends before it begins"),
    ("*/0 * * * *", "minute: the step '0' in '*/0' is not 1 to 60"),
    ("*/61 * * * *", "minute: the step '61' in '*/61' is not 1 to 60"),
    ("*/ * * * *", "minute: the step '' in '*/' is not"),
    ("/ * * * *", "minute: the step '' in '/' is not"),
    ("*/5/5 * * * *", "minute: the step '5/5' in '*/5/5' is not"),
    ("*/-5 * * * *", "minute: the step '-5' in '*/-5' is not"),
    ("* * */x * *", "day of month: the step 'x' in '*/x' is not 1 to 31"),
    ("* * * * */8", "day of week: the step '8' in '*/8' is not 1 to 7"),
    ("1.5 * * * *", "minute: '1.5' is not 0 to 59"),
    ("+5 * * * *", "minute: '+5' is not"),
    ("٣ * * * *", "minute: '٣' is not"),
    ("² * * * *", "minute: '²' is not"),
    # Names.
    ("* * * foo *", "month: 'foo' is not 1 to 12, or jan to dec"),
    ("* * * mon *", "month: 'mon' is not"),
    ("* * * jan-foo *", "month: 'foo' in 'jan-foo' is not"),
    ("* * * * jan", "day of week: 'jan' is not 0 to 7, or sun to sat"),
    ("* * * * Monday", "day of week: 'Monday' is not"),
    ("0 * * * * Monday", "day of week: 'Monday' is not"),
    ("* * * * ſun", "day of week: 'ſun' is not"),
    ("jan * * * *", "minute: 'jan' is not"),
    ("* * ? * *", r"day of month: '?' is not"),
    ("* * 15W * *", "day of month: '15W' is not"),
    # Which of the month.
    ("* * * * mon#6", "day of week: '6' in 'mon#6' is not 1 to 5, or -1 to -5 from the month's end"),
    ("* * * * mon#0", "day of week: '0' in 'mon#0' is not"),
    ("* * * * mon#", "day of week: '' in 'mon#' is not"),
    ("* * * * mon#1#2", "day of week: '1#2' in 'mon#1#2' is not"),
    ("* * * * mon#1/2", "day of week: '1/2' in 'mon#1/2' is not"),
    ("* * * * foo#1", "day of week: 'foo' in 'foo#1' is not 0 to 7, or sun to sat"),
    ("* * * * mon-fri#1", "day of week: 'mon-fri' in 'mon-fri#1' is not"),
    ("* * * * #1", "day of week: '#1' is not"),
    ("* * * * L", "day of week: 'L' is not"),
    ("* * * * 8L", "day of week: '8' in '8L' is not"),
    ("* * 1#2 * *", "day of month: '1#2' is not"),
    ("L * * * *", "minute: 'L' is not"),
    # Dates that never come.
    ("0 0 30 2 *", "no date ever has day of month 30, month 2 and day of week *"),
    ("0 0 31 2,4,jun,9,11 *", "no date ever has day of month 31, month 2,4,jun,9,11 and day of week *"),
    ("0 0 -30 2 *", "no date ever has day of month -30, month 2"),
    ("0 0 31--2 * *", "no date ever has day of month 31--2"),
    ("0 0 */31 2 mon#5", "no date ever has day of month */31, month 2 and day of week mon#5"),
    ("0 0 */16 * 5L", "no date ever has day of month */16, month * and day of week 5L"),
    # Names for all five.
    ("@often", "with @, write one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"),
    ("@", "with @, write one of"),
    ("@daily 5 UTC", "with @, write one of"),
    ("@daily @daily", "there is no time zone '@daily'"),
    # Zones.
    ("* * * * * Foo/Bar", "schedule '* * * * * Foo/Bar': there is no time zone 'Foo/Bar'"),
    ("* * * * * * Foo/Bar", "there is no time zone 'Foo/Bar'"),
    ("@daily Foo/Bar", "there is no time zone 'Foo/Bar'"),
    ("* * * * * America", "there is no time zone 'America'"),
    ("* * * * * Europe/", "there is no time zone 'Europe/'"),
    ("* * * * * a/../UTC", "there is no time zone 'a/../UTC'"),
    ("@daily /etc/localtime", "there is no time zone '/etc/localtime'"),
    ("@daily ../UTC", "there is no time zone '../UTC'"),
    ("@daily tzdata.zi", "there is no time zone 'tzdata.zi'"),
    ("@daily leapseconds", "there is no time zone 'leapseconds'"),
    ("@daily UTC\0", r"there is no time zone 'UTC\x00'"),
    ("@daily Zürich", "there is no time zone 'Zürich'"),
    ("@daily \udce4", r"there is no time zone '\udce4'"),
    ("* * * * * " + "A" * 240, "there is no time zone 'AAAA"),
    ("* * * * * +02:00", "day of week: '+02:00' is not"),
    # Long ones.
    ("1" * 300, "a schedule of 300 characters; it may have 256"),
    ("0," * 100_000, "a schedule of 200,000 characters; it may have 256"),
]


class TestRefusals:
    @pytest.mark.parametrize(("text", "words"), REFUSED, ids=[ascii(text)[:40] for text, _ in REFUSED])
    def test_a_refusal_says_in_a_line_what_is_wrong_and_where(self, text: str, words: str):
        with pytest.raises(InvalidSchedule) as refusal:
            CronSchedule(text)
        message = str(refusal.value)
        assert words in message
        assert len(message.splitlines()) == 1
        assert len(message) < 300

    def test_a_zone_of_the_argument_or_the_settings_is_refused_too(self):
        for zone in ("Foo/Bar", "", "America"):
            with pytest.raises(InvalidSchedule, match=f"there is no time zone '{zone}'"):
                CronSchedule("@daily", zone)
        with pytest.raises(ConfigurationError, match="Mars/Olympus"):
            penstock.configure(timezone="Mars/Olympus")
        assert CronSchedule("@daily UTC").zone.key == "UTC"

    def test_a_refusal_is_the_callers_mistake(self):
        assert issubclass(InvalidSchedule, PenstockError)
        assert issubclass(InvalidSchedule, ValueError)
        assert (InvalidSchedule.exit_code, InvalidSchedule.http_status) == (2, 400)

    @pytest.mark.parametrize("day", ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])
    def test_a_leap_day_on_any_day_of_the_week_is_not_impossible(self, day: str):
        moment = CronSchedule(f"0 0 * 2 {day}#5 UTC").next_after(NOW)
        assert f"{moment:%d %b %a}".lower() == f"29 feb {day}"

    def test_a_date_that_comes_by_weekday_is_not_impossible(self):
        moment = CronSchedule("0 0 30 2 mon UTC").next_after(NOW)
        assert moment == datetime(2016, 2, 1, tzinfo=UTC)


FIELD_LIKE = st.text("0123456789*/,-#Ll", max_size=8) | st.sampled_from(
    ["*", "*/2", "L", "-1", "mon#1", "5L", "jan", "fri-mon", "22-2", "1,2", "29", "2", "@daily", "UTC", "GB", "-5--2"]
)


def read(text: str, zone: str | None = None) -> CronSchedule | str:
    """Return the schedule, or why there is none."""
    try:
        return CronSchedule(text, zone)
    except InvalidSchedule as refusal:
        return str(refusal)


class TestAnyText:
    @given(st.text() | st.text(st.characters(max_codepoint=127)) | st.lists(FIELD_LIKE, max_size=8).map(" ".join))
    def test_any_text_is_a_schedule_with_times_or_an_invalid_schedule(self, text: str):
        schedule = read(text)
        if isinstance(schedule, str):
            assert len(schedule.splitlines()) == 1
        else:
            assert NOW < schedule.next_after(NOW) < NOW + timedelta(days=41 * 366)
            assert NOW > schedule.previous_before(NOW) > NOW - timedelta(days=41 * 366)
            assert CronSchedule(str(schedule)) == schedule

    @given(fields=st.lists(FIELD_LIKE, min_size=5, max_size=6))
    def test_any_five_or_six_fields_are_a_schedule_or_an_invalid_schedule(self, fields: list[str]):
        schedule = read(" ".join(fields))
        assert isinstance(schedule, str) or schedule.previous_before(schedule.next_after(NOW)) <= NOW

    @given(zone=st.text())
    def test_any_text_is_a_zone_or_an_invalid_schedule(self, zone: str):
        schedule = read("@daily", zone)
        assert "there is no time zone" in schedule if isinstance(schedule, str) else schedule.zone.key == zone


def steps(action: Callable[[], Any]) -> int:
    """Return how many lines of the module are run by an action: what it costs, on any machine."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename in (schedule.__file__, schedule_text.__file__) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def longest(before: str, item: str, after: str = "") -> str:
    """Return the longest list of an item that a schedule may have between these fields."""
    return before + ",".join([item] * ((MAX_TEXT - len(before + after) + 1) // (len(item) + 1))) + after


HOSTILE = [
    ",".join(f"{n}-{n - 1}" for n in range(1, 45)) + " * * * *",
    ",".join(f"{n}-{n - 1}" for n in range(11, 23))
    + " * 2-1,3-2,4-3,5-4,6-5,7-6,8-7,9-8 2-1,3-2,4-3,5-4 6-5,5-4,4-3,3-2",
    "* * " + ",".join(f"{n}-{n - 1}" for n in range(2, 32)) + " * *",
    "* * " + ",".join(f"-{n}-L" for n in range(1, 32)) + " * *",
    "* * * * " + ",".join(f"{day}#{nth}" for day in range(8) for nth in (1, 2, 3, 4, 5, -1, -2)),
    longest("", "*/1", " * * * *"),
    longest("", "*", " * * * *"),
    longest("", "5-4", " * * * *"),
    longest("", "5-4", " * * * * *"),
    longest("* * ", "*", " * *"),
    longest("* * ", "L", " * *"),
    longest("* * ", "-31-L", " * *"),
    longest("* * ", "2-1", " * *"),
    longest("* * * * ", "*"),
    longest("* * * * ", "6L"),
    longest("* * * * ", "1#5"),
    "* * * * * *",
    "0-59 0-59 0-23 1-31 1-12 0-7",
    "0 0 29 2 Mon#5",
    "0 0 29 2 *",
    "0 0 29 2 */7",
    "0 0 * 2 mon#5",
    "0 0 */28 2 mon#5",
    "0 0 -29 2 */7",
    "0 0 31 */11 */7",
    "0 0 */30 1 sat#5",
    "59 59 23 31 12 *",
    "* 0-22 * * *",
    "*/59 0-22 * * *",
]
NEVER = [
    "0 0 30 2 *",
    "0 0 */31 2 mon#5",
    "0 0 31 2,4,6,9,11 *",
    "0 0 */16 * 5L",
    "9" * 250 + " * * * *",
    "*/" + "9" * 240 + " * * * *",
    "1-" * 120 + " * * * *",
    "/" * 240 + " * * * *",
    "* * * * " + "#" * 240,
    "* * * * " + "l" * 240,
    "* * " + "L-" * 120 + " * *",
    "* * * * * " + "A/" * 120,
]
# Where the next 29 February on a Sunday is 40 years away, and where clocks change in New York and Berlin.
HARD = [datetime(1880, 3, 1, tzinfo=UTC), datetime(2088, 3, 1, tzinfo=UTC), datetime(1919, 12, 31, tzinfo=UTC)] + [
    datetime(2026, month, day, hour, tzinfo=UTC)
    for month, day in ((3, 8), (3, 29), (10, 25), (11, 1))
    for hour in (0, 6)
]


class TestCost:
    """A walk day by day over 40 years takes 14,600 rounds, and a walk second by second over a day 86,400."""

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin"])
    @pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
    def test_no_schedule_costs_many_steps_to_read_or_to_find_a_time(self, text: str, zone: str):
        schedule_text.read_schedule.cache_clear()
        assert steps(lambda: CronSchedule(text, zone)) < 15_000
        schedule = CronSchedule(text, zone)
        for moment in HARD:
            assert steps(lambda moment=moment: schedule.next_after(moment)) < 10_000
            assert steps(lambda moment=moment: schedule.previous_before(moment)) < 10_000

    @pytest.mark.parametrize("text", NEVER, ids=lambda text: text[:40])
    def test_a_refusal_costs_few_steps(self, text: str):
        def refuse() -> None:
            with pytest.raises(InvalidSchedule):
                CronSchedule(text)

        assert steps(refuse) < 15_000

    def test_a_text_is_read_once(self):
        CronSchedule("7 7 7 7 7 UTC")
        assert steps(lambda: CronSchedule("7 7 7 7 7 UTC")) < 10

    def test_a_thousand_hostile_schedules_are_done_with_in_seconds(self):
        start = time.monotonic()
        for n in range(1000):
            schedule_text.read_schedule.cache_clear()
            schedule = read((HOSTILE + NEVER)[n % len(HOSTILE + NEVER)], "America/New_York")
            if not isinstance(schedule, str):
                schedule.next_after(HARD[n % len(HARD)])
                schedule.previous_before(HARD[n % len(HARD)])
        assert time.monotonic() - start < 20  # It takes about a second.


def test_each_name_for_five_fields_is_five_fields():
    for name, text in ALIASES.items():
        assert len(text.split()) == 5
        assert CronSchedule(name, "UTC") == CronSchedule(text, "UTC") == CronSchedule(name.upper(), "UTC")
