"""`penstock jobs`: look at jobs, make them, change them, move them."""

import json
import sys
from datetime import datetime
from typing import Any

import click

from penstock import clock
from penstock.cli.editing import create_command, edit_command, fields_command
from penstock.cli.looking import LOOKING
from penstock.cli.moving import MOVING
from penstock.cli.options import (
    app_option,
    id_argument,
    import_app_in_force,
    json_option,
    kind_option,
    state_option,
    store_option,
    where_option,
)
from penstock.cli.output import cell_text, emit, show_table, show_view
from penstock.cli.records import RECORDS
from penstock.cli.whoami import me
from penstock.ids import parse_id
from penstock.service.finding import Asked, is_unchecked
from penstock.service.jobs import View, check_job, count_jobs, list_jobs, show_job
from penstock.service.outputs import download_job
from penstock.service.times import span_text
from penstock.store import current_store

STANDARD_OUTPUT = "-"
MOST_NAMED = 20
"""Failed records that are named one by one."""


@click.group()
def jobs() -> None:
    """Look at jobs, make them, change them, move them.

    \b
    For completion with Tab of ids, kinds, states and servers, in bash:
      eval "$(_PENSTOCK_COMPLETE=bash_source penstock)"
    zsh_source and fish_source are for the other shells.
    """


for _command in (create_command, edit_command, fields_command, *MOVING, *RECORDS, *LOOKING):
    jobs.add_command(_command)


@jobs.command("list")
@state_option
@kind_option
@where_option
@click.option(
    "--order", multiple=True, metavar="FIELD", help="By this field, -FIELD for descending.  [default: newest first]"
)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many jobs.")
@app_option
@json_option
@store_option
def list_command(
    states: tuple[str, ...],
    kinds: tuple[str, ...],
    conditions: tuple[str, ...],
    order: tuple[str, ...],
    limit: int,
    app: tuple[str, ...],
    as_json: bool,
) -> None:
    """List jobs, newest first, with why they wait.

    Fields of a class are checked where --kind names one kind and --app has its class; else compared as they are typed.

    Example: penstock jobs list --state failed --order -completed_at
    """
    if conditions or order:
        import_app_in_force(app, only_to_look=True)
    asked = Asked(states, kinds, conditions, order, limit)
    found = list_jobs(current_store(), asked)
    emit(found, _show_list, as_json=as_json)
    if not found and is_unchecked(asked):
        click.echo("no class checked the names in --where: name one --kind, and its module with --app", err=True)


def _show_list(found: list[View]) -> None:
    titles = ("id", "kind", "state", "prio", "done", "age", "waits because")
    show_table(titles, [_line(view) for view in found], none="no jobs")


def _line(view: View) -> list[str]:
    state = f"{view['state']} ({view['sub_state']})" if view["sub_state"] in ("before", "after") else view["state"]
    percent = view["percent_complete"]
    return [
        view["id"],
        view["kind"],
        state,
        str(view["priority"]),
        "-" if percent is None else f"{percent}%",
        _age(view["created_at"]),
        view["why_waiting"] or "",
    ]


def _age(created_at: str) -> str:
    return span_text((clock.now() - datetime.fromisoformat(created_at)).total_seconds())


@jobs.command("show")
@id_argument
@app_option
@json_option
@store_option
def show_command(job_id: str, app: tuple[str, ...], as_json: bool) -> None:
    """Show everything about one job. What is sealed is not opened.

    Example: penstock jobs show 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    import_app_in_force(app, only_to_look=True)
    emit(show_job(current_store(), parse_id(job_id)), _show_job, as_json=as_json)


def _show_job(view: View) -> None:
    failed = view.get("failed_records") or ()
    show_view({**view, "failed_records": list(failed[:MOST_NAMED])})
    if len(failed) > MOST_NAMED:
        click.echo(f"  … and {len(failed) - MOST_NAMED:,} more failed records; --json names them all")


@jobs.command("counts")
@kind_option
@where_option
@app_option
@json_option
@store_option
def counts_command(kinds: tuple[str, ...], conditions: tuple[str, ...], app: tuple[str, ...], as_json: bool) -> None:
    """Count jobs by state; of those queued, how many are due and how many are for later.

    Example: penstock jobs counts --kind ReportJob
    """
    if conditions:
        import_app_in_force(app, only_to_look=True)
    counts = count_jobs(current_store(), Asked(kinds=kinds, where=conditions))
    emit(counts, lambda told: show_table(("state", "jobs"), _count_lines(told), none=""), as_json=as_json)


def _count_lines(counts: dict[str, int]) -> list[list[str]]:
    parts = ("queued_now", "scheduled")
    return [[f"  {name}" if name in parts else name, cell_text(name, count)] for name, count in counts.items()]


@jobs.command("check")
@id_argument
@json_option
@store_option
def check_command(job_id: str, as_json: bool) -> None:
    """Add up where every record of a batch job is; exit 1 when one is missing or doubled.

    Example: penstock jobs check 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    view = check_job(current_store(), parse_id(job_id))
    emit(view, show_view, as_json=as_json)
    if not view["balanced"]:
        raise click.exceptions.Exit(1)


@jobs.command("download")
@id_argument
@click.option("--output", "-o", metavar="F", help="The file; - is standard output.  [default: where the last one went]")
@click.option("--category", metavar="NAME", help="The output.  [default: the first]")
@click.option("--partial", is_flag=True, help="Write what there is of a job that is not completed.")
@app_option
@json_option
@store_option
def download_command(
    job_id: str, output: str | None, category: str | None, partial: bool, app: tuple[str, ...], as_json: bool
) -> None:
    """Write an output of a batch job into a file, in input order. The file appears when it is whole.

    Example: penstock jobs download 01a1fbf7-6f14-7862-94d2-f0a999c73cbb --output reversed.txt.gz
    """
    import_app_in_force(app, only_to_look=True)
    target: Any = sys.stdout.buffer if output == STANDARD_OUTPUT else output
    view = download_job(current_store(), parse_id(job_id), target, by=me(), category=category, partial=partial)
    if as_json:
        click.echo(json.dumps(view, indent=2), err=output == STANDARD_OUTPUT)
    else:
        click.echo(f"{view['records']:,} records in {view['file'] or 'standard output'}", err=True)
