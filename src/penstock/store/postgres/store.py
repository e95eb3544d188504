"""The store in PostgreSQL: its parts put together."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from penstock.config import Settings
from penstock.store.given import given_connection
from penstock.store.postgres.access import PostgresAccess
from penstock.store.postgres.browsing import PostgresBrowsing
from penstock.store.postgres.claims import PostgresClaims
from penstock.store.postgres.connection import Connections
from penstock.store.postgres.convert import JOB_COLUMNS
from penstock.store.postgres.entries import PostgresEntries
from penstock.store.postgres.floors import Floors
from penstock.store.postgres.hooks import PostgresHooks
from penstock.store.postgres.jobs import PostgresJobs
from penstock.store.postgres.kept import PostgresKept
from penstock.store.postgres.live import LiveLine
from penstock.store.postgres.mending import PostgresMending
from penstock.store.postgres.migrations import migrate
from penstock.store.postgres.place import Place
from penstock.store.postgres.servers import PostgresServers
from penstock.store.postgres.settling import PostgresSettling
from penstock.store.postgres.slices import PostgresSlices
from penstock.store.postgres.trail import PostgresTrail
from penstock.store.postgres.upkeep import PostgresUpkeep
from penstock.store.protocol import Topic
from penstock.store.statements import load_statements

__all__ = ["PostgresStore"]


class PostgresStore(
    PostgresJobs,
    PostgresClaims,
    PostgresSettling,
    PostgresHooks,
    PostgresSlices,
    PostgresMending,
    PostgresServers,
    PostgresEntries,
    PostgresKept,
    PostgresUpkeep,
    PostgresTrail,
    PostgresBrowsing,
    PostgresAccess,
):
    """A store in one schema of a PostgreSQL database."""

    longest_hold = None

    def __init__(self, url: str, settings: Settings, *, upgrade: bool = False) -> None:
        self.url = url
        self.place = Place.of(url)
        self.sql = load_statements(
            "postgres",
            job_columns=", ".join(JOB_COLUMNS),
            job_places=", ".join(["%s"] * len(JOB_COLUMNS)),
            schema=self.place.schema,
        )
        self.connections = Connections(self.place, durability=settings.durability, announce=self.sql["announce"])
        try:
            migrate(self.connections, self.place, upgrade=upgrade)
        except BaseException:
            self.connections.close()
            raise
        self.live = LiveLine(self.place, self.sql)
        self.lost: dict[str, float] = {}
        self.floors = Floors()
        self.slice_floors = Floors()

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
        """Do nothing: writers do not wait for each other."""
        return nullcontext()

    def lending(self) -> AbstractContextManager[Any]:
        """Open a transaction and lend its connection to user code."""
        return self.connections.lending()

    def take_turns(self, name: str) -> None:
        """Wait for others that took turns under this name."""
        self.connections.fetch(self.sql["take_turns"], (f"{self.place.schema} {name}",))

    def announce(self, topic: Topic) -> None:
        """Wake those who listen, after the commit."""
        with self.connections.transaction(topic):
            pass

    def close(self) -> None:
        """Close connections and listeners of all threads."""
        self.live.close()
        self.connections.close()
