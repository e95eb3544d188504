"""Servers as people see them, and what people ask of them from elsewhere."""

import json
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from penstock import clock
from penstock.errors import InvalidMove, ServerNotFound
from penstock.service.auditing import acting
from penstock.service.jobs import View
from penstock.service.people import By
from penstock.service.times import iso_text
from penstock.states import COMMANDS, Command, ServerState
from penstock.store.protocol import Store
from penstock.store.rows import ServerRow

LOOK_SECONDS = 0.02
"""How often the store is looked at for an answer."""
ENDING = (Command.STOP, Command.KILL)
"""After these a server that is gone has done as it was asked."""
ASKED = "asked"
"""The answer of a server that is not waited for."""
SETTLED = {Command.PAUSE: ServerState.PAUSED, Command.RESUME: ServerState.RUNNING}
"""The state that a server shows when it has done as it was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command to one server."""

    server: str
    command: Command
    text: str
    """`done`, `asked`, or what the server told."""


def list_servers(store: Store) -> list[View]:
    """Return all registered servers, the oldest first. `alive` is None where that cannot be told from here."""
    return [view_of_server(store, row) for row in store.servers()]


def view_of_server(store: Store, row: ServerRow) -> View:
    """Return one server as plain data; a distributor with its `nodes`, as they were at its last heartbeat."""
    return {
        "name": row.name,
        "host": row.host,
        "pid": row.pid,
        "state": row.state,
        "workers": row.slots,
        "processes": row.processes,
        "holding": row.holding,
        "started_at": iso_text(row.started_at),
        "heartbeat": row.heartbeat,
        "alive": store.is_present(row.name),
        "asked": row.command,
        "kinds": sorted(json.loads(row.kinds)),
        "distributor": is_distributor(row),
        "nodes": sorted(json.loads(row.nodes), key=lambda node: str(node["name"])),
    }


def is_distributor(row: ServerRow) -> bool:
    """Tell whether it has no workers of its own, but nodes; then its application decides over it."""
    return row.slots == 0


def find_servers(store: Store, names: Iterable[str]) -> list[ServerRow]:
    """Return the servers with these names, or whose names alone begin so; each once.

    Raises:
        ServerNotFound: there is none, or there are several.
    """
    rows = store.servers()
    found = {row.name: row for name in names for row in [_named(rows, name)]}
    return list(found.values())


def applicable_servers(store: Store, command: Command) -> list[ServerRow]:
    """Return the servers that live and to which a command applies now."""
    states, _ = COMMANDS[command]
    return [
        row
        for row in store.servers()
        if row.state in states and not is_distributor(row) and store.is_present(row.name) is not False
    ]


def ask_servers(
    store: Store, command: Command, servers: Sequence[ServerRow], *, by: By, timeout: float | None = 10.0
) -> list[Answer]:
    """Ask servers for something, and wait for what all of them say.

    Args:
        store: The store.
        command: What is asked.
        servers: As `find_servers` or `applicable_servers` gave them.
        by: Who asks.
        timeout: Seconds to wait for all; None leaves the command, and answers `asked` at once.

    Raises:
        Forbidden: the roles do not allow it.
        ServerNotFound: a server is dead, and nobody is asked; or one gave no answer in time, and may still act.
        InvalidMove: the command does not apply to a server as it is; nobody is asked.
    """
    right = f"server.{command}"
    for row in servers:
        with acting(store, by, right, target_of_server(row.name)):
            _refuse(store, command, row)
    for row in servers:
        with acting(store, by, right, target_of_server(row.name)) as act, store.transaction():
            if not store.ask_server(row.name, command):
                raise ServerNotFound(f"server {row.name} ended just now")
            act.note({"state": row.state})
    if timeout is None:
        return [Answer(row.name, command, ASKED) for row in servers]
    deadline = clock.monotonic() + timeout
    return [Answer(row.name, command, _await(store, command, row.name, deadline, timeout)) for row in servers]


def dead_servers(store: Store) -> list[ServerRow]:
    """Return the servers that are known to be dead."""
    return [row for row in store.servers() if store.is_present(row.name) is False]


def remove_dead_server(store: Store, name: str, *, by: By, still_at: int | None = None) -> View:
    """Remove a server that is dead, and queue again what it held; other servers would do so by themselves.

    Args:
        store: The store.
        name: The server.
        by: Who removes it.
        still_at: The heartbeat at which an observer has seen it stand for `dead_after` seconds, where nothing else
            tells that it is dead: it may be suspended, or out of reach.

    Raises:
        Forbidden: the roles do not allow it.
        ServerNotFound: there is none of the name.
        InvalidMove: it lives, or nobody here can tell.
    """
    with acting(store, by, "server.destroy", target_of_server(name)) as act, store.transaction():
        (row,) = find_servers(store, [name])
        gone = store.is_present(row.name) is False
        if not gone and row.heartbeat != still_at:
            raise InvalidMove(
                f"server {row.name} is not known to be dead: stop it instead, or watch it with "
                f"`penstock servers remove {row.name} --watch`"
            )
        released = store.release_server(row.name, heartbeat=None if gone else still_at)
        if any(each.name == row.name for each in store.servers()):
            raise InvalidMove(f"server {row.name} lives: its heart beat just now")
        act.note({"state": row.state}, {"released": released})
    return {"server": row.name, "released": released}


def target_of_server(name: str) -> str:
    """Return what the audit calls a server."""
    return f"server {name}"


def _named(rows: Collection[ServerRow], name: str) -> ServerRow:
    exact = [row for row in rows if row.name == name]
    found = exact or [row for row in rows if name and row.name.startswith(name)]
    if not found:
        known = ", ".join(row.name for row in rows) or "none"
        raise ServerNotFound(f"there is no server {name!r}; there are: {known}")
    if len(found) > 1:
        raise ServerNotFound(f"several servers begin with {name!r}: {', '.join(row.name for row in found)}")
    return found[0]


def _refuse(store: Store, command: Command, row: ServerRow) -> None:
    if store.is_present(row.name) is False:
        raise ServerNotFound(f"server {row.name} is dead: its process is gone; the next one on its host takes over")
    if is_distributor(row):
        raise InvalidMove(f"{row.name} is a distributor: its application starts and stops it")
    states, _ = COMMANDS[command]
    if row.state not in states:
        apply = ", ".join(each for each, (states, _) in COMMANDS.items() if row.state in states)
        raise InvalidMove(f"cannot {command} server {row.name}, which is {row.state}; what applies: {apply}")


def _await(store: Store, command: Command, name: str, deadline: float, timeout: float) -> str:
    """Wait for a server's answer, and until it shows what it did; or, where it was to end, until it is gone."""
    pause = threading.Event()
    while True:
        # Asked before the row is read: a server takes its row away first.
        present = store.is_present(name)
        row = next((row for row in store.servers() if row.name == name), None)
        if row is None or present is False:
            if command in ENDING:
                return "done"
            raise ServerNotFound(f"server {name} ended before it answered")
        if row.command not in (None, command):
            raise ServerNotFound(f"server {name} was asked to {row.command} by somebody else before it could answer")
        if row.answer is not None and SETTLED.get(command, row.state) == row.state:
            return row.answer
        if clock.monotonic() >= deadline:
            if row.answer is not None:
                return row.answer
            raise ServerNotFound(f"server {name} has not answered in {timeout:g} s; it may be suspended, or very busy")
        pause.wait(LOOK_SECONDS)
