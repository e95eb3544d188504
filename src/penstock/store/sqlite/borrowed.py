"""A connection of the caller's, used as if it were ours: whatever it makes of rows and texts, and however it begins."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from penstock.errors import WrongConnection
from penstock.store.sqlite.convert import DECIMAL_COLLATION, compare_decimals


class Borrowed:
    """Runs statements on a connection that may have factories of its own for rows and texts; they stay as they are."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self._knows_decimals = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.in_transaction

    def execute(self, statement: str, values: Any = ()) -> "_Rows":
        """Run a statement."""
        if DECIMAL_COLLATION in statement and not self._knows_decimals:
            self.raw.create_collation(DECIMAL_COLLATION, compare_decimals)
            self._knows_decimals = True
        cursor = self._cursor()
        with plain_texts(self.raw):  # The first row is fetched with it.
            cursor.execute(statement, values)
        return _Rows(self.raw, cursor)

    def executemany(self, statement: str, values: Iterable[Any]) -> "_Rows":
        """Run a statement for each of the values."""
        return _Rows(self.raw, self._cursor().executemany(statement, values))

    def _cursor(self) -> sqlite3.Cursor:
        # Not as a method of it: its class may be one that makes others.
        cursor = sqlite3.Connection.cursor(self.raw, sqlite3.Cursor)
        cursor.row_factory = None
        return cursor


class _Rows:
    """The rows of a statement, as tuples whose texts are str."""

    def __init__(self, raw: sqlite3.Connection, cursor: sqlite3.Cursor) -> None:
        self._raw = raw
        self._cursor = cursor
        self.rowcount = cursor.rowcount

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        with plain_texts(self._raw):
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        with plain_texts(self._raw):
            return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchone, None)

    def close(self) -> None:
        """Fetch no more."""
        self._cursor.close()


@contextmanager
def plain_texts(raw: sqlite3.Connection) -> Iterator[None]:
    """Have texts read as str in the block."""
    factory = raw.text_factory
    if factory is str:
        yield
        return
    raw.text_factory = str
    try:
        yield
    finally:
        raw.text_factory = factory


@contextmanager
def unchanged(raw: sqlite3.Connection) -> Iterator[None]:
    """Lend a connection of ours: what was set on it is set back at the end of the block, behind the transaction."""
    kept = {name: getattr(raw, name) for name in ("row_factory", "text_factory", "isolation_level")}
    try:
        yield
    finally:
        for name, value in kept.items():
            if getattr(raw, name) != value:  # To set an isolation level, even the same, would commit.
                setattr(raw, name, value)


def refuse_unfit(raw: Any, path: str | None) -> None:
    """Refuse a connection that is not one to the store's own file, with a transaction that is open or will be.

    Raises:
        WrongConnection: it is not.
    """
    shown = path or "memory store"
    if not isinstance(raw, sqlite3.Connection):
        raise WrongConnection(
            f"{shown}: the store is in SQLite; a {type(raw).__module__}.{type(raw).__qualname__} leads elsewhere"
        )
    if path is None:
        raise WrongConnection("a store in memory has no other connection: give none, or keep the store in a file")
    try:
        found = Borrowed(raw).execute("PRAGMA database_list").fetchall()
        begun = raw.in_transaction
    except sqlite3.Error as error:
        raise WrongConnection(f"{shown}: the connection that was given cannot be used: {error}") from error
    file = next((name for _, schema, name in found if schema == "main"), "") or ""
    if not (file and os.path.exists(file) and os.path.samefile(file, path)):
        raise WrongConnection(
            f"{shown}: the connection that was given leads to {file or 'a database in memory'}: a job and what is"
            " stored with it can only be in one database file"
        )
    if not begun and begins_by_hand(raw):
        raise WrongConnection(
            f"{shown}: the connection that was given commits by itself and has no transaction open: begin one"
            " (BEGIN IMMEDIATE, `with transaction.atomic():`, `with session.begin():`)"
        )


def begins_by_hand(raw: sqlite3.Connection) -> bool:
    """Tell whether no transaction of the connection begins but by BEGIN."""
    # Of Python 3.12 and newer; -1 is what `isolation_level` says counts.
    if getattr(raw, "autocommit", -1) is True:
        return True
    return getattr(raw, "autocommit", -1) == -1 and raw.isolation_level is None
