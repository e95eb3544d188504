"""Watched folders in SQLite."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.clock import from_micros
from penstock.errors import DuplicateEntry, StoreError
from penstock.store.rows import EntryRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import stored
from penstock.store.sqlite.jobs import SQL


class SqliteEntries:
    """Watched folders, one row each."""

    connections: Connections

    def insert_entry(self, row: EntryRow) -> None:
        """Store a new entry."""
        with _told_of_duplicates(), self.connections.transaction() as connection:
            connection.execute(SQL["insert_entry"], {name: stored(value) for name, value in row._asdict().items()})

    def entries(self) -> list[EntryRow]:
        """Return all entries, by name."""
        with self.connections.reading() as connection:
            return [_entry_row(row) for row in connection.execute(SQL["entries"]).fetchall()]

    def entry(self, name: str) -> EntryRow | None:
        """Return an entry, or None."""
        with self.connections.reading() as connection:
            row = connection.execute(SQL["entry"], (name,)).fetchone()
        return _entry_row(row) if row else None

    def update_entry(self, name: str, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of an entry that still has the values expected."""
        expected = {"name": name, **(expect or {})}
        unknown = (changes.keys() | expected.keys()) - set(EntryRow._fields)
        if unknown:
            raise ValueError(f"an entry has no column {min(unknown)!r}")
        with _told_of_duplicates(), self.connections.transaction() as connection:
            written = connection.execute(
                f"UPDATE dirmon_entries SET {', '.join(f'{column} = ?' for column in changes)}"  # noqa: S608
                f" WHERE {' AND '.join(f'{column} IS ?' for column in expected)}",
                [stored(value) for value in (*changes.values(), *expected.values())],
            )
        return written.rowcount > 0

    def delete_entry(self, name: str) -> bool:
        """Remove an entry."""
        with self.connections.transaction() as connection:
            return connection.execute(SQL["delete_entry"], (name,)).rowcount > 0


@contextmanager
def _told_of_duplicates() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        found = error.__cause__
        for column in ("name", "pattern"):
            if isinstance(found, sqlite3.IntegrityError) and f"dirmon_entries.{column}" in str(found):
                raise DuplicateEntry(f"another entry has this {column} already") from None
        raise


def _entry_row(row: tuple[Any, ...]) -> EntryRow:
    return EntryRow._make((*row[:-1], from_micros(row[-1])))
