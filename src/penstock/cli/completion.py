"""Completion with Tab: what click's own completion offers for job ids, kinds, states and servers.

Nothing here runs code of the user's, makes a store, or complains: without a store there is nothing to offer.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import Context, Parameter
from click.shell_completion import CompletionItem

from penstock.config import settings

if TYPE_CHECKING:
    from penstock.store import Store

Item = CompletionItem[str]
NEWEST = 50
"""Jobs that are offered."""
SEEN = 500
"""Jobs that are looked at for their kinds."""


def _from_store(offer: "Callable[[Store, Context], Iterator[Item]]") -> Callable[[Context, Parameter, str], list[Item]]:
    """Have the store offered that `--store` or the settings name, where there is one."""

    def complete(context: Context, _: Parameter, incomplete: str) -> list[Item]:
        try:
            if not _is_set_up(settings().store):
                return []
            from penstock.store import current_store

            return [item for item in offer(current_store(), context) if item.value.startswith(incomplete)]
        except Exception:
            return []  # A terminal in the middle of a line is no place for messages.

    return complete


@_from_store
def job_ids(store: "Store", context: Context) -> Iterator[Item]:
    """Offer the newest jobs to which the command applies, with kind and state."""
    from penstock.query import Query
    from penstock.service.moving import ACTIONS

    action = ACTIONS.get(context.info_name or "")
    given: Any = context.params.get("job_ids") or ()
    query = Query(states=action.states if action else (), newest_first=True, limit=NEWEST + len(given))
    for row in store.find_jobs(query):
        if str(row.id) not in given:
            yield CompletionItem(str(row.id), help=f"{row.kind}, {row.state}")


@_from_store
def schedule_ids(store: "Store", _: Context) -> Iterator[Item]:
    """Offer the jobs that have a schedule."""
    from penstock.service.schedules import list_schedules

    for schedule in list_schedules(store):
        yield CompletionItem(schedule["id"], help=f"{schedule['kind']}, {schedule['schedule']}")


@_from_store
def kinds(store: "Store", _: Context) -> Iterator[Item]:
    """Offer the kinds of the newest jobs, and those that servers know."""
    import json

    from penstock.query import Query

    found = {kind for server in store.servers() for kind in json.loads(server.kinds)}
    found.update(row.kind for row in store.find_jobs(Query(newest_first=True, limit=SEEN)))
    yield from map(CompletionItem, sorted(found))


@_from_store
def servers(store: "Store", _: Context) -> Iterator[Item]:
    """Offer the servers, with their state."""
    for row in store.servers():
        yield CompletionItem(row.name, help=row.state)


def _is_set_up(url: str) -> bool:
    """Tell whether there is a store of ours at a URL: to open one that is not there would make it."""
    import sqlite3

    path = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or not path.is_file():
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone() is not None
