"""`penstock servers`: look at servers, and ask something of them from another shell."""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from penstock import clock
from penstock.cli import completion
from penstock.cli.options import json_option, store_option
from penstock.cli.output import emit, printable, show_table
from penstock.cli.whoami import me
from penstock.service.heartbeats import watch_heartbeat
from penstock.service.jobs import View
from penstock.service.servers import (
    Answer,
    applicable_servers,
    ask_servers,
    dead_servers,
    find_servers,
    list_servers,
    remove_dead_server,
)
from penstock.service.times import span_text
from penstock.states import COMMANDS, Command
from penstock.store import current_store

TITLES = ("name", "host", "pid", "state", "workers", "holding", "up", "alive")
_ALIVE = {True: "yes", False: "no", None: "?"}
_EXAMPLES = {
    Command.PAUSE: "--all",
    Command.RESUME: "--all",
    Command.STOP: "web-1:4711 web-2",
    Command.KILL: "web-1:4711",
    Command.DUMP: "web-1:4711",
}
_DONE = {
    Command.PAUSE: "is paused",
    Command.RESUME: "claims again",
    Command.STOP: "finishes what runs, and ends",
    Command.KILL: "ends",
}


@click.group()
def servers() -> None:
    """Look at servers, and ask something of them from here.

    A server is named by its name or the beginning of it, where no other begins so.
    """


@servers.command("list")
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again so often, until Ctrl-C.")
@json_option
@store_option
def list_command(watch: float | None, as_json: bool) -> None:
    """List servers: state, workers, pieces of work held at the last heartbeat, since when they are up.

    Below a distributor that keeps jobs in the store stand the nodes that have dialled it.

    Example: penstock servers list --watch 2
    """
    if watch is None:
        emit(
            list_servers(current_store()),
            lambda found: show_table(TITLES, _lines(found), none="no servers"),
            as_json=as_json,
        )
    elif as_json or not sys.stdout.isatty():
        raise click.UsageError("--watch is for a terminal; without it, the list is printed once")
    else:
        _watch(watch)


def _lines(found: list[View]) -> list[list[str]]:
    return [line for view in found for line in (_line(view), *map(_line_of_node, view["nodes"]))]


def _line(view: View) -> list[str]:
    return [
        view["name"],
        view["host"],
        str(view["pid"]),
        view["state"],
        f"{view['workers']} in {view['processes']}",
        str(view["holding"]),
        span_text((clock.now() - datetime.fromisoformat(view["started_at"])).total_seconds()),
        _ALIVE[view["alive"]],
    ]


def _line_of_node(node: View) -> list[str]:
    state = "leaving" if node["leaving"] else "node"
    return [f"  {node['name']}", node["address"], "", state, f"{node['slots']} in {node['workers']}", "", "", ""]


def _watch(seconds: float) -> None:
    """Show the list again and again, in place."""
    from rich.live import Live

    store = current_store()
    try:
        with Live(_live_table(list_servers(store)), auto_refresh=False) as live:
            while True:
                time.sleep(seconds)
                live.update(_live_table(list_servers(store)), refresh=True)
    except KeyboardInterrupt:
        return


def _live_table(found: list[View]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(*TITLES, box=None, pad_edge=False, caption="" if found else "no servers", caption_justify="left")
    for line in _lines(found):
        table.add_row(*(Text(printable(cell)) for cell in line))
    return table


def _command_for(command: Command) -> click.Command:
    """Return the command that asks this of servers."""

    def run(**given: Any) -> None:
        _run(command, **given)

    run.__doc__ = (
        f"A server {COMMANDS[command][1]}.\n\nWaits for what the servers say that are asked.\n\n"
        f"Example: penstock servers {command} {_EXAMPLES[command]}"
    )
    options: list[Callable[[Any], Any]] = [
        click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.servers),
        click.option("--all", "everyone", is_flag=True, help="All servers to which it applies."),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0),
            default=10.0,
            show_default=True,
            help="Seconds to wait for an answer.",
        ),
        json_option,
        store_option,
    ]
    for option in reversed(options):
        run = option(run)
    return click.command(str(command))(run)


def _run(command: Command, *, names: tuple[str, ...], everyone: bool, timeout: float, as_json: bool) -> None:
    if bool(names) is everyone:
        raise click.UsageError("name servers, or say --all")
    store = current_store()
    chosen = applicable_servers(store, command) if everyone else find_servers(store, names)
    answers = ask_servers(store, command, chosen, by=me(), timeout=timeout)
    view = [{"server": answer.server, "command": str(command), "answer": answer.text} for answer in answers]
    emit(view, lambda _: _tell(command, answers), as_json=as_json)


def _tell(command: Command, answers: list[Answer]) -> None:
    if not answers:
        click.echo(f"no server to {command}")
    for answer in answers:
        if command is Command.DUMP:
            click.echo(f"server {answer.server}")
            click.echo("\n".join(map(printable, answer.text.splitlines())))
        else:
            click.echo(f"server {answer.server} {_DONE[command]}")


@servers.command("remove")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.servers)
@click.option("--all", "everyone", is_flag=True, help="All servers that are known to be dead.")
@click.option("--watch", is_flag=True, help="Watch its heartbeat for `dead_after` seconds: it is dead if that stands.")
@json_option
@store_option
def remove_command(names: tuple[str, ...], everyone: bool, watch: bool, as_json: bool) -> None:
    """Remove servers that are dead, and queue again what they held; other servers would do so by themselves.

    One that is suspended, or out of reach, is not known to be dead: --watch finds out.

    Example: penstock servers remove web-1
    """
    if bool(names) is everyone:
        raise click.UsageError("name servers, or say --all")
    store = current_store()
    chosen = dead_servers(store) if everyone else find_servers(store, names)
    view = []
    for row in chosen:
        still_at = watch_heartbeat(store, row.name, wait=time.sleep) if watch else None
        view.append(remove_dead_server(store, row.name, by=me(), still_at=still_at))
    emit(view, _tell_removed, as_json=as_json)


def _tell_removed(view: list[View]) -> None:
    if not view:
        click.echo("no server is known to be dead")
    for told in view:
        click.echo(f"server {told['server']} is removed; {told['released']} pieces of work are queued again")


for _command in Command:
    servers.add_command(_command_for(_command))
