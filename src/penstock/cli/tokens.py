"""`penstock web token`: tokens of programs that use the API."""

import click

from penstock.cli.options import json_option, store_option
from penstock.cli.output import cell_text, emit, show_table
from penstock.cli.whoami import me
from penstock.service.jobs import View
from penstock.service.people import ROLES
from penstock.service.tokens import add_token, list_tokens, remove_token
from penstock.store import current_store


@click.group()
def token() -> None:
    """Make, list and remove tokens of programs that use the API."""


@token.command("add")
@click.argument("name")
@click.option("--login", metavar="LOGIN", help="Under which name it acts.  [default: its own]")
@click.option("--role", "roles", multiple=True, type=click.Choice(list(ROLES)), help="What it may do.  [default: view]")
@json_option
@store_option
def add_command(name: str, login: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Make a token. It is shown once; only its hash is stored.

    Example: penstock web token add nightly-import --role admin
    """
    emit(add_token(current_store(), name, by=me(), login=login, roles=roles), _show_token, as_json=as_json)


@token.command("list")
@json_option
@store_option
def list_command(as_json: bool) -> None:
    """List tokens, by name, without what they are.

    Example: penstock web token list
    """
    emit(list_tokens(current_store(), by=me()), _show_tokens, as_json=as_json)


@token.command("remove")
@click.argument("name")
@json_option
@store_option
def remove_command(name: str, as_json: bool) -> None:
    """Remove a token: from now on it opens nothing.

    Example: penstock web token remove nightly-import
    """
    view = remove_token(current_store(), name, by=me())
    emit(view, lambda _: click.echo(f"token {name} is removed"), as_json=as_json)


def _show_token(view: View) -> None:
    click.echo(view["token"])
    click.echo(f"token {view['name']} acts as {view['login']}; it is not shown again", err=True)


def _show_tokens(found: list[View]) -> None:
    lines = [[it["name"], it["login"], ", ".join(it["roles"]), cell_text("at_at", it["created_at"])] for it in found]
    show_table(("name", "login", "roles", "made"), lines, none="no tokens")
