"""`penstock status` and `penstock settings`: how things stand, and what is set."""

import click

from penstock.cli.options import json_option, store_option
from penstock.cli.output import cell_text, emit, printable, show_table
from penstock.service.environment import show_settings
from penstock.service.health import figures_text, progress_made
from penstock.service.jobs import View
from penstock.service.listing import count_text, counts_of_jobs
from penstock.service.overview import figures_of, show_overview
from penstock.service.verdict import verdict_on
from penstock.store import current_store


@click.command("status")
@click.option("--minutes", type=click.IntRange(1, 10_080), help="Tell what servers did in each of the last minutes.")
@click.option("--metrics", is_flag=True, help="Print figures for Prometheus.")
@click.option("--check", is_flag=True, help="Exit 1 where work that is due is not done.")
@json_option
@store_option
def status_command(minutes: int | None, metrics: bool, check: bool, as_json: bool) -> None:
    """Tell how things stand: a verdict, jobs by state, servers, batch jobs under way.

    Example: penstock status --check
    """
    store = current_store()
    if metrics:
        click.echo(figures_text(store), nl=False)
    elif minutes is not None:
        emit(figures_of(store, minutes=minutes), _show_figures, as_json=as_json)
    else:
        emit({**show_overview(store), "counts": counts_of_jobs(store)}, _show_overview, as_json=as_json)
    if check and not (made := progress_made(store))["ok"]:
        click.echo(f"penstock: {made['reason']}", err=True)
        raise click.exceptions.Exit(1)


def _show_overview(view: View) -> None:
    verdict = verdict_on(view)
    click.echo(f"{verdict.title}. {printable(' '.join(verdict.reasons))}")
    lines = [[name, count_text(count)] for name, count in view["counts"].items() if isinstance(count, int)]
    show_table(("list", "jobs"), lines, none="no jobs")
    for batch in view["running_batches"]:
        percent = batch["percent_complete"]
        click.echo(f"{batch['id']} {batch['kind']} {0 if percent is None else percent}%")


def _show_figures(lines: list[View]) -> None:
    titles = ("minute", "completed", "failed", "retried", "records", "failed_slices")
    told = [[cell_text("at_at", line["minute"]), *(f"{line[name]:,}" for name in titles[1:])] for line in lines]
    show_table(titles, told, none="nothing was done")


@click.command("settings")
@json_option
@store_option
def settings_command(as_json: bool) -> None:
    """Show the settings in force; what is secret is masked.

    Example: penstock settings
    """
    emit(show_settings(), _show_settings, as_json=as_json)


def _show_settings(found: list[View]) -> None:
    lines = [[it["name"], cell_text("", it["value"]), cell_text("", it["default"])] for it in found]
    show_table(("setting", "value", "default"), lines, none="no settings")
