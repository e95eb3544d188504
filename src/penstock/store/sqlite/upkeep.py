"""What is to be known of the store itself, in SQLite."""

import sqlite3
from collections.abc import Iterator
from uuid import UUID

from penstock.store.rows import TableSize
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import SQL

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_BYTES = (
    "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) WHERE aggregate = TRUE GROUP BY tbl_name"
)


class SqliteUpkeep:
    """Facts, sizes and damage."""

    connections: Connections
    url: str

    def fact(self, name: str) -> str | None:
        """Return what was noted under a name."""
        with self.connections.reading() as connection:
            row = connection.execute(SQL["fact"], (name,)).fetchone()
        return row[0] if row else None

    def note_fact(self, name: str, value: str) -> str:
        """Note something for good, unless something is noted under this name."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["note_fact"], (name, value))
            return str(connection.execute(SQL["fact"], (name,)).fetchone()[0])

    def forget_fact(self, name: str) -> None:
        """Take away what was noted under a name."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["forget_fact"], (name,))

    def slice_owners(self) -> Iterator[UUID]:
        """Yield the id of each job that slices, outputs or progress are stored of."""
        with self.connections.reading() as connection:
            found = connection.execute(SQL["slice_owners"]).fetchall()
        return (UUID(bytes=key) for (key,) in found)

    def table_sizes(self) -> list[TableSize]:
        """Count the rows of each table; its bytes where SQLite was built to tell them."""
        with self.connections.reading() as connection:
            names = [name for (name,) in connection.execute(_TABLES).fetchall()]
            counts = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608
            sizes = _bytes_of_tables(connection)
        return [TableSize(self.url, name, counts[name], sizes.get(name)) for name in names]

    def damage(self) -> list[str]:
        """Have SQLite check its pages and indexes."""
        with self.connections.reading() as connection:
            told = [row[0] for row in connection.execute("PRAGMA quick_check").fetchall()]
        return [] if told == ["ok"] else told


def _bytes_of_tables(connection: sqlite3.Connection) -> dict[str, int]:
    try:
        return dict(connection.execute(_BYTES).fetchall())
    except sqlite3.OperationalError:  # Built without it.
        return {}
