"""What the tests of all formats share: text of every kind, and small ways to read and write."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from penstock.tabular import TextFormat, format_named

PIECES = [
    "",
    "a",
    "0",
    "007",
    " ",
    "\t",
    "\x00",
    '"',
    '""',
    ",",
    ";",
    "|",
    "\r",
    "\n",
    "\r\n",
    "\u2028",
    "\x85",
    "é",
    "😀",
]

texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
"""Text of what formats trip over."""
single_lines = texts.map(lambda text: text.replace("\r", "").replace("\n", ""))
any_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def text_format(name: str, **options: Any) -> TextFormat:
    found = format_named(name, options)
    assert isinstance(found, TextFormat)
    return found


def parsed(name: str, lines: Sequence[str], columns: Sequence[str | None] | None = None, **options: Any) -> list[Any]:
    return list(text_format(name, **options).parse(lines, columns))


def rendered(name: str, rows: Sequence[Any], columns: Sequence[str] | None = None, **options: Any) -> list[str]:
    return text_format(name, **options).render(rows, columns)
