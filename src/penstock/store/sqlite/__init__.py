"""The embedded store: one SQLite file, or SQLite in memory, through the standard library's driver."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.config import Settings
from penstock.errors import StoreUnavailable
from penstock.store.sqlite.claims import SqliteClaims
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import SqliteJobs
from penstock.store.sqlite.migrations import migrate
from penstock.store.sqlite.servers import SqliteServers
from penstock.store.sqlite.slices import SqliteSlices
from penstock.store.sqlite.wakeups import FileWakeups, MemoryWakeups

__all__ = ["SqliteStore", "open_store"]

OLDEST = (3, 35, 0)
"""The first SQLite with RETURNING."""


class SqliteStore(SqliteJobs, SqliteClaims, SqliteSlices, SqliteServers):
    """A store in one SQLite file, or in memory when `path` is None."""

    def __init__(self, url: str, path: str | None, settings: Settings) -> None:
        self.url = url
        self.path = path
        self.wakeups = FileWakeups(f"{path}-live") if path else MemoryWakeups()
        self.connections = Connections(path, durability=settings.durability, after_commit=self.wakeups.announce)
        migrate(self.connections, path or "memory store")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the thread writes in the block happen together, or not at all."""
        with self.connections.transaction():
            yield

    def close(self) -> None:
        """Close connections and listeners of all threads."""
        self.wakeups.close()
        self.connections.close()


def open_store(url: str, settings: Settings) -> SqliteStore:
    """Open the store at a `sqlite:` URL, and set it up when it is empty.

    Raises:
        StoreUnavailable: it cannot be opened or written, or the SQLite library is too old.
        StoreVersionError: its schema is not one this version can use.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old; {'.'.join(map(str, OLDEST))} or newer is needed"
        )
    path = url.removeprefix("sqlite://").removeprefix("/") or None
    return SqliteStore(url, path, settings)
