"""How something failed, as data."""

import pytest

from penstock.model.failure import MAX_FRAMES, MAX_MESSAGE, Failure, describe, parse_failure


def caught(error):
    try:
        raise error
    except BaseException as raised:
        return raised


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_it_comes_back_as_it_was_stored():
    failure = Failure("ValueError", "bad\nline", ["a:1"], "w", 7)
    assert parse_failure(failure.to_json()) == failure
    assert parse_failure(None) is None


def test_what_a_later_version_stored_beside_is_left_out():
    assert parse_failure('{"class_name": "X", "message": "m", "more": 1}') == Failure("X", "m")


@pytest.mark.parametrize(
    ("error", "name"),
    [(ValueError("x"), "ValueError"), (caught(Odd()), "test_failure.Odd"), (SystemExit(1), "SystemExit")],
)
def test_its_class_is_named_with_its_module_unless_it_is_pythons(error, name):
    assert describe(error).class_name.endswith(name)


def test_a_message_is_cut_and_always_text():
    assert len(describe(ValueError("x" * 100_000)).message) == MAX_MESSAGE
    assert describe(ValueError("\ud800")).message == "\\ud800"
    assert "cannot be shown" in describe(Odd()).message
    describe(ValueError("\ud800")).to_json().encode()


def test_the_innermost_frames_are_kept_and_come_last():
    def deep(n):
        if n == 0:
            raise ValueError("deep")
        deep(n - 1)

    with pytest.raises(ValueError, match="deep") as raised:
        deep(200)
    frames = describe(raised.value).backtrace
    assert len(frames) == MAX_FRAMES
    assert 'raise ValueError("deep")' in frames[-1]
    assert "test_failure.py" in frames[-1]


def test_a_summary_is_one_line():
    assert Failure("ValueError", "first\nsecond").summary == "ValueError: first"
    assert Failure("ValueError", "").summary == "ValueError"
