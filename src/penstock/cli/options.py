"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

from penstock import config

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
    help="Where jobs live, as sqlite:///penstock.db or just a file name.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
app_option = click.option(
    "--app",
    multiple=True,
    metavar="MODULE",
    help="A module with job classes, module:function, or a folder of modules. May be repeated.",
)


def app_in_force(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the app modules given on the command line, else those of the settings."""
    return given or config.default_app()
