"""Brings the schema of a SQLite store to this version's, each migration once, whoever starts at the same time."""

import sqlite3
from collections.abc import Iterator

from penstock.errors import StoreVersionError
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import index_of
from penstock.store.statements import load_migrations


def migrate(connections: Connections, name: str, *, upgrade: bool = False) -> None:
    """Set up an empty store; leave one that is up to date as it is; bring an older one up to date to `upgrade` it.

    All of it happens in one transaction, so a store is never between two versions.

    Raises:
        StoreVersionError: the store was written by a newer version, or by an older one and needs an upgrade.
    """
    migrations = load_migrations("sqlite_migrations")
    with connections.reading() as connection:
        if _version(connection) == migrations[-1][0]:
            return
    with connections.transaction() as connection:
        present = _version(connection)
        _refuse_other_versions(name, present, migrations[-1][0], upgrade=upgrade)
        if present == 0:
            connection.execute(
                "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                " applied_at TEXT NOT NULL DEFAULT current_timestamp)"
            )
        fields = _indexes_of_fields(connection)
        for version, title, script in migrations:
            if version > present:
                for statement in split_statements(script):
                    connection.execute(statement)
                connection.execute("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", (version, title))
        for gone in fields.keys() - _indexes_of_fields(connection).keys():
            connection.execute(fields[gone])


def _refuse_other_versions(name: str, present: int, newest: int, *, upgrade: bool) -> None:
    if present > newest:
        raise StoreVersionError(
            f"{name} has schema {present}, this Penstock knows {newest}: upgrade Penstock, or choose another --store"
        )
    if 0 < present < newest and not upgrade:
        raise StoreVersionError(f"{name} has schema {present}, this Penstock needs {newest}: penstock store upgrade")


def _version(connection: sqlite3.Connection) -> int:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone()
    if not exists:
        return 0
    version = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()[0]
    return int(version)


def _indexes_of_fields(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the statements that made the indexes of fields, by name: they go with a table that is made anew."""
    named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name LIKE ? ESCAPE '!'"
    return dict(connection.execute(named, (f"{index_of('').replace('_', '!_')}%",)).fetchall())


def split_statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit the open transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
