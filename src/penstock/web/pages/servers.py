"""Servers and their workers: how they are, what they hold, and what can be asked of them."""

from collections.abc import Sequence

from starlette.responses import Response

from penstock.errors import InvalidMove, ServerNotFound
from penstock.service.jobs import View
from penstock.service.servers import (
    applicable_servers,
    ask_servers,
    dead_servers,
    find_servers,
    list_servers,
    remove_dead_server,
)  # fmt: skip
from penstock.service.working import work_under_way
from penstock.states import COMMANDS, Command
from penstock.web.confirming import ask, is_confirmed
from penstock.web.routing import get, post
from penstock.web.visit import Visit

ASKED_SECONDS = 8.0
"""How long a page waits for what servers say."""
REMOVING = "What it held is queued again, at once. Other servers would do so too, when they see that it is dead."
ENDING = (Command.STOP, Command.KILL)
BUTTONS = (Command.PAUSE, Command.RESUME, Command.STOP, Command.KILL, Command.DUMP)


@get("/servers")
def servers(visit: Visit) -> Response:
    """Show all servers, and what they work on."""
    found = list_servers(visit.store)
    dead = _dead(visit, found)
    commands = {each["name"]: _commands(visit, each) for each in found if each["name"] not in dead}
    for_all = [each for each in BUTTONS if each is not Command.DUMP and any(each in own for own in commands.values())]
    return visit.render(
        "servers.html",
        servers=found,
        commands=commands,
        for_all=for_all,
        dead=dead,
        removable=visit.may("server.destroy"),
        removing=REMOVING,
        meanings={command: meaning for command, (_, meaning) in COMMANDS.items()},
        work=work_under_way(visit.store),
    )


@post("/servers/all/remove")
def remove_all(visit: Visit) -> Response:
    """Remove all servers that are known to be dead, and queue again what they held."""
    rows = dead_servers(visit.store)
    if not is_confirmed(visit):
        return ask(
            visit,
            f"Remove {_counted(len(rows))}?",
            REMOVING,
            do="Remove",
            target="/servers/all/remove",
            back="/servers",
        )
    told = [remove_dead_server(visit.store, row.name, by=visit.person) for row in rows]
    released = sum(each["released"] for each in told)
    return visit.redirect("/servers", f"{_counted(len(told))} removed; {released:,} pieces of work queued again.")


@post("/servers/{name}/remove")
def remove(visit: Visit, name: str) -> Response:
    """Remove a server that is dead, and queue again what it held."""
    if not is_confirmed(visit):
        return ask(
            visit, f"Remove {name}?", REMOVING, do="Remove it", target=f"/servers/{name}/remove", back="/servers"
        )
    still_at, _ = visit.console.live.heartbeats.still().get(name, (None, 0.0))
    told = remove_dead_server(visit.store, name, by=visit.person, still_at=still_at)
    return visit.redirect("/servers", f"{told['server']} removed; {told['released']:,} pieces of work queued again.")


@post("/servers/all/{command}")
def ask_all(visit: Visit, command: str) -> Response:
    """Ask all servers to which it applies."""
    chosen = _chosen(command)
    rows = applicable_servers(visit.store, chosen)
    if not rows:
        raise InvalidMove(f"there is no server that can {chosen} as it is now")
    if not is_confirmed(visit):
        noun = "the server" if len(rows) == 1 else f"all {len(rows)} servers"
        return ask(
            visit,
            f"{chosen.capitalize()} {noun}?",
            f"Each {COMMANDS[chosen][1]}.",
            do=f"{chosen.capitalize()} {noun}",
            target=f"/servers/all/{command}",
            back="/servers",
        )
    ask_servers(visit.store, chosen, rows, by=visit.person, timeout=None)
    return visit.redirect("/servers", f"Asked {len(rows)} to {chosen}.")


@post("/servers/{name}/{command}")
def ask_one(visit: Visit, name: str, command: str) -> Response:
    """Ask one server, and tell what it says."""
    chosen = _chosen(command)
    if chosen in ENDING and not is_confirmed(visit):
        return ask(
            visit,
            f"{chosen.capitalize()} {name}?",
            f"It {COMMANDS[chosen][1]}.",
            do=f"{chosen.capitalize()} it",
            target=f"/servers/{name}/{command}",
            back="/servers",
        )
    rows = find_servers(visit.store, [name])
    # One that is to end may take its time to finish what runs; the page shows it as stopping meanwhile.
    answers = ask_servers(
        visit.store, chosen, rows, by=visit.person, timeout=None if chosen in ENDING else ASKED_SECONDS
    )
    if chosen is Command.DUMP:
        return visit.render("dump.html", answer=answers[0])
    return visit.redirect(
        "/servers", f"{name}: {answers[0].text if answers[0].text != 'asked' else f'asked to {chosen}'}."
    )


def _counted(count: int) -> str:
    return f"{count} dead {'server' if count == 1 else 'servers'}"


def _dead(visit: Visit, servers: Sequence[View]) -> dict[str, float | None]:
    """Return by name the servers that are dead, with the seconds for which the heart of one has stood still.

    None where its process is known to be gone.
    """
    still = {name: seconds for name, (_, seconds) in visit.console.live.heartbeats.still().items()}
    return {
        each["name"]: None if each["alive"] is False else still[each["name"]]
        for each in servers
        if each["alive"] is False or each["name"] in still
    }


def _chosen(command: str) -> Command:
    try:
        return Command(command)
    except ValueError:
        raise ServerNotFound(f"there is nothing called {command!r} that can be asked of a server") from None


def _commands(visit: Visit, server: View) -> list[Command]:
    """Return what can be asked of a server that lives, as it is, by this person."""
    if server["distributor"]:
        return []
    return [each for each in BUTTONS if server["state"] in COMMANDS[each][0] and visit.may(f"server.{each}")]
