"""`penstock dirmon`: folders that are watched, and what becomes of the files that arrive."""

from collections.abc import Callable
from typing import Any

import click

from penstock.cli import completion
from penstock.cli.options import app_option, import_app_in_force, json_option, parse_assignments, store_option
from penstock.cli.output import cell_text, emit, printable, show_table
from penstock.cli.whoami import me
from penstock.service.jobs import View
from penstock.store import Store, current_store

STATES = ("pending", "enabled", "disabled", "failed")
_name_argument = click.argument("name", metavar="NAME")
_set_option = click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="A field of the job. May be repeated."
)


def _values(*, required: bool) -> Callable[[Any], Any]:
    """Return what adds the options for the values of an entry."""
    options = [
        click.option("--pattern", required=required, help="Which files: an absolute path or URL, as '/data/in/*.csv'."),
        click.option(
            "--kind", required=required, shell_complete=completion.kinds, help="The kind of the job of each file."
        ),
        click.option("--archive", help="Where files are moved to: a folder in theirs, or an absolute one."),
        click.option("--after", type=click.Choice(["archive", "delete"]), help="What becomes of a file in the end."),
        _set_option,
        app_option,
        json_option,
        store_option,
    ]

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group()
def dirmon() -> None:
    """Watch folders: each file that arrives in one becomes a job.

    Servers watch when they know the job that does: penstock server --app penstock.jobs --app MODULE. Folders must
    lie in the setting allowed_roots.
    """


@dirmon.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these. May be repeated.")
@json_option
@store_option
def list_command(states: tuple[str, ...], as_json: bool) -> None:
    """List the folders that are watched.

    Example: penstock dirmon list
    """
    from penstock.service.dirmon import list_entries

    emit(list_entries(current_store(), states=states), _show_list, as_json=as_json)


def _show_list(found: list[View]) -> None:
    rows = [[view["name"], view["state"], view["kind"], view["after"], view["pattern"]] for view in found]
    show_table(("name", "state", "kind", "after", "pattern"), rows, none="no entries")
    for view in found:
        if view["error"]:
            click.echo(f"{view['name']} failed: {printable(view['error'])}")


@dirmon.command("add")
@_name_argument
@click.option("--enable", is_flag=True, help="Watch it at once.")
@_values(required=True)
def add_command(name: str, enable: bool, app: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Add an entry. Nothing is watched until it is enabled.

    Example: penstock dirmon add orders --pattern '/data/in/*.csv' --kind LoadOrders --app orders
    """
    from penstock.service.dirmon import add_entry, enable_entry

    def add(store: Store) -> View:
        values, texts = _given(given)
        with store.transaction():
            view = add_entry(store, {"name": name, **values}, texts, by=me())
            return enable_entry(store, name.strip(), by=me()) if enable else view

    _do(add, app, as_json)


@dirmon.command("edit")
@_name_argument
@click.option("--name", "new_name", help="Another name.")
@_values(required=False)
def edit_command(name: str, new_name: str | None, app: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Change an entry: all that is given, or nothing.

    Example: penstock dirmon edit orders --after delete --app orders
    """
    from penstock.service.dirmon import edit_entry

    values, texts = _given({**given, "name": new_name})
    if not values and not texts:
        raise click.UsageError("name what to change, as --pattern or --set FIELD=VALUE")
    _do(lambda store: edit_entry(store, name, values, texts, by=me()), app, as_json)


@dirmon.command("copy")
@_name_argument
@click.argument("new_name", metavar="NEW_NAME")
@_values(required=False)
def copy_command(name: str, new_name: str, app: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Add an entry that is as another but for what is given: a pattern of its own at least.

    Example: penstock dirmon copy orders returns --pattern '/data/returns/*.csv' --app orders
    """
    from penstock.service.dirmon import copy_entry

    values, texts = _given(given)
    _do(lambda store: copy_entry(store, name, {**values, "name": new_name}, texts, by=me()), app, as_json)


@dirmon.command("enable")
@_name_argument
@app_option
@json_option
@store_option
def enable_command(name: str, app: tuple[str, ...], as_json: bool) -> None:
    """Watch a folder, or do so again after its entry failed.

    Example: penstock dirmon enable orders --app orders
    """
    from penstock.service.dirmon import enable_entry

    _do(lambda store: enable_entry(store, name, by=me()), app, as_json)


@dirmon.command("disable")
@_name_argument
@json_option
@store_option
def disable_command(name: str, as_json: bool) -> None:
    """Watch a folder no longer. What is being started is.

    Example: penstock dirmon disable orders
    """
    from penstock.service.dirmon import disable_entry

    emit(disable_entry(current_store(), name, by=me()), _show_one, as_json=as_json)


@dirmon.command("remove")
@_name_argument
@json_option
@store_option
def remove_command(name: str, as_json: bool) -> None:
    """Remove an entry. Files and jobs stay.

    Example: penstock dirmon remove orders
    """
    from penstock.service.dirmon import remove_entry

    view = remove_entry(current_store(), name, by=me())
    emit(view, lambda removed: click.echo(f"{removed['name']} removed"), as_json=as_json)


@dirmon.command("look")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@app_option
@json_option
@store_option
def look_command(names: tuple[str, ...], app: tuple[str, ...], as_json: bool) -> None:
    """Show what a look would do now, about the files of entries, and do nothing. Without names: of all enabled ones.

    Example: penstock dirmon look orders --app orders
    """
    from penstock.service.dirmon import look_at_entries

    import_app_in_force(app)
    emit(look_at_entries(current_store(), names), _show_looks, as_json=as_json)


def _show_looks(looks: list[View]) -> None:
    if not looks:
        click.echo("no entry is enabled")
    for look in looks:
        click.echo(f"{look['name']} ({look['state']}): {look['error'] or _count(look['files'])}")
        if look["files"]:
            rows = [
                [file["verdict"], cell_text("size", file["size"]), file["file"], file["reason"]]
                for file in look["files"]
            ]
            show_table(("", "bytes", "file", ""), rows, none="")


def _count(files: list[View]) -> str:
    return f"{len(files):,} file{'' if len(files) == 1 else 's'}"


def _given(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of an entry that were given, and those of its job's fields, as text."""
    texts = parse_assignments(options.pop("assignments"))
    return {name: value for name, value in options.items() if value is not None}, texts


def _do(action: Callable[[Store], View], app: tuple[str, ...], as_json: bool) -> None:
    import_app_in_force(app)
    emit(action(current_store()), _show_one, as_json=as_json)


def _show_one(view: View) -> None:
    click.echo(f"{printable(view['name'])} {view['state']}: {printable(view['pattern'])} becomes {view['kind']}")
