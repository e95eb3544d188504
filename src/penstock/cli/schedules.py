"""`penstock schedules`: the jobs that come back by a cron text."""

import json
from uuid import UUID

import click

from penstock.cli import completion
from penstock.cli.options import app_option, import_app_in_force, json_option, kind_option, store_option
from penstock.cli.output import cell_text, emit, printable, show_table
from penstock.cli.whoami import me
from penstock.ids import parse_id
from penstock.service.jobs import View
from penstock.service.schedule_words import schedule_in_words
from penstock.service.schedules import edit_schedule, list_schedules, next_times, run_schedule_now, schedule_of_job
from penstock.store import current_store

_id_argument = click.argument("job_id", metavar="ID", shell_complete=completion.schedule_ids)


@click.group()
def schedules() -> None:
    """Look at schedules, the jobs that come back by a cron text, and change them."""


@schedules.command("list")
@kind_option
@json_option
@store_option
def list_command(kinds: tuple[str, ...], as_json: bool) -> None:
    """List schedules: the job that waits or runs, when it runs next, and how the one before ended.

    Example: penstock schedules list
    """
    emit(list_schedules(current_store(), kinds=kinds), _show_list, as_json=as_json)


def _show_list(found: list[View]) -> None:
    rows = [
        [
            view["id"],
            view["kind"],
            view["state"],
            view["last"]["state"] if view["last"] else "-",
            cell_text("next_run_at", view["next_run_at"]),
            view["schedule"],
        ]
        for view in found
    ]
    show_table(("id", "kind", "state", "last", "next run", "schedule"), rows, none="no schedules")


@schedules.command("next")
@click.argument("what", metavar="ID_OR_TEXT", shell_complete=completion.schedule_ids)
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@json_option
@store_option
def next_command(what: str, count: int, as_json: bool) -> None:
    """Show the next times of a schedule, or of a cron text, in its zone.

    Example: penstock schedules next "0 1 * * mon-fri Europe/Berlin" --count 3
    """
    text = _text_of(what)
    times = next_times(text, count)
    if as_json:
        click.echo(json.dumps([moment.isoformat() for moment in times], indent=2))
    else:
        click.echo(schedule_in_words(text), err=True)
        for moment in times:
            click.echo(moment.strftime("%Y-%m-%d %H:%M:%S %a %Z"))


def _text_of(what: str) -> str:
    """Return a cron text as it is, and that of a job whose id it is."""
    try:
        job_id = UUID(what.strip())
    except ValueError:
        return what
    return schedule_of_job(current_store(), job_id)


@schedules.command("edit")
@_id_argument
@click.argument("text", metavar="CRON")
@app_option
@json_option
@store_option
def edit_command(job_id: str, text: str, app: tuple[str, ...], as_json: bool) -> None:
    """Give a schedule another cron text; its next run is planned anew.

    Its class must be imported, with --app.

    Example: penstock schedules edit 01a1fbf7-6f14-7862-94d2-f0a999c73cbb "0 2 * * *" --app reports
    """
    import_app_in_force(app)
    emit(edit_schedule(current_store(), parse_id(job_id), text, by=me()), _show_one, as_json=as_json)


@schedules.command("run-now")
@_id_argument
@app_option
@json_option
@store_option
def run_now_command(job_id: str, app: tuple[str, ...], as_json: bool) -> None:
    """Let a schedule's job start at once. When it ends, its next run is planned as ever.

    Example: penstock schedules run-now 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    import_app_in_force(app)
    emit(run_schedule_now(current_store(), parse_id(job_id), by=me()), _show_one, as_json=as_json)


def _show_one(view: View) -> None:
    click.echo(f"{view['id']} {printable(view['schedule'])}: next run {cell_text('next_run_at', view['next_run_at'])}")
