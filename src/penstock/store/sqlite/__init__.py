"""The embedded store: one SQLite file, or SQLite in memory, through the standard library's driver."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from penstock.config import Settings
from penstock.errors import StoreUnavailable
from penstock.store.given import given_connection
from penstock.store.protocol import Topic
from penstock.store.sqlite.access import SqliteAccess
from penstock.store.sqlite.browsing import SqliteBrowsing
from penstock.store.sqlite.claims import SqliteClaims
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.entries import SqliteEntries
from penstock.store.sqlite.hooks import SqliteHooks
from penstock.store.sqlite.jobs import SqliteJobs
from penstock.store.sqlite.kept import SqliteKept
from penstock.store.sqlite.migrations import migrate
from penstock.store.sqlite.servers import SqliteServers
from penstock.store.sqlite.slices import SqliteSlices
from penstock.store.sqlite.trail import SqliteTrail
from penstock.store.sqlite.upkeep import SqliteUpkeep
from penstock.store.sqlite.wakeups import FileWakeups, MemoryWakeups

__all__ = ["SqliteStore", "open_store"]

LONGEST_HOLD = 10.0
"""Nobody else writes meanwhile: a server that waits for it must not miss its heartbeats until it gives up."""
OLDEST = (3, 35, 0)
"""The first SQLite with RETURNING."""


class SqliteStore(
    SqliteJobs,
    SqliteClaims,
    SqliteHooks,
    SqliteSlices,
    SqliteKept,
    SqliteServers,
    SqliteEntries,
    SqliteUpkeep,
    SqliteTrail,
    SqliteBrowsing,
    SqliteAccess,
):
    """A store in one SQLite file, or in memory when `path` is None."""

    longest_hold = LONGEST_HOLD

    def __init__(self, url: str, path: str | None, settings: Settings, *, upgrade: bool = False) -> None:
        self.url = url
        self.path = path
        self.wakeups = FileWakeups(f"{path}-live") if path else MemoryWakeups()
        self.connections = Connections(path, durability=settings.durability, after_commit=self.wakeups.announce)
        try:
            migrate(self.connections, path or "memory store", upgrade=upgrade)
        except BaseException:
            self.connections.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the thread writes in the block happen together, or not at all."""
        with self.connections.transaction():
            yield

    @contextmanager
    def joining(self, connection: Any) -> Iterator[None]:
        """Make what the thread writes in the block part of the transaction of a connection that was given."""
        with self.connections.joining(given_connection(connection)):
            yield

    def reserving(self) -> AbstractContextManager[None]:
        """Let no other writer begin as long as the block lasts."""
        return self.connections.reserving()

    def lending(self) -> AbstractContextManager[Any]:
        """Open a transaction and lend its connection to user code."""
        return self.connections.lending()

    def take_turns(self, name: str) -> None:
        """Do nothing: a transaction is alone from its beginning."""

    def announce(self, topic: Topic) -> None:
        """Wake those who listen, after the commit."""
        with self.connections.transaction(topic):
            pass

    def close(self) -> None:
        """Close connections and listeners of all threads."""
        self.wakeups.close()
        self.connections.close()


def open_store(url: str, settings: Settings, *, upgrade: bool = False) -> SqliteStore:
    """Open the store at a `sqlite:` URL, and set it up when it is empty; an older one is changed only to `upgrade` it.

    Raises:
        StoreUnavailable: it cannot be opened or written, or the SQLite library is too old.
        StoreVersionError: its schema is not one this version can use.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old; {'.'.join(map(str, OLDEST))} or newer is needed"
        )
    path = url.removeprefix("sqlite://").removeprefix("/") or None
    return SqliteStore(url, path, settings, upgrade=upgrade)
