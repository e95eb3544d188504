"""Hot paths take no more instructions than they did: counted, so that a busy machine changes nothing."""

import pytest
from tests.instructions import counting

pytestmark = [pytest.mark.process, pytest.mark.linux]


def test_no_hot_path_takes_many_more_instructions_than_are_recorded():
    if (why := counting.why_not()) is not None:
        pytest.skip(why)
    worse = counting.exceeding(counting.counted(), counting.recorded()[counting.build()])
    assert worse == [], f"more than {counting.TOLERANCE:.0%} too many; if they are worth it: {counting.RECORD_ANEW}"


def test_a_path_may_take_a_little_more_and_any_amount_less():
    before = {"a": 100.0, "b": 100.0, "c": 100.0}
    (told,) = counting.exceeding({"a": 114.0, "b": 116.0, "c": 10.0}, before)
    assert told == "b: 116 instructions each, and 100 are recorded"


def test_a_path_that_is_not_recorded_is_told():
    assert counting.exceeding({"new": 5.0}, {}) == ["new: 5 instructions each, and 0 are recorded"]


def test_counts_of_another_build_are_kept_when_new_ones_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(counting, "build", lambda: "one")
    counting.record({"a": 1.04})
    monkeypatch.setattr(counting, "build", lambda: "other")
    counting.record({"a": 2.0})
    assert counting.recorded() == {"one": {"a": 1.0}, "other": {"a": 2.0}}


def test_without_valgrind_or_a_record_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(counting.shutil, "which", lambda _: "/usr/bin/valgrind")
    assert "nothing is recorded for Python" in counting.why_not()
    monkeypatch.setattr(counting.shutil, "which", lambda _: None)
    assert "make packages" in counting.why_not()
