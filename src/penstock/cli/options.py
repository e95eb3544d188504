"""Options that several commands share."""

from collections.abc import Callable, Iterable
from typing import Any

import click

from penstock import config
from penstock.cli import completion
from penstock.errors import AppImportError, ConfigurationError
from penstock.service.finding import STATES

Command = Callable[..., Any]


def _set_store(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        config.configure(store=value if "://" in value else f"sqlite:///{value}")
    return value


store_option = click.option(
    "--store",
    metavar="URL",
    callback=_set_store,
    expose_value=False,
    is_eager=True,
    help="Where jobs live: sqlite:///penstock.db, just a file name, or postgresql://host/db.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
app_option = click.option(
    "--app",
    multiple=True,
    metavar="MODULE",
    help="A module with job classes, module:function, or a folder of modules. May be repeated.",
)
id_argument = click.argument("job_id", metavar="ID", shell_complete=completion.job_ids)
ids_argument = click.argument("job_ids", metavar="[ID]...", nargs=-1, shell_complete=completion.job_ids)
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="A field of the job. May be repeated."
)
kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    shell_complete=completion.kinds,
    help="Only jobs of this kind. May be repeated.",
)
state_option = click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(STATES)),
    help="Only jobs in this state; queued_now and scheduled are parts of queued. May be repeated.",
)
where_option = click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="FIELD[__OP]=VALUE",
    help="Only jobs that meet this: priority__lt=50, state__in=failed,paused, username=ada. OP is one of "
    "eq ne lt le gt ge in contains. May be repeated.",
)


def app_in_force(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the app modules given on the command line, else those of the settings."""
    return given or config.default_app()


def import_app_in_force(given: tuple[str, ...], *, only_to_look: bool = False) -> None:
    """Import the app, so that the classes of jobs check values and their hooks run.

    Args:
        given: The modules given on the command line; without any, those of the settings.
        only_to_look: When those of the settings do not import, say so and go on.

    Raises:
        AppImportError: a module does not import.
    """
    from penstock.server.app import import_app

    try:
        import_app(app_in_force(given))
    except AppImportError as error:
        if given or not only_to_look:
            raise
        click.echo(f"penstock: {error}; going on without its classes", err=True)


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Return the values of `--set` by field, as text.

    Raises:
        ConfigurationError: one is not written as field=value.
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name:
            raise ConfigurationError(f"--set {assignment}: write it as field=value")
        values[name] = text
    return values
