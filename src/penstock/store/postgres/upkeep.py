"""What is to be known of the store itself, in PostgreSQL."""

from collections.abc import Iterator
from uuid import UUID

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.place import Place
from penstock.store.rows import TableSize


class PostgresUpkeep:
    """Facts, sizes and damage."""

    connections: Connections
    place: Place
    sql: dict[str, str]

    def fact(self, name: str) -> str | None:
        """Return what was noted under a name."""
        rows = self.connections.fetch(self.sql["fact"], (name,))
        return rows[0][0] if rows else None

    @again
    def note_fact(self, name: str, value: str) -> str:
        """Note something for good, unless something is noted under this name."""
        with self.connections.transaction() as session:
            session.execute(self.sql["note_fact"], (name, value))
            return str(session.fetch(self.sql["fact"], (name,))[0][0])

    @again
    def forget_fact(self, name: str) -> None:
        """Take away what was noted under a name."""
        with self.connections.transaction() as session:
            session.execute(self.sql["forget_fact"], (name,))

    def slice_owners(self) -> Iterator[UUID]:
        """Yield the id of each job that slices, outputs or progress are stored of."""
        return (job_id for (job_id,) in self.connections.fetch(self.sql["slice_owners"]))

    def table_sizes(self) -> list[TableSize]:
        """Count the rows of each table; its bytes with indexes and what is out of line."""
        sizes = self.connections.fetch(self.sql["table_sizes"], (self.place.schema,))
        return [TableSize(self.place.shown, name, self._rows_of(name), size) for name, size in sizes]

    def damage(self) -> list[str]:
        """Return nothing: PostgreSQL checks its pages as it reads them, and tells its own log."""
        return []

    def _rows_of(self, name: str) -> int:
        ((count,),) = self.connections.fetch(f'SELECT count(*) FROM {self.place.schema}."{name}"')  # noqa: S608
        return int(count)
