"""Connections to PostgreSQL: a few that threads take in turn, and the transaction that a thread has open."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import psycopg

from penstock.errors import StoreClosed, StoreError, StoreUnavailable, WrongConnection
from penstock.store.given import Given
from penstock.store.postgres.borrowed import BorrowedSession, Gate
from penstock.store.postgres.convert import adapters
from penstock.store.postgres.errors import Conflict, Undone, named, named_errors
from penstock.store.postgres.place import IDLE_IN_TRANSACTION_MS, LOCK_MS, STATEMENT_MS, Place
from penstock.store.postgres.session import BEGIN, Row, Session, Values
from penstock.store.postgres.time import measure
from penstock.store.protocol import Topic

P = ParamSpec("P")
R = TypeVar("R")
ITS_OWN_TIMEOUTS = "; ".join(
    f"SET LOCAL {name} TO DEFAULT"
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
)
JOINED = "penstock_joined"
ENDED_INSIDE = (
    "{}: the transaction was ended before its time: who is given a connection leaves commit and rollback to whoever"
    " began"
)
SAID_BEFORE_COMMIT = frozenset({"57P01", "25P03"})
"""What the server says when it ends a connection where nothing is half committed, as `pg_terminate_backend` does."""
_IS_OURS = "pg_backend_pid() = %s"
"""Poolers tell clients ids of their own."""
PREPARED_FROM = 3
"""How often a statement is run on a connection before it stays prepared there: then it need not be parsed again, which
is a third of what a small one costs."""
KEPT = 4
"""Connections that stay open while no thread uses them."""


class Connections:
    """Gives threads connections, opens transactions, and has what was touched announced with each commit."""

    def __init__(self, place: Place, *, durability: str, announce: str) -> None:
        self.place = place
        self._announce = announce
        self._durability = durability
        self._local = threading.local()
        self._idle: list[Session] = []
        self._used: set[Session] = set()
        self._guard = threading.Lock()
        self._closed = False
        self._gate = Gate(place.shown, place.schema, self.fetch_beside)

    @property
    def joined(self) -> Session | None:
        """The session of the transaction that the calling thread has open, or None."""
        return getattr(self._local, "session", None)

    @contextmanager
    def transaction(self, *topics: Topic) -> Iterator[Session]:
        """Join the thread's transaction or make one; with its commit, `topics` are announced."""
        session = self.joined
        if session is not None:
            session.topics.update(topics)
            with named_errors(self.place.shown):
                yield session
            return
        with self._outermost() as session:
            session.topics.update(topics)
            yield session

    @contextmanager
    def joining(self, given: Given) -> Iterator[None]:
        """Have the thread write in the transaction of a connection that was given, and leave that to its owner."""
        present = self.joined
        if present is not None:
            if present.raw is not given.driver:
                raise WrongConnection(f"{self.place.shown}: a transaction of the store is open in this thread already")
            with self._savepoint(present):
                yield
            return
        self._gate.refuse_unfit(given.driver)
        session = self._local.session = BorrowedSession(given.driver)
        try:
            with self._savepoint(session):
                yield
                if session.topics:
                    with named_errors(self.place.shown):
                        session.execute(self._announce, self._words_of(session))
        finally:
            self._local.session = None

    @contextmanager
    def lending(self) -> Iterator["psycopg.Connection[Row]"]:
        """Open a transaction, and lend the connection to user code, under the time-outs of the database itself."""
        with self.transaction() as session:
            if isinstance(session, BorrowedSession):
                yield session.raw
                return
            session.run_script(ITS_OWN_TIMEOUTS)
            lent = self._local.session = BorrowedSession(session.raw)
            lent.topics = session.topics
            before = session.raw.row_factory, session.raw.cursor_factory, session.raw.prepare_threshold
            session.raw.prepare_threshold = None
            try:
                yield session.raw
            finally:
                self._local.session = session
                session.raw.row_factory, session.raw.cursor_factory, session.raw.prepare_threshold = before

    @contextmanager
    def _savepoint(self, session: Session) -> Iterator[None]:
        """Leave nothing behind of a block that raises, and notice where the transaction was ended inside."""
        with named_errors(self.place.shown):
            session.run_script(f"SAVEPOINT {JOINED}")
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error):
                session.run_script(f"ROLLBACK TO {JOINED}; RELEASE {JOINED}")
            raise
        try:
            session.run_script(f"RELEASE {JOINED}")
        except (psycopg.errors.InvalidSavepointSpecification, psycopg.errors.NoActiveSqlTransaction) as error:
            raise WrongConnection(ENDED_INSIDE.format(self.place.shown)) from error
        except psycopg.Error as error:
            raise named(error, self.place.shown) from error

    def _words_of(self, session: Session) -> dict[str, object]:
        return {"channel": self.place.channel, "topics": sorted(map(str, session.topics))}

    def commit_at_once(self, statement: str, values: Sequence[Any]) -> None:
        """Run one statement that is a transaction of its own: one round trip, where others take three.

        Its last value but one is filled in: the channel on which it announces.

        Raises:
            Undone: the server ended the connection and said so: nothing was stored.
            StoreUnavailable: the connection was lost; whether it was stored is not known.
        """
        *before, topics = values
        with named_errors(self.place.shown):
            session = self._take()
        try:
            if session.is_pooled:
                session.begin()
            session.execute(statement, (*before, self.place.channel, topics))
            if session.is_pooled:
                session.execute("COMMIT")
        except psycopg.Error as error:
            self._roll_back(session)
            if session.raw.closed and error.sqlstate not in SAID_BEFORE_COMMIT:
                ours = named(error, self.place.shown)
                raise StoreUnavailable(f"{ours}; whether the transaction was stored is not known") from error
            raise self._undone(error, session) from error
        finally:
            self._give_back(session)

    def touch(self, topic: Topic) -> None:
        """Have `topic` announced with the commit of the transaction that is open."""
        if self.joined is not None:
            self.joined.topics.add(topic)

    def fetch(self, statement: str, values: Values = ()) -> list[Row]:
        """Return the rows of a statement that only reads; asked again once where the connection was lost."""
        session = self.joined
        if session is not None:
            with named_errors(self.place.shown):
                return session.fetch(statement, values)
        return self.fetch_beside(statement, values)

    def fetch_beside(self, statement: str, values: Values = ()) -> list[Row]:
        """Return the rows of a statement that only reads, beside the transaction that may be open."""
        with named_errors(self.place.shown):
            session = self._take()
            try:
                return session.fetch(statement, values)
            except psycopg.Error:
                if not session.raw.closed:
                    raise
            finally:
                self._give_back(session)
            self._drop_idle()
            session = self._take()
            try:
                return session.fetch(statement, values)
            finally:
                self._give_back(session)

    def close(self) -> None:
        """Close all connections, those in use too."""
        with self._guard:
            self._closed = True
            sessions = [*self._idle, *self._used]
            self._idle.clear()
            self._used.clear()
        for session in sessions:
            session.close()

    def open(self) -> Session:
        """Return a new connection, which the caller closes."""
        with named_errors(self.place.shown):
            return connect(self.place, self._durability)

    @contextmanager
    def _outermost(self) -> Iterator[Session]:
        session = self._begin()
        self._local.session = session
        session.depth = 1
        try:
            yield session
        except BaseException as error:
            self._roll_back(session)
            if isinstance(error, psycopg.Error):
                raise self._undone(error, session) from error
            raise
        else:
            self._commit(session)
        finally:
            session.forget()
            self._local.session = None
            self._give_back(session)

    def _begin(self) -> Session:
        """Take a connection and begin; on a new one where the first turns out to be dead."""
        with named_errors(self.place.shown):
            session = self._take()
            try:
                session.begin()
            except psycopg.Error:
                self._give_back(session)
                if not session.raw.closed:
                    raise
                self._drop_idle()
                session = self._take()
                session.begin()
            return session

    def _commit(self, session: Session) -> None:
        if session.raw.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
            # Its COMMIT would be a ROLLBACK, and say nothing of it.
            self._roll_back(session)
            raise StoreError(f"{self.place.shown}: a statement of the transaction was refused; all of it was undone")
        try:
            if session.topics:
                with session.raw.pipeline():
                    session.execute(self._announce, self._words_of(session))
                    session.execute("COMMIT")
            else:
                session.execute("COMMIT")
        except psycopg.Error as error:
            self._roll_back(session)
            ours = named(error, self.place.shown)
            if session.raw.closed:
                raise StoreUnavailable(f"{ours}; whether the transaction was stored is not known") from error
            raise ours from error
        except BaseException:
            self._roll_back(session)
            raise

    def _roll_back(self, session: Session) -> None:
        """End the transaction; where that cannot be, the connection goes and the server ends it."""
        try:
            if not session.raw.closed:
                session.execute("ROLLBACK")
        except psycopg.Error:
            session.close()

    def _undone(self, error: psycopg.Error, session: Session) -> Exception:
        ours = named(error, self.place.shown)
        if isinstance(ours, StoreUnavailable) and session.raw.closed:
            return Undone(str(ours))
        return ours

    def _take(self) -> Session:
        with self._guard:
            if self._closed:
                raise StoreClosed(f"{self.place.shown}: the store is closed")
            while self._idle:
                session = self._idle.pop()
                if session.is_usable():
                    self._used.add(session)
                    return session
                session.close()
        session = connect(self.place, self._durability)
        with self._guard:
            self._used.add(session)
        return session

    def _give_back(self, session: Session) -> None:
        with self._guard:
            self._used.discard(session)
            idle = session.raw.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
            if not self._closed and idle and len(self._idle) < KEPT:
                self._idle.append(session)
                return
        session.close()

    def _drop_idle(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


def connect(place: Place, durability: str = "full") -> Session:
    """Return a new connection in autocommit mode, on which every statement has an end.

    Behind a pooler, what is set for a session may be that of somebody else tomorrow: there it is set in each
    transaction.
    """
    settings = {
        "statement_timeout": STATEMENT_MS,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
        # What is settled and claimed is in memory. At the default of 4 the whole table is read for a thousand ids.
        "random_page_cost": 1.1,
        # A plan that was kept would be that of an empty table when a million rows have come.
        "plan_cache_mode": "force_custom_plan",
        **({} if durability.lower() == "full" else {"synchronous_commit": "off"}),
    }
    connection = psycopg.connect(
        place.url, autocommit=True, prepare_threshold=None, context=adapters(), **place.connect_options()
    )
    try:
        # Not as options of the connection: poolers refuse those.
        names = " || ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        found = connection.execute(f"SELECT CASE WHEN {_IS_OURS} THEN {names} END", (connection.info.backend_pid,))
        pooled = found.fetchall() == [(None,)]
        local = "".join(f"; SET LOCAL {name} = '{value}'" for name, value in settings.items())
        session = Session(connection, f"{BEGIN}{local}" if pooled else BEGIN)
        connection.prepare_threshold = None if pooled else PREPARED_FROM
        measure(lambda: session.fetch("SELECT clock_timestamp()")[0][0])
    except BaseException:
        connection.close()
        raise
    return session


def again(method: Callable[P, R]) -> Callable[P, R]:
    """Call a method of a store once more when it is known that nothing of it was committed.

    That is when the connection was lost before the commit, or the server undid the transaction because another was
    in its way. Within a transaction of the caller's it is for the caller to begin again.
    """

    @functools.wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> R:
        connections: Connections = args[0].connections  # type: ignore[attr-defined]
        if connections.joined is not None:
            return method(*args, **options)
        try:
            return method(*args, **options)
        except (Undone, Conflict):
            return method(*args, **options)

    return call
