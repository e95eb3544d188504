"""A record as a line, whatever was logged."""

import json
import logging
import sys
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError
from penstock.server.log_context import TRACE
from penstock.server.log_formats import JsonFormatter, TextFormatter, line_of_json, zone_of
from penstock.server.log_values import plain

NOON = 1772366400.25
"""2026-03-01 12:00:00.25 UTC."""
CONTEXT = {"job": "01a", "kind": "ReportJob", "slice": 3, "record": 217, "worker": "w:1"}


class Hostile:
    """Says nothing of itself."""

    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


def record(message="the message", *args, level=logging.INFO, context=None, **attributes):
    made = logging.makeLogRecord(
        {
            "name": "myapp",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": message,
            "args": args,
            "created": NOON,
        }
    )
    made.job_context = context or {}
    vars(made).update(attributes)
    return made


def caught(error=None):
    try:
        raise error or ValueError("no good")
    except ValueError:
        return sys.exc_info()


def text(*args, **attributes):
    return TextFormatter().format(record(*args, **attributes))


def parsed(*args, longest=1 << 20, **attributes):
    """Return the object of the one line of JSON, read by a strict parser."""
    line = JsonFormatter(longest=longest).format(record(*args, **attributes))
    assert len(line.splitlines()) == 1
    assert len(line.encode()) <= longest
    return msgspec.json.decode(line.encode())


class TestText:
    def test_a_line_has_time_level_logger_message_and_the_context(self):
        assert text("done with %d", 5, context=CONTEXT) == (
            "2026-03-01T12:00:00.250Z INFO myapp: done with 5 job=01a kind=ReportJob slice=3 record=217 worker=w:1"
        )

    def test_times_are_told_in_the_zone_that_was_chosen_with_its_offset(self):
        told = TextFormatter("America/New_York").format(record())
        assert told.startswith("2026-03-01T07:00:00.250-05:00 INFO")

    def test_each_second_is_told_anew(self):
        form = TextFormatter()
        moments = (NOON, NOON + 0.5, NOON + 1, NOON)
        assert [form.format(record(created=moment))[17:23] for moment in moments] == [
            "00.250",
            "00.750",
            "01.250",
            "00.250",
        ]

    def test_without_time_it_begins_with_the_level(self):
        assert TextFormatter(with_time=False).format(record(level=TRACE)) == "TRACE myapp: the message"

    def test_further_lines_of_a_message_are_indented_under_the_first_which_has_the_context(self):
        assert text("one\ntwo\r\nthree\n", context={"job": "01a"}).split("\n")[0].endswith("myapp: one job=01a")
        assert text("one\ntwo\r\nthree\n").split("\n")[1:] == ["    two", "    three"]

    def test_no_message_looks_like_another_line_of_the_log(self):
        lines = text("x\n2026-03-01T12:00:00.250Z ERROR forged: y").split("\n")
        assert lines[1].startswith("    2026")

    def test_an_exception_and_a_stack_follow_indented(self):
        lines = text("failed", exc_info=caught(), stack_info="Stack (most recent call last):\n  here").split("\n")
        assert lines[1] == "    Traceback (most recent call last):"
        assert lines[-3:] == ["    ValueError: no good", "    Stack (most recent call last):", "      here"]

    def test_control_characters_and_surrogates_are_told_as_escapes(self):
        assert text("a\x1b[31mb\rc\x00d\ud800e\x85f\tg").endswith("a\\x1b[31mb\\x0dc\\x00d\\ud800e\\x85f\tg")

    def test_words_with_spaces_quotes_or_line_ends_are_quoted(self):
        told = text("m", plain="a-b/c", spaced="a b", quoted='say "x"', lines="a\nb", empty="", equals="a=b")
        assert told.endswith(r'm plain=a-b/c spaced="a b" quoted="say \"x\"" lines="a\nb" empty="" equals="a=b"')

    def test_numbers_lists_and_nothing_are_told_as_in_json(self):
        assert text("m", count=3, share=0.5, tags=["a", 1], nothing=None).endswith(
            'm count=3 share=0.5 tags=["a", 1] nothing=null'
        )

    def test_arguments_that_do_not_fit_do_not_lose_the_message(self):
        assert "INFO myapp: %d items (its arguments cannot be shown: TypeError" in text("%d items", "many")
        assert "INFO myapp: %s (its arguments cannot be shown: ValueError: no)" in text("%s", Hostile())
        assert "<Hostile that cannot be shown: ValueError>" in text(Hostile())

    def test_a_line_that_is_too_long_is_cut_and_says_by_how_much(self):
        told = TextFormatter(longest=1000).format(record("ä" * 2000))
        assert len(told.encode()) <= 1000
        assert told.endswith("more bytes)")

    def test_an_unknown_zone_is_refused(self):
        with pytest.raises(ConfigurationError, match="setting timezone: there is no 'Mars/Olympus'"):
            TextFormatter("Mars/Olympus")
        assert zone_of("UTC").utcoffset(None).total_seconds() == 0


