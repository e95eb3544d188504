"""Schedules in words."""

import pytest

from penstock.errors import InvalidSchedule
from penstock.service.schedule_words import is_schedule, schedule_in_words

WORDS = {
    "* * * * * UTC": "every minute, UTC time",
    "*/5 * * * * UTC": "every 5 minutes, UTC time",
    "0 * * * * UTC": "every hour at :00, UTC time",
    "30 */2 * * * UTC": "every 2 hours at :30, UTC time",
    "0 9-17 * * 1-5 UTC": "every hour from 09:00 to 17:00 on weekdays, UTC time",
    "15 4 * * * Europe/Berlin": "every day at 04:15, Europe/Berlin time",
    "0 15 4 * * * UTC": "every day at 04:15, UTC time",
    "0 6,18 * * * UTC": "every day at 06:00 and 18:00, UTC time",
    "0 6,12,18 * * * UTC": "every day at 06:00, 12:00 and 18:00, UTC time",
    "0 3 * * mon-fri UTC": "on weekdays at 03:00, UTC time",
    "0 3 * * sat,sun UTC": "on weekends at 03:00, UTC time",
    "0 3 * * 0 UTC": "on Sundays at 03:00, UTC time",
    "0 3 * * 7 UTC": "on Sundays at 03:00, UTC time",
    "0 3 * * mon,thu UTC": "on Mondays and Thursdays at 03:00, UTC time",
    "0 3 * * tue-thu UTC": "from Tuesday to Thursday at 03:00, UTC time",
    "0 3 * * fri#2 UTC": "on the second Friday of the month at 03:00, UTC time",
    "0 3 1 * * UTC": "on the 1st at 03:00, UTC time",
    "0 3 1,2,3,11,22 * * UTC": "on the 1st, 2nd, 3rd, 11th and 22nd at 03:00, UTC time",
    "0 3 L * * UTC": "on the last day of the month at 03:00, UTC time",
    "0 3 -2 * * UTC": "on the last day but 1 of the month at 03:00, UTC time",
    "0 3 1 * fri UTC": "on the 1st or on Fridays at 03:00, UTC time",
    "0 3 1 jan,7 * UTC": "on the 1st at 03:00 in January and July, UTC time",
    "@daily UTC": "every day at 00:00, UTC time",
    "@hourly UTC": "every hour at :00, UTC time",
    "@weekly UTC": "on Sundays at 00:00, UTC time",
    "@monthly UTC": "on the 1st at 00:00, UTC time",
}


@pytest.mark.parametrize("text", WORDS)
def test_a_schedule_is_told_in_words(text):
    assert schedule_in_words(text) == WORDS[text]


@pytest.mark.parametrize(
    "text",
    ["5,10 * * * * UTC", "30 15 4 * * * UTC", "0 3-5,9 * * * UTC", "0 3 1-5 * * UTC", "0 3 * 1-3 * UTC",
     "0 3 * * mon-wed,sat UTC"],
)  # fmt: skip
def test_what_has_no_simple_words_is_told_by_its_text(text):
    assert schedule_in_words(text) == text


def test_what_is_no_schedule_has_no_words():
    assert is_schedule("@daily UTC")
    assert not is_schedule("every day")
    with pytest.raises(InvalidSchedule):
        schedule_in_words("61 * * * * UTC")
