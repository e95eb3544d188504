"""Watched folders in PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import stored
from penstock.store.postgres.place import Place
from penstock.store.rows import EntryRow


class PostgresEntries:
    """Watched folders, one row each."""

    connections: Connections
    place: Place
    sql: dict[str, str]

    @again
    def insert_entry(self, row: EntryRow) -> None:
        """Store a new entry."""
        with self.connections.transaction() as session:
            session.execute(self.sql["insert_entry"], {name: stored(value) for name, value in row._asdict().items()})

    def entries(self) -> list[EntryRow]:
        """Return all entries, by name."""
        return list(map(EntryRow._make, self.connections.fetch(self.sql["entries"])))

    def entry(self, name: str) -> EntryRow | None:
        """Return an entry, or None."""
        rows = self.connections.fetch(self.sql["entry"], (name,))
        return EntryRow._make(rows[0]) if rows else None

    @again
    def update_entry(self, name: str, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of an entry that still has the values expected."""
        expected = {"name": name, **(expect or {})}
        unknown = (changes.keys() | expected.keys()) - set(EntryRow._fields)
        if unknown:
            raise ValueError(f"an entry has no column {min(unknown)!r}")
        statement = (
            f"UPDATE {self.place.schema}.dirmon_entries SET {', '.join(f'{column} = %s' for column in changes)}"  # noqa: S608
            f" WHERE {' AND '.join(f'{column} IS NOT DISTINCT FROM %s' for column in expected)}"
        )
        with self.connections.transaction() as session:
            return session.change(statement, [stored(value) for value in (*changes.values(), *expected.values())]) > 0

    @again
    def delete_entry(self, name: str) -> bool:
        """Remove an entry."""
        with self.connections.transaction() as session:
            return session.change(self.sql["delete_entry"], (name,)) > 0
