"""`penstock keys`: make and rotate the keys that data is sealed under."""

import json
import shlex

import click

from penstock.cli.options import json_option
from penstock.service.keys import View, activate_key, generate_key_file, list_keys, retire_key, rotate_key

_file_option = click.option("--file", metavar="FILE", help="The key file. By default, that of the `keyring` setting.")
_version_argument = click.argument("version", type=click.IntRange(min=1))


@click.group()
def keys() -> None:
    """Make, list and rotate the keys that data is sealed under."""


@keys.command("generate")
@_file_option
def generate_command(file: str | None) -> None:
    """Make a key file with one key. Never overwrites one.

    Example: penstock keys generate --file keys.toml
    """
    made = generate_key_file(file)
    _print_active(made)
    click.echo(f"to use it: export PENSTOCK_KEYRING={shlex.quote(made['file'])}")
    click.echo("keep a backup: without it, what is sealed is lost with the file")


@keys.command("list")
@json_option
@_file_option
def list_command(as_json: bool, file: str | None) -> None:
    """List the keys, oldest first: number, state, when they were made.

    Example: penstock keys list --file keys.toml
    """
    found = list_keys(file)["keys"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    columns = ("version", "state", "created_at")
    for row in [columns, *([str(key[column]) for column in columns] for key in found)]:
        click.echo("  ".join(text.ljust(7) for text in row).rstrip())


@keys.command("rotate")
@_file_option
def rotate_command(file: str | None) -> None:
    """Add a key and seal new data under it. The others still open what they sealed.

    Example: penstock keys rotate --file keys.toml
    """
    _print_active(rotate_key(file))


@keys.command("activate")
@_version_argument
@_file_option
def activate_command(version: int, file: str | None) -> None:
    """Seal new data under this key.

    Example: penstock keys activate 2 --file keys.toml
    """
    _print_active(activate_key(version, file))


@keys.command("retire")
@_version_argument
@_file_option
def retire_command(version: int, file: str | None) -> None:
    """Refuse to open what this key sealed. Its number is not used again.

    Example: penstock keys retire 1 --file keys.toml
    """
    click.echo(f"{retire_key(version, file)['file']}: key {version} is retired")


def _print_active(view: View) -> None:
    click.echo(f"{view['file']}: key {view['active']} is active")
