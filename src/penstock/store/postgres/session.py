"""A connection to PostgreSQL, and the statements that are run on it."""

import contextlib
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from penstock.store.protocol import Topic
from penstock.store.rows import JobRow

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Whatever the database's default is: what must not be seen twice is locked."""


class Session:
    """A connection, with the transaction that is open on it."""

    def __init__(self, raw: "psycopg.Connection[Row]", begin: str = BEGIN) -> None:
        self.raw = raw
        self._begin = begin
        self.depth = 0
        self.topics: set[Topic] = set()
        self._locked: dict[int, JobRow] = {}

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler is between, so that each transaction begins by setting what else the session would have."""
        return self._begin != BEGIN

    def begin(self) -> None:
        """Begin a transaction."""
        self.run_script(self._begin)

    def cursor(self, *, binary: bool = False) -> "psycopg.Cursor[Row]":
        """Return a cursor."""
        return self.raw.cursor(binary=binary)

    def execute(self, statement: str, values: Values = ()) -> "psycopg.Cursor[Row]":
        """Run a statement; values are bound, and results come in binary form."""
        return self.raw.execute(statement, values, binary=True)

    def fetch(self, statement: str, values: Values = ()) -> list[Row]:
        """Run a statement and return all its rows."""
        return self.execute(statement, values).fetchall()

    def change(self, statement: str, values: Values = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self.execute(statement, values).rowcount

    def change_each(self, statement: str, values: Iterable[Values]) -> list[int]:
        """Run a statement for each of the values, without a round trip for each; return how many rows each changed."""
        with self.cursor(binary=True) as cursor:
            cursor.executemany(statement, values, returning=True)
            return [result.rowcount for result in cursor.results()] if cursor.pgresult else []

    def execute_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a statement for each of the values, without a round trip for each."""
        with self.cursor() as cursor:
            cursor.executemany(statement, values)

    def copy(self, statement: str, rows: Iterable[Sequence[Any]], types: Sequence[str]) -> None:
        """Store many rows by COPY in its binary form, which costs half of what inserting them does."""
        with self.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def run_script(self, script: str) -> None:
        """Run statements without values, one behind the other."""
        self.cursor().execute(script)

    def note_locked(self, rows: Iterable[JobRow]) -> None:
        """Note that the transaction which is open has locked these jobs: they are as they were read."""
        self._locked.update((id(row), row) for row in rows)

    def has_locked(self, rows: Iterable[JobRow]) -> bool:
        """Tell whether the transaction which is open has locked all of these, by the very rows that it read."""
        return all(id(row) in self._locked for row in rows)

    def forget(self) -> None:
        """Forget what was noted of the transaction, which has ended."""
        self.depth = 0
        self.topics.clear()
        self._locked.clear()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Let a refused statement leave the rest of the transaction."""
        self.execute("SAVEPOINT refused")
        try:
            yield
        except psycopg.errors.UniqueViolation:
            self.execute("ROLLBACK TO refused")
            raise
        self.execute("RELEASE refused")

    def is_usable(self) -> bool:
        """Tell whether nothing came in while it lay idle: the server says nothing then but that it closes it."""
        if self.raw.closed:
            return False
        try:
            readable, _, _ = select.select([self.raw.fileno()], [], [], 0)
        except (OSError, ValueError, psycopg.Error):
            return False
        return not readable

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self.raw.close()
