"""`penstock jobs`: look at jobs."""

import json
from collections.abc import Callable
from typing import Any

import click

from penstock.cli.options import json_option, store_option
from penstock.ids import parse_id
from penstock.service.jobs import View, check_job, list_jobs, show_job
from penstock.states import State
from penstock.store import current_store


@click.group()
def jobs() -> None:
    """Look at jobs."""


@jobs.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in State]),
    help="Only jobs in this state. May be repeated.",
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only jobs of this kind. May be repeated.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many jobs.")
@json_option
@store_option
def list_command(states: tuple[str, ...], kinds: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List jobs, newest first.

    Example: penstock jobs list --state failed
    """
    found = list_jobs(current_store(), states=states, kinds=kinds, limit=limit)
    _print(found, _print_list, as_json)


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@json_option
@store_option
def show_command(job_id: str, as_json: bool) -> None:
    """Show everything about one job.

    Example: penstock jobs show 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    view = show_job(current_store(), parse_id(job_id))
    _print(view, _print_view, as_json)


@jobs.command("check")
@click.argument("job_id", metavar="ID")
@json_option
@store_option
def check_command(job_id: str, as_json: bool) -> None:
    """Add up where every record of a batch job is; exit 1 when one is missing or doubled.

    Example: penstock jobs check 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    view = check_job(current_store(), parse_id(job_id))
    _print(view, _print_view, as_json)
    if not view["balanced"]:
        raise click.exceptions.Exit(1)


def _print(value: Any, print_for_people: Callable[[Any], None], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(value, indent=2, default=str))
    else:
        print_for_people(value)


def _print_list(found: list[View]) -> None:
    if not found:
        click.echo("no jobs")
        return
    columns = ("id", "kind", "state", "priority", "record_count", "created_at")
    rows = [[_shown(view[column]) for column in columns] for view in found]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [list(columns), *rows]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _print_view(view: View) -> None:
    width = max(map(len, view))
    for name, value in view.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            click.echo(f"{name}:")
            for item in value:
                click.echo(
                    "  " + ", ".join(f"{key} {_shown(part)}" for key, part in item.items() if part not in (None, []))
                )
        elif value not in (None, [], {}):
            click.echo(f"{name.ljust(width)}  {_shown(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
