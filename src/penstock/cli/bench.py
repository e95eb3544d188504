"""`penstock bench`: what Penstock does on this machine."""

import json

import click

from penstock.cli.options import json_option, parse_assignments, set_option, store_option
from penstock.errors import ConfigurationError

NAMES = ("batch", "claims", "enqueue", "idle", "jobs", "latency", "memory", "scale")


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="Small sizes, to see that it works: no figures to quote.")
@set_option
@json_option
@store_option
def bench(name: str, quick: bool, assignments: tuple[str, ...], as_json: bool) -> None:
    """Measure one thing on this machine: NAME is batch, claims, enqueue, idle, jobs, latency, memory or scale.

    The store says which kind is measured and where: a SQLite file beside it, or a schema of its own in that
    PostgreSQL. Both are made for this, and removed; jobs that are there are not touched. Full durability. `--set`
    changes a size: jobs=1000, rounds=3. Needs Linux.

    Example: penstock bench jobs --store postgresql://localhost/app --quick
    """
    from penstock.service.benching import as_data, measured

    made = measured(name, quick=quick, given=_numbers(assignments))
    if as_json:
        click.echo(json.dumps(as_data(made), indent=1, default=str))
        return
    click.echo(f"{name}: {made.title}")
    click.echo("  " + ", ".join(f"{setting} {value:,}" for setting, value in made.settings.items()))
    click.echo(made.report.text())
    click.echo("\n  " + ", ".join(f"{key} {value}" for key, value in made.machine.items() if value is not None))


def _numbers(assignments: tuple[str, ...]) -> dict[str, int]:
    numbers = {}
    for name, text in parse_assignments(assignments).items():
        if not text.isdecimal():
            raise ConfigurationError(f"--set {name}={text}: write a whole number")
        numbers[name] = int(text)
    return numbers
