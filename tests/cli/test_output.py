"""How views are printed."""

import pytest

import penstock
from penstock.cli.output import cell_text, printable, show_table, show_view

TITLES = ("id", "kind", "because")


@pytest.fixture
def width(monkeypatch):
    """Return a function that says how wide the terminal is."""
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


def test_columns_are_aligned_and_no_line_ends_in_spaces(capsys, width):
    width(100)
    show_table(TITLES, [["1", "Long", ""], ["1000", "L", "the disk is full"]], none="nothing")
    assert capsys.readouterr().out.splitlines() == [
        "id    kind  because",
        "1     Long",
        "1000  L     the disk is full",
    ]


def test_a_last_cell_that_does_not_fit_stands_below_and_is_wrapped(capsys, width):
    width(20)
    show_table(TITLES, [["1000", "Long", "the disk is full"], ["1", "L", "short"]], none="nothing")
    assert capsys.readouterr().out.splitlines() == [
        "id    kind  because",
        "1000  Long",
        "    the disk is full",
        "1     L     short",
    ]


def test_no_rows_are_said_to_be_none(capsys):
    show_table(TITLES, [], none="no jobs")
    assert capsys.readouterr().out == "no jobs\n"


def test_a_view_has_a_line_for_each_name_that_is_set_and_deeper_ones_are_indented(capsys):
    view = {
        "id": "1",
        "batch": False,
        "server": None,
        "tags": [],
        "count": 12345,
        "run_at": "2026-01-01T00:00:00+00:00",
        "moves": ["pause", "abort"],
        "fields": {"to": "ada", "deep": {"a": [1, 2]}, "none": None},
        "failed": [{"record": 6, "error": "no"}, {"record": 9, "error": None}],
        "message": "first\nsecond",
    }
    show_view(view)
    assert capsys.readouterr().out.splitlines() == [
        "id       1",
        "batch    False",
        "count    12,345",
        "run_at   2026-01-01 00:00:00 UTC",
        "moves    pause, abort",
        "fields:",
        "  to    ada",
        "  deep:",
        "    a  [1, 2]",
        "failed:",
        "  record 6, error no",
        "  record 9",
        "message  first",
        "         second",
    ]


def test_moments_are_in_the_zone_of_the_settings_and_other_text_is_as_it_is():
    penstock.configure(timezone="Europe/Berlin")
    assert cell_text("created_at", "2026-07-01T12:00:00.5+00:00") == "2026-07-01 14:00:00 CEST"
    assert cell_text("looked_at", "by ada") == "by ada"
    assert cell_text("note", "2026-07-01T12:00:00+00:00") == "2026-07-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("äöü €", "äöü €"), ("\x1b[2J", "\\x1b[2J"), ("a\tb\n", "a\\tb\\n"), ("\udcff", "\\udcff"), ("\u202e", "\\u202e")],
)
def test_control_characters_do_nothing_to_a_terminal(capsys, text, shown):
    assert printable(text) == shown
    show_table(TITLES, [[text, text, text]], none="")
    show_view({"a": text.replace("\n", ""), text.replace("\n", ""): {"b": [{"c": text}]}})
    assert "\x1b" not in capsys.readouterr().out
