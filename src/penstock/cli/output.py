"""How views are printed: JSON for programs, aligned tables for people, with times in the `timezone` setting."""

import json
import shutil
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from penstock.service.jobs import View
from penstock.service.times import time_text

WIDTH = 100
"""Characters of a line where there is no terminal that says its own."""
_GAP = "  "


def emit(value: Any, show: Callable[[Any], None], *, as_json: bool) -> None:
    """Print plain data as JSON, or have it shown to people."""
    if as_json:
        click.echo(json.dumps(value, indent=2, default=str))
    else:
        show(value)


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    """Print rows under titles, or `none` where there are none.

    The last column may be long: where it does not fit beside the others it stands below them, indented.
    """
    if not rows:
        click.echo(none)
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(titles, *cells, strict=True)]
    for cell in [list(titles), *cells]:
        _show_row(cell, widths[:-1])


def _show_row(cells: Sequence[str], widths: Sequence[int]) -> None:
    line = _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    whole = f"{line}{_GAP if line else ''}{cells[-1]}".rstrip()
    if len(whole) <= _line_width():
        click.echo(whole)
        return
    click.echo(line.rstrip())
    click.echo(textwrap.fill(cells[-1], _line_width(), initial_indent="    ", subsequent_indent="    "))


def show_view(view: View) -> None:
    """Print one thing: a line for each name, deeper ones indented; what is not set is left out."""
    _show_names(view, "")


def _show_names(view: View, indent: str) -> None:
    told = {name: value for name, value in view.items() if value not in (None, [], {})}
    width = max(map(len, told), default=0)
    for name, value in told.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{printable(name)}:")
            _show_names(value, f"{indent}  ")
        elif isinstance(value, list) and any(isinstance(item, dict | list) or _is_long(item) for item in value):
            click.echo(f"{indent}{printable(name)}:")
            for item in value:
                click.echo(f"{indent}  {_item_text(item)}")
        else:
            _show_value(f"{indent}{printable(name).ljust(width)}{_GAP}", cell_text(name, value))


def _show_value(start: str, text: str) -> None:
    first, *more = text.splitlines() or [""]
    click.echo(f"{start}{printable(first)}".rstrip())
    for line in more:
        click.echo(f"{' ' * len(start)}{printable(line)}".rstrip())


def _item_text(item: Any) -> str:
    if isinstance(item, dict):
        told = [(name, value) for name, value in item.items() if value not in (None, [], {})]
        return printable(", ".join(f"{name} {cell_text(name, value)}" for name, value in told))
    return printable(cell_text("", item))


def _is_long(item: Any) -> bool:
    return isinstance(item, str) and len(item) > 40


def cell_text(name: str, value: Any) -> str:
    """Return a value of a view for people. Those whose names end in `_at` are moments."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str) and name.endswith("_at"):
        return _moment_text(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _moment_text(text: str) -> str:
    try:
        return time_text(datetime.fromisoformat(text))
    except ValueError:
        return text  # A field of the user's own whose name ends so.


def printable(text: str) -> str:
    """Return text that a terminal only shows: control characters, which might do something, are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _line_width() -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns
