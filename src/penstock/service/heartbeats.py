"""Heartbeats as an observer sees them: clocks are never compared, so a stepped one makes nobody look dead."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock import clock
from penstock.config import settings
from penstock.errors import InvalidMove
from penstock.service.servers import find_servers
from penstock.store.protocol import Store
from penstock.store.rows import ServerRow

LOOKS = 3
"""Times at which an observer must have seen a heartbeat unchanged, however long it was between them."""
LOOK_SECONDS = 1.0


class _Sight(NamedTuple):
    heartbeat: int
    since: float
    looks: int


class Heartbeats:
    """Remembers since when each heartbeat stands where it stands."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sight] = {}

    def note(self, servers: Sequence[ServerRow]) -> None:
        """Look at all servers."""
        now = clock.monotonic()
        seen = {row.name: self._seen.get(row.name) for row in servers}
        self._seen = {
            row.name: before._replace(looks=before.looks + 1)
            if (before := seen[row.name]) is not None and before.heartbeat == row.heartbeat
            else _Sight(row.heartbeat, now, 1)
            for row in servers
        }

    def still(self) -> dict[str, tuple[int, float]]:
        """Return by name the servers whose heart has stood still for `dead_after`: where it stands, and the seconds."""
        now = clock.monotonic()
        return {
            name: (sight.heartbeat, now - sight.since)
            for name, sight in self._seen.items()
            if sight.looks >= LOOKS and now - sight.since >= settings().dead_after
        }


def watch_heartbeat(store: Store, name: str, *, wait: Callable[[float], object]) -> int:
    """Watch a server for `dead_after` seconds, and return its heartbeat where it has stood still all the time.

    Args:
        store: The store.
        name: The server.
        wait: Lets so many seconds pass.

    Raises:
        ServerNotFound: there is none of the name.
        InvalidMove: its heart beats.
    """
    heartbeats = Heartbeats()
    (first,) = find_servers(store, [name])
    while first.name not in heartbeats.still():
        (row,) = find_servers(store, [first.name])
        if row.heartbeat != first.heartbeat:
            raise InvalidMove(f"server {row.name} lives: its heart beats; stop it instead")
        heartbeats.note([row])
        wait(LOOK_SECONDS)
    return first.heartbeat
