"""Servers and their workers: how they are, what they hold, and what can be asked of them."""

from starlette.responses import Response

from penstock.errors import InvalidMove, ServerNotFound
from penstock.service.servers import applicable_servers, ask_servers, find_servers, list_servers
from penstock.service.working import work_under_way
from penstock.states import COMMANDS, Command
from penstock.web.confirming import ask, is_confirmed
from penstock.web.routing import get, post
from penstock.web.visit import Visit

ASKED_SECONDS = 8.0
"""How long a page waits for what servers say."""
ENDING = (Command.STOP, Command.KILL)
BUTTONS = (Command.PAUSE, Command.RESUME, Command.STOP, Command.KILL, Command.DUMP)


@get("/servers")
def servers(visit: Visit) -> Response:
    """Show all servers, and what they work on."""
    found = list_servers(visit.store)
    commands = {each["name"]: _commands(visit, each) for each in found}
    for_all = [each for each in BUTTONS if each is not Command.DUMP and any(each in own for own in commands.values())]
    return visit.render(
        "servers.html",
        servers=found,
        commands=commands,
        for_all=for_all,
        meanings={command: meaning for command, (_, meaning) in COMMANDS.items()},
        work=work_under_way(visit.store),
    )


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


def _chosen(command: str) -> Command:
    try:
        return Command(command)
    except ValueError:
        raise ServerNotFound(f"there is nothing called {command!r} that can be asked of a server") from None


def _commands(visit: Visit, server: dict[str, object]) -> list[Command]:
    """Return what can be asked of a server as it is, by this person."""
    if server["alive"] is False:
        return []
    return [each for each in BUTTONS if server["state"] in COMMANDS[each][0] and visit.may(f"server.{each}")]
