"""`penstock audit`: who did what."""

import click

from penstock.cli.options import json_option, store_option
from penstock.cli.output import cell_text, emit, show_table
from penstock.service.auditing import LINES, View, list_audit
from penstock.store import current_store


@click.group()
def audit() -> None:
    """See who did what, and from where."""


@audit.command("list")
@click.option("--target", metavar="TEXT", help='Only what was done to this: "job ID", "entry NAME", "server NAME".')
@click.option("--who", metavar="LOGIN", help="Only what this person did.")
@click.option("--action", metavar="NAME", help="Only this action, as job.retry.")
@click.option("--before", type=int, metavar="ID", help="Only lines before this one.")
@click.option("--limit", type=click.IntRange(min=1), default=LINES, show_default=True, help="At most so many lines.")
@json_option
@store_option
def list_command(
    target: str | None, who: str | None, action: str | None, before: int | None, limit: int, as_json: bool
) -> None:
    """List actions of people, the newest first; those that were refused too.

    Example: penstock audit list --who ada --action job.retry
    """
    found = list_audit(current_store(), target=target, who=who, action=action, before=before, limit=limit)
    emit(found, _show, as_json=as_json)


def _show(found: list[View]) -> None:
    titles = ("id", "at", "who", "from", "action", "target", "what")
    show_table(titles, [_line(line) for line in found], none="nothing was done")


def _line(line: View) -> list[str]:
    told = (str(line["id"]), cell_text("at_at", line["at"]), line["who"], line["origin"] or "-", line["action"])
    return [*told, line["target"], what_text(line)]


def what_text(line: View) -> str:
    """Return what changed by a line of the audit, or why nothing did."""
    if line["error"]:
        return f"refused: {line['error']}"
    before, after = (line[name] or {} for name in ("before", "after"))
    names = dict.fromkeys([*before, *after])
    return ", ".join(f"{name} {_change(name, before, after)}" for name in names)


def _change(name: str, before: View, after: View) -> str:
    values = [cell_text(name, told[name]) for told in (before, after) if name in told]
    return " → ".join(values)
