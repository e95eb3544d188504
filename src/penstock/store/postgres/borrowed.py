"""A connection of the caller's, used as if it were ours: whatever it makes of rows and values, however it begins."""

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import tuple_row

from penstock.errors import WrongConnection
from penstock.store.postgres.convert import adapters
from penstock.store.postgres.session import Row, Session, Values

Identity = tuple[Any, ...]


class _OurCursor(psycopg.Cursor[Row]):
    """A cursor that reads and writes values as ours do, on any connection."""

    @property
    def adapters(self) -> AdaptersMap:
        """Ours."""
        return adapters()


class BorrowedSession(Session):
    """A session whose transaction is that of somebody else."""

    def __init__(self, raw: "psycopg.Connection[Row]") -> None:
        super().__init__(raw)
        self.depth = 1

    def cursor(self, *, binary: bool = False) -> "psycopg.Cursor[Row]":
        """Return a cursor of ours on it."""
        made = _OurCursor(self.raw, row_factory=tuple_row)
        if binary:
            made.format = Format.BINARY
        return made

    def execute(self, statement: str, values: Values = ()) -> "psycopg.Cursor[Row]":
        """Run a statement, of which nothing stays prepared on the connection."""
        return self.cursor(binary=True).execute(statement, values, prepare=False)


class Gate:
    """Refuses connections that do not lead to the store, or have no transaction to join."""

    def __init__(self, shown: str, schema: str, ask: Callable[[str], list[Row]]) -> None:
        self._shown = shown
        self._ask = ask
        # What two connections to one running server and database have in common, and no others.
        self._question = (
            "SELECT pg_postmaster_start_time()::text, current_database()::text,"  # noqa: S608
            f" (SELECT oid::int8 FROM pg_class WHERE oid = to_regclass('{schema}.jobs'))"
        )
        self._here: Identity | None = None
        self._let_in: WeakSet[Any] = WeakSet()

    def refuse_unfit(self, raw: Any) -> None:
        """Refuse a connection whose transaction cannot be joined.

        Raises:
            WrongConnection: it is no psycopg connection, it is closed, it leads to another database, or it commits by
                itself and has no transaction open.
        """
        if not isinstance(raw, psycopg.Connection):
            raise WrongConnection(
                f"{self._shown}: the store is in PostgreSQL, through psycopg 3;"
                f" a {type(raw).__module__}.{type(raw).__qualname__} leads elsewhere"
            )
        if raw.closed:
            raise WrongConnection(f"{self._shown}: the connection that was given is closed")
        status = raw.info.transaction_status
        if status is TransactionStatus.INERROR:
            raise WrongConnection(
                f"{self._shown}: a statement of the transaction that was given was refused; roll it back first"
            )
        if raw.autocommit and status is TransactionStatus.IDLE:
            raise WrongConnection(
                f"{self._shown}: the connection that was given commits by itself and has no transaction open: begin"
                " one (`with connection.transaction():`, `with transaction.atomic():`, `with session.begin():`)"
            )
        if raw not in self._let_in:
            self._refuse_elsewhere(raw)
            self._let_in.add(raw)

    def _refuse_elsewhere(self, raw: "psycopg.Connection[Row]") -> None:
        try:
            (there,) = BorrowedSession(raw).fetch(self._question)
        except psycopg.Error as error:
            raise WrongConnection(f"{self._shown}: the connection that was given cannot be used: {error}") from error
        if there != self._here:
            (self._here,) = self._ask(self._question)  # The server may have been started anew.
        if there != self._here or there[-1] is None:
            raise WrongConnection(
                f"{self._shown}: the connection that was given leads to database {there[1]!r} of"
                f" {raw.info.host}:{raw.info.port}, where this store is not: a job and what is stored with it can only"
                " be in one database"
            )
        if raw.info.encoding != "utf-8":
            raise WrongConnection(
                f"{self._shown}: the connection that was given has the client_encoding {raw.info.encoding}; use UTF8"
            )