class TestJson:
    def test_a_line_has_time_level_logger_message_context_and_what_extra_gave(self):
        assert parsed("done with %d", 5, context=CONTEXT, level=logging.WARNING, duration=0.5) == {
            "time": "2026-03-01T12:00:00.250000Z",
            "level": "WARNING",
            "logger": "myapp",
            "message": "done with 5",
            "job": "01a",
            "kind": "ReportJob",
            "slice": 3,
            "record": 217,
            "worker": "w:1",
            "duration": 0.5,
        }

    def test_an_exception_has_its_traceback(self):
        found = parsed("failed", exc_info=caught(), stack_info="Stack:\n  here")
        assert found["exception"].startswith("Traceback (most recent call last):\n  File ")
        assert found["exception"].endswith("\nValueError: no good")
        assert found["stack"] == "Stack:\n  here"

    def test_an_exception_that_cannot_be_told_is_told_so(self):
        class Silent(ValueError):
            __str__ = Hostile.__str__

        assert "Silent" in parsed("failed", exc_info=caught(Silent()))["exception"]

    def test_no_extra_takes_the_place_of_a_key_of_ours(self):
        found = parsed("m", context={"job": "01a"}, level="low", time=5, job="mine", logger=1, kind="k")
        assert (found["time"], found["job"], found["logger"]) == ("2026-03-01T12:00:00.250000Z", "01a", "myapp")
        assert (found["extra_time"], found["extra_job"], found["extra_logger"]) == (5, "mine", 1)
        # Also where there is no such key of ours: a reader must know whose it is.
        assert "kind" not in found

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (b"ab\xff\n", "ab\\xff\n"),
            (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (1 << 70, str(1 << 70)),
            (10**5000, "<int that cannot be shown: ValueError>"),
            ((1, "a"), [1, "a"]),
            ({1}, [1]),
            ({1: {None: b"x"}}, {"1": {"None": "x"}}),
            (Hostile(), "<Hostile that cannot be shown: ValueError>"),
            (
                {Hostile(): Hostile()},
                {"<Hostile that cannot be shown: ValueError>": "<Hostile that cannot be shown: ValueError>"},
            ),
            ("\ud800", "\\ud800"),
            (True, True),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_values_that_are_not_json_become_text(self, value, told):
        assert parsed("m", value=value)["value"] == told

    def test_a_value_that_holds_itself_ends_as_text(self):
        inner = {"a": 1}
        inner["self"] = inner
        deep = []
        for _ in range(100):
            deep = [deep]
        found = parsed("m", inner=inner, deep=deep)
        assert found["inner"] == {"a": 1, "self": "{'a': 1, 'self': {...}}"}
        assert "[[[" in json.dumps(found["deep"])

    @pytest.mark.parametrize("message", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b", "a\x0bb", "a\x00b", 'a"}{"b', "ä€𝄞"])
    def test_a_message_comes_back_as_it_was_and_breaks_no_line(self, message):
        assert parsed(message)["message"] == message

    def test_a_surrogate_is_told_as_an_escape_that_every_parser_reads(self):
        assert parsed("a\ud800b\udcff")["message"] == "a\\ud800b\\udcff"

    @pytest.mark.parametrize("longest", [8_192, 1 << 20])
    @pytest.mark.parametrize("char", ["x", "\x01", "𝄞"])
    def test_a_huge_record_is_cut_to_a_line_that_is_still_an_object(self, longest, char):
        trace = "Traceback\n" + char * (2 << 20) + "\nValueError: the reason"
        found = parsed(char * (2 << 20), longest=longest, exc_text=trace, context=CONTEXT, big="x" * (2 << 20))
        assert found["message"].startswith(char * 10)
        assert found["message"].endswith("…")
        assert found["exception"].endswith("ValueError: the reason")
        assert (found["job"], found["record"]) == ("01a", 217)
        assert found["cut"] > 4 << 20
        assert "big" not in found

    @given(
        st.text(st.characters(exclude_categories=[])),
        st.dictionaries(
            st.text(st.characters(exclude_categories=[]), min_size=1),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text() | st.datetimes(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.integers()),
            ),
        ),
    )
    def test_whatever_is_logged_is_one_object_on_one_line(self, message, extra):
        made = record("%s", message)
        vars(made).update({key: value for key, value in extra.items() if key not in vars(made)})
        line = JsonFormatter().format(made)
        assert len(line.splitlines()) == 1
        found = msgspec.json.decode(line.encode())
        assert found["message"] == message.encode("utf-8", "backslashreplace").decode()
        assert TextFormatter().format(made).encode()

    def test_what_is_plain_already_stays_as_it_is(self):
        value = {"a": [1, 2.5, "x", None, True]}
        assert plain(value) == value


def test_the_lines_in_the_documentation_are_what_is_written():
    page = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8")
    context = {
        "job": "01a1fc98-e2d8-7b74-97ed-f852ab22db03",
        "kind": "ReportJob",
        "slice": 3,
        "record": 217,
        "worker": "web1:4711:8f2c:1:0",
    }
    made = record("sent %d mails", 12, context=context, took=0.5)
    assert f"```text\n{TextFormatter().format(made)}\n```" in page
    assert f"```json\n{JsonFormatter().format(made)}\n```" in page


class TestPrintedLines:
    @pytest.mark.parametrize("line", ['{"message": "x"}', "{}", '{"a": [1, {"b": null}]}'])
    def test_an_object_of_json_stays_as_it_is(self, line):
        assert line_of_json(line, "w:1", NOON) == line

    @pytest.mark.parametrize(
        "line", ["hello", "", '{"a": 1', "[1]", "5", '{"a": NaN}', "{" * 5000 + "}", 'x {"a": 1}', "{a}"]
    )
    def test_any_other_line_is_wrapped_with_its_worker_and_time(self, line):
        assert json.loads(line_of_json(line, "w:1", NOON)) == {
            "time": "2026-03-01T12:00:00.250000Z",
            "message": line,
            "worker": "w:1",
        }
