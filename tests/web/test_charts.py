"""Charts are whole SVG, drawn to scale, with words for those who do not see them, and nothing unescaped."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.web.charts import Series, nice_top, short_number, slices, sparkline, stacked_bars, strip

HOSTILE = "<script>alert('&\"')</script>"
AMOUNTS = st.lists(st.floats(0, 1e12), max_size=30)


def parsed(markup):
    """Return a chart as elements: it must be well-formed, and without styles or scripts of its own."""
    found = ElementTree.fromstring(str(markup))
    for each in found.iter():
        assert each.tag in {"svg", "g", "rect", "line", "text", "title", "a", "polyline"}
        assert "style" not in each.attrib
        assert not any(name.startswith("on") for name in each.attrib)
    return found


def bars(markup, tone):
    return [rect for rect in parsed(markup).iter("rect") if rect.get("class") == f"fill-{tone}"]


class TestStackedBars:
    def test_parts_of_a_bar_stand_on_each_other_and_are_as_high_as_their_share(self):
        chart = stacked_bars(
            [Series("done", "completed", [4]), Series("failed", "failed", [6])], ["10:00"], title="Jobs"
        )
        (done,), (failed,) = bars(chart, "completed"), bars(chart, "failed")
        assert float(failed.get("height")) == pytest.approx(1.5 * float(done.get("height")), abs=0.2)
        assert float(failed.get("y")) + float(failed.get("height")) == pytest.approx(float(done.get("y")), abs=0.2)

    def test_each_bar_tells_in_words_what_it_is(self):
        chart = stacked_bars(
            [Series("done", "completed", [1234]), Series("failed", "failed", [0])], ["10:00"], title="Jobs"
        )
        assert [title.text for title in parsed(chart).iter("title")] == ["10:00: done 1,234, failed 0"]
        assert parsed(chart).get("aria-label") == "Jobs"
        assert bars(chart, "failed") == []

    def test_without_anything_it_is_an_empty_grid(self):
        assert bars(stacked_bars([Series("done", "completed", [])], [], title="Jobs"), "completed") == []
        assert bars(stacked_bars([], [], title="Jobs"), "completed") == []

    def test_text_from_outside_is_text(self):
        chart = stacked_bars([Series(HOSTILE, "completed", [1])], [HOSTILE], title=HOSTILE)
        assert "<script" not in str(chart)
        assert parsed(chart).get("aria-label") == HOSTILE

    @given(AMOUNTS)
    def test_nothing_is_higher_than_the_chart(self, values):
        chart = stacked_bars([Series("done", "completed", values)], [str(n) for n in range(len(values))], title="Jobs")
        assert all(0 <= float(bar.get("y")) <= 138 for bar in bars(chart, "completed"))


class TestStrip:
    @given(st.lists(st.floats(0, 1e12), min_size=1, max_size=8))
    def test_parts_share_its_width_side_by_side(self, amounts):
        drawn = bars(strip([("running", amount) for amount in amounts], title="x"), "running")
        ends = [float(bar.get("x")) + float(bar.get("width")) for bar in drawn]
        assert all(end <= 1000.1 for end in ends)
        assert all(end >= before - 0.02 for before, end in pairwise(ends))
        assert not drawn or ends[-1] == pytest.approx(1000 if sum(amounts) else 0, abs=20)

    def test_nothing_of_nothing_is_the_track_alone(self):
        chart = strip([("running", 0), ("failed", 0)], title=HOSTILE)
        assert len(list(parsed(chart).iter("rect"))) == 1


class TestSlices:
    def part(self, first, last, state, failed=None):
        return {"first": first, "last": last, "state": state, "failed": failed}

    def test_each_part_says_its_numbers_and_its_state_and_a_failed_one_leads_to_its_record(self):
        parts = [
            self.part(1, 1_000, "done"),
            self.part(1_001, 1_001, "failed", 1_001),
            self.part(1_002, 1_003, "queued"),
        ]
        chart = slices(parts, "/jobs/x/failed/")
        told = [title.text for title in parsed(chart).iter("title")]
        assert told == ["slices 1 to 1,000: done", "slice 1,001: failed", "slices 1,002 to 1,003: queued"]
        (link,) = parsed(chart).iter("a")
        assert link.get("href") == "/jobs/x/failed/1001"
        assert "1,001" in link.get("aria-label")

    def test_who_may_not_read_records_gets_no_links(self):
        assert list(parsed(slices([self.part(1, 1, "failed", 1)], None)).iter("a")) == []

    def test_a_root_from_outside_is_escaped(self):
        chart = slices([self.part(1, 1, "failed", 1)], f'/"{HOSTILE}/')
        assert "<script" not in str(chart)

    def test_no_slices_are_an_empty_strip(self):
        assert list(parsed(slices([], None)).iter("rect")) == []


class TestSparkline:
    @given(AMOUNTS)
    def test_every_value_is_a_point_inside(self, values):
        (line,) = parsed(sparkline(values, title="x")).iter("polyline")
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == len(values)
        assert all(0 <= x <= 160.1 and 2.9 <= y <= 33.1 for x, y in points)


@given(st.floats(0, 1e15))
def test_an_axis_ends_at_a_round_number_that_is_not_below_what_is_shown(value):
    top = nice_top(value)
    assert top >= value
    assert top <= max(1, 2.5 * value)
    assert re.fullmatch(r"[125]0*", f"{top:.0f}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (0.5, "0.5"),
        (1_000, "1k"),
        (1_200, "1.2k"),
        (3e6, "3M"),
        (2.5e9, "2.5G"),
        (1e12, "1000G"),
    ],
)
def test_numbers_of_an_axis_are_short(value, text):
    assert short_number(value) == text
