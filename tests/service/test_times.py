"""Times for people."""

from datetime import UTC, datetime

import pytest

import penstock
from penstock.service.times import iso_text, span_text, time_text

NOON = datetime(2026, 7, 1, 12, 0, 0, 999_999, tzinfo=UTC)


def test_a_moment_is_shown_in_the_zone_of_the_settings():
    assert time_text(NOON) == "2026-07-01 12:00:00 UTC"
    penstock.configure(timezone="America/New_York")
    assert time_text(NOON) == "2026-07-01 08:00:00 EDT"


def test_plain_data_has_iso_times():
    assert iso_text(NOON) == "2026-07-01T12:00:00.999999+00:00"
    assert iso_text(None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_399, "23 h"),
        (86_400 * 400, "400 d"),
    ],
)  # fmt: skip
def test_a_span_is_told_in_one_unit(seconds, text):
    assert span_text(seconds) == text
