"""`penstock store`: the store itself."""

from typing import Any

import click

from penstock.cli.options import json_option, store_option
from penstock.cli.output import emit, show_table
from penstock.config import settings
from penstock.service.upkeep import check_store, store_sizes
from penstock.store import current_store, open_store, without_password

UNITS = ("B", "kB", "MB", "GB", "TB")


@click.group()
def store() -> None:
    """See to the store."""


@store.command("upgrade")
@store_option
def upgrade_command() -> None:
    """Bring a store that an older Penstock made up to date. One that is up to date is left as it is.

    Stop all servers of the older version first. It happens in one transaction: the store is never between versions.

    Example: penstock store upgrade --store sqlite:///penstock.db
    """
    click.echo(f"{without_password(open_store(settings().store, upgrade=True).url)} is up to date")


@store.command("check")
@click.option("--mend", is_flag=True, help="Remove slices without a job, and let go on what was left halfway.")
@store_option
@json_option
def check_command(mend: bool, as_json: bool) -> None:
    """Look for what does not add up, and tell what to do: damage, slices without a job, slices that are missing.

    Reads every batch job; servers may go on meanwhile. Exits 1 when something is left.

    Example: penstock store check
    """
    view = check_store(current_store(), mend=mend)
    emit(view, _show_findings, as_json=as_json)
    if view["findings"]:
        raise click.exceptions.Exit(1)


@store.command("stats")
@store_option
@json_option
def stats_command(as_json: bool) -> None:
    """Show the rows and bytes of each table, indexes included; with a slices_store, those of both. Counts all rows.

    Example: penstock store stats
    """
    emit(store_sizes(current_store()), _show_sizes, as_json=as_json)


def _show_findings(view: dict[str, Any]) -> None:
    for finding in view["findings"]:
        click.echo(f"{finding['what']}: {finding['job_id'] or view['store']}: {finding['told']}")
        click.echo(f"    {finding['advice']}")
    if view["mended"]:
        click.echo(f"{view['mended']:,} mended")
    if not view["findings"]:
        click.echo(f"{view['store']}: {view['batch_jobs']:,} batch jobs, all add up")


def _show_sizes(view: dict[str, Any]) -> None:
    for store in dict.fromkeys(table["store"] for table in view["tables"]):
        click.echo(store)
        rows = [
            (f"  {table['table']}", f"{table['rows']:>12,}", f"{_size_text(table['bytes']):>10}")
            for table in view["tables"]
            if table["store"] == store
        ]
        show_table(("  table", f"{'rows':>12}", f"{'bytes':>10}"), rows, none="no tables")


def _size_text(size: int | None) -> str:
    if size is None:
        return "-"
    amount = float(size)
    for unit in UNITS:
        if amount < 1000 or unit == UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
