"""Writes the pages of the documentation that are made from the code: `python docs/generate.py`.

The tests run it and compare: a page that is not up to date fails them.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from penstock.cli import COMMANDS, penstock
from penstock.states import TRANSITIONS, Transition

HERE = Path(__file__).parent


def moves_page() -> str:
    """Return the page of the table of moves."""
    return "\n".join(
        [
            "# Moves",
            "",
            "Made by `python docs/generate.py` from `penstock/states.py`.",
            "",
            "A job is queued, running, paused, completed, failed or aborted; a running batch job is also in the",
            "sub-state before, processing or after. These are all the moves there are. Any other is refused with",
            "`InvalidMove`, which names those that apply.",
            "",
            *_table("Regular jobs", batch=False),
            *_table("Batch jobs", batch=True),
        ]
    )


def _table(title: str, *, batch: bool) -> Iterator[str]:
    yield from (f"## {title}", "", "| move | from | to | only when | sets |", "| --- | --- | --- | --- | --- |")
    for row in TRANSITIONS:
        if row.batch is batch:
            yield f"| {row.move} | {_source(row)} | {_target(row)} | {row.guard or ''} | {_effects(row)} |"
    yield ""


def _source(row: Transition) -> str:
    if row.sub_states is None:
        return str(row.source)
    return f"{row.source} ({' or '.join(sub or 'no sub-state' for sub in row.sub_states)})"


def _target(row: Transition) -> str:
    return f"{row.target} ({row.sub_state})" if row.sub_state else str(row.target)


def _effects(row: Transition) -> str:
    return ", ".join(f"{column}: {effect.value}" for column, effect in row.effects)


def commands_page() -> str:
    """Return the page of commands: what `--help` says."""
    lines = ["# Commands", "", "Made by `python docs/generate.py` from the commands themselves.", ""]
    for name in sorted(COMMANDS):
        command = penstock.get_command(click.Context(penstock), name)
        assert command is not None
        lines += _help(command, f"penstock {name}")
        if isinstance(command, click.Group):
            for sub_name, sub_command in sorted(command.commands.items()):
                lines += _help(sub_command, f"penstock {name} {sub_name}")
    return "\n".join(lines)


def _help(command: click.Command, path: str) -> list[str]:
    # The names as the parent sets them: click keeps whichever it is asked for first.
    context = click.Context(
        command,
        info_name=path,
        max_content_width=100,
        terminal_width=100,
        help_option_names=penstock.context_settings["help_option_names"],
    )
    return [f"## {path}", "", "```text", command.get_help(context).rstrip(), "```", ""]


PAGES = {"moves.md": moves_page, "commands.md": commands_page}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
