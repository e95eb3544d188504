"""`penstock web`: the console in a browser, and who may sign in."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from penstock.cli.options import app_option, import_app_in_force, json_option, store_option
from penstock.cli.output import emit, show_table
from penstock.cli.tokens import token
from penstock.errors import ConfigurationError
from penstock.service.people import ROLES

if TYPE_CHECKING:
    from penstock.web.authentication import Authentication
    from penstock.web.users import Users

USERS = "penstock-users.json"
users_option = click.option(
    "--users", "users", type=click.Path(dir_okay=False, path_type=Path), default=USERS, show_default=True,
    help="The users file.",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8788, show_default=True, help="The port; 0: a free one.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Answer to this name too. May be repeated.")
@click.option(
    "--users", type=click.Path(dir_okay=False, path_type=Path), help="Have people sign in who are in this file."
)
@click.option("--user-header", metavar="NAME", help="A proxy says in this header who it is, and it is believed.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="An address or network of the proxy.  [default: loopback]",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="LOGIN=ROLE",
    help="What somebody may do whom the proxy names; * for all others.  [default: *=view]",
)
@app_option
@store_option
@click.pass_context
def web(
    ctx: click.Context,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    users: Path | None,
    user_header: str | None,
    proxies: tuple[str, ...],
    roles: tuple[str, ...],
    app: tuple[str, ...],
) -> None:
    """Show jobs, schedules, servers and watched folders in a browser, and what may be done with them.

    Without --users or --user-header everybody who reaches it is admin, so it is for this machine only.

    Example: penstock web --app my_jobs
    """
    if ctx.invoked_subcommand is not None:
        return
    from penstock.store import current_store, without_password
    from penstock.web import missing

    try:
        from penstock.web.serving import serve
    except ModuleNotFoundError as error:
        raise missing(error) from error
    authentication = _authentication(users, user_header, proxies, roles)
    import_app_in_force(app, only_to_look=True)
    store = without_password(current_store().url)
    serve(
        host=host,
        port=port,
        authentication=authentication,
        allowed_hosts=hosts,
        ready=lambda url: click.echo(f"console of {store}: {url}"),
    )


@web.group("user")
def user() -> None:
    """Who may sign in to a console that is started with --users."""


@user.command("add")
@click.argument("login")
@click.option("--role", "roles", multiple=True, type=click.Choice(list(ROLES)), default=("view",), show_default=True,
              help="What they may do. May be repeated.")  # fmt: skip
@click.option(
    "--password-file", type=click.File(), help="The password is the first line of this file; - is standard input."
)
@users_option
def add_command(login: str, roles: tuple[str, ...], password_file: IO[str] | None, users: Path) -> None:
    """Add somebody, or give them another password and other roles. The password is asked for.

    Example: penstock web user add ada --role manager
    """
    found = _users(users)
    if password_file is not None:
        password = password_file.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    found.add(login, password, roles)
    click.echo(f"{login} ({', '.join(roles)}) is in {users}")


@user.command("list")
@users_option
@json_option
def list_command(users: Path, as_json: bool) -> None:
    """List who may sign in, and with which roles.

    Example: penstock web user list
    """
    found = [{"login": each.login, "roles": list(each.roles)} for each in _users(users).all()]
    emit(
        found,
        lambda told: show_table(
            ("login", "roles"), [[str(each["login"]), ", ".join(each["roles"])] for each in told], none="no users"
        ),
        as_json=as_json,
    )


@user.command("remove")
@click.argument("login")
@users_option
def remove_command(login: str, users: Path) -> None:
    """Let somebody no longer sign in; what they have open ends at once.

    Example: penstock web user remove ada
    """
    _users(users).remove(login)
    click.echo(f"{login} is removed from {users}")


def _users(path: Path) -> "Users":
    from penstock.web import missing

    try:
        import argon2  # noqa: F401

        from penstock.web.users import Users
    except ModuleNotFoundError as error:
        raise missing(error) from error
    return Users(path)


def _authentication(
    users: Path | None, header: str | None, proxies: tuple[str, ...], roles: tuple[str, ...]
) -> "Authentication | None":
    from penstock.web.authentication import TrustedHeader, UsersFile

    if users is not None and header is not None:
        raise ConfigurationError("--users and --user-header: one of them says who somebody is")
    if users is not None:
        found = UsersFile(users)
        if not found.users.all():
            raise ConfigurationError(
                f"{users} has no users: `penstock web user add LOGIN --role admin --users {users}`"
            )
        return found
    if header is None:
        return None
    given: dict[str, list[str]] = {}
    for text in roles:
        login, equals, role = text.rpartition("=")
        if not equals or role not in ROLES:
            raise ConfigurationError(f"--role {text}: write LOGIN=ROLE, with a role of {', '.join(ROLES)}")
        given.setdefault(login, []).append(role)
    everybody = given.pop("*", ["view"])
    return TrustedHeader(header, proxies=proxies or ("127.0.0.1", "::1"), roles=given, everybody=everybody)


web.add_command(token)
