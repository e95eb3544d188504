"""Connections of a SQLite store: one for each thread, or one for all of them where the store is in memory."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any, cast

from penstock.errors import (
    DuplicateJob,
    PenstockError,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreUnavailable,
    WrongConnection,
)
from penstock.store.given import Given
from penstock.store.protocol import Topic
from penstock.store.sqlite.borrowed import Borrowed, refuse_unfit, unchanged
from penstock.store.sqlite.convert import DECIMAL_COLLATION, compare_decimals
from penstock.store.sqlite.lock import WriteLock

PAGE_SIZE = 16_384
"""Measured: payloads of 6 to 65 kB cost a third less than with 4 kB pages, small jobs the same."""
CHECKPOINT_PAGES = 512
"""8 MB of log: longer ones leave the processor's and the kernel's caches, and uploads cost twice."""
BUSY_SECONDS = 30.0
"""How long a lock of somebody who does not know our side file (the sqlite3 shell, a backup) is waited for."""
CLOSE_SECONDS = 5.0
"""How long a session that another thread is using is waited for before it is left to that thread."""
RESERVE_SECONDS = 600.0
"""How long one that reserves the store waits for the others that do. It holds nothing meanwhile."""
JOINED = "penstock_joined"
ENDED_INSIDE = (
    "{}: the transaction was ended before its time ({}): who is given a connection leaves commit and rollback to"
    " whoever began"
)

_DISK = "the disk of the store is full"


class Session:
    """A connection with its transaction."""

    def __init__(self, connection: sqlite3.Connection, lock: WriteLock | None) -> None:
        self.connection = self.raw = connection
        self.lock = lock
        self.use = threading.RLock()
        """Held while the connection is used: SQLite crashes where it is closed under somebody."""
        self.is_reserved = False
        """Whether the thread has taken the lock already."""
        self.depth = 0
        self.topics: set[Topic] = set()

    @classmethod
    def borrowing(cls, raw: sqlite3.Connection, topics: set[Topic] | None = None) -> "Session":
        """Return a session whose transaction is that of somebody else."""
        session = cls(raw, None)
        session.connection = cast("sqlite3.Connection", Borrowed(raw))
        session.depth = 1
        session.topics = set() if topics is None else topics
        return session

    def close(self) -> None:
        """Close the connection, without waiting.

        The last connection to close a file checkpoints it, so the lock is held. When it cannot be had at once,
        whoever has it has the file open too: then ours is not the last.
        """
        if self.lock is None:
            self.connection.close()
            return
        self.lock.acquire_now()
        try:
            self.connection.close()
        finally:
            self.lock.close()

    def close_unused(self) -> None:
        """Close it once nobody uses it; one that is used for long is left to its thread, and goes with that."""
        if self.use.acquire(timeout=CLOSE_SECONDS):
            try:
                self.close()
            finally:
                self.use.release()


class _Holder:
    """What a thread holds its session by: when the thread ends, so does the session."""

    def __init__(self, session: Session, drop: Callable[[Session], None]) -> None:
        self.session = session
        self._drop = drop

    def __del__(self) -> None:
        self._drop(self.session)


class Connections:
    """Gives each thread its session, opens transactions, and says what was touched after each commit."""

    def __init__(self, path: str | None, *, durability: str, after_commit: Callable[[set[Topic]], None]) -> None:
        self._path = path
        self._durability = durability
        self._after_commit = after_commit
        self._local = threading.local()
        self._all: list[Session] = []
        self._guard = threading.RLock()
        self._closed = False
        self._memory = None if path else self._open()

    def session(self) -> Session:
        """Return the calling thread's session.

        Raises:
            StoreClosed: all were closed.
        """
        self.refuse_closed()
        joined: Session | None = getattr(self._local, "joined", None)
        if joined is not None:
            return joined
        if self._memory:
            return self._memory
        holder: _Holder | None = getattr(self._local, "holder", None)
        if holder is None:
            holder = self._local.holder = _Holder(self._open(), self._drop)
        return holder.session

    def refuse_closed(self) -> None:
        """Do nothing, unless this was closed. To open it again would bring back a file that is gone since.

        Raises:
            StoreClosed: it was.
        """
        if self._closed:
            raise StoreClosed(f"{self._path or 'memory store'}: the store is closed")

    @contextmanager
    def transaction(self, *topics: Topic) -> Iterator[sqlite3.Connection]:
        """Join the thread's transaction or make one; on commit, `topics` are announced."""
        session = self.session()
        with session.use, named_errors(self._path):
            self.refuse_closed()
            session.topics.update(topics)
            if session.depth:
                yield session.connection
                return
            with self._outermost(session):
                yield session.connection

    @contextmanager
    def joining(self, given: Given) -> Iterator[None]:
        """Have the thread write in the transaction of a connection that was given, and leave that to its owner."""
        present = self.session()
        if present.depth:
            if present.raw is not given.driver:
                raise WrongConnection(f"{self.shown}: a transaction of the store is open in this thread already")
            with self._savepoint(present):
                yield
            return
        refuse_unfit(given.driver, self._path)
        session = self._local.joined = Session.borrowing(given.driver)
        try:
            with self._savepoint(session):
                yield
        finally:
            self._local.joined = None
        if session.topics and given.on_commit is not None:
            given.on_commit(partial(self._after_commit, session.topics))

    @contextmanager
    def reserving(self) -> Iterator[None]:
        """Let no other writer of Penstock begin as long as the block lasts.

        One block of all processes waits for it at a time, so that whoever has a short transaction to make, as a
        dispatcher that is to show it lives, never waits for more than one of them.
        """
        if self._memory or self.session().lock is None:
            yield
            return
        session = self.session()
        assert session.lock is not None
        with closing(WriteLock(f"{self._path}-work-lock", RESERVE_SECONDS)) as first, first, session.lock:
            session.is_reserved = True
            try:
                yield
            finally:
                session.is_reserved = False

    @contextmanager
    def lending(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, and lend the connection to user code for as long as it lasts."""
        session = self.session()
        with unchanged(session.raw), self.transaction():
            if isinstance(session.connection, Borrowed):
                yield session.raw
                return
            self._local.joined = Session.borrowing(session.raw, session.topics)
            try:
                yield session.raw
            finally:
                self._local.joined = None

    @property
    def shown(self) -> str:
        """The store's name in messages."""
        return self._path or "memory store"

    @contextmanager
    def _savepoint(self, session: Session) -> Iterator[None]:
        """Leave nothing behind of a block that raises, and notice where the transaction was ended inside."""
        connection = session.connection
        with named_errors(self._path):
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"SAVEPOINT {JOINED}")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute(f"ROLLBACK TO {JOINED}")
                connection.execute(f"RELEASE {JOINED}")
            raise
        try:
            connection.execute(f"RELEASE {JOINED}")
        except sqlite3.Error as error:
            raise WrongConnection(ENDED_INSIDE.format(self.shown, error)) from error

    def touch(self, topic: Topic) -> None:
        """Have `topic` announced when the transaction that is open commits."""
        self.session().topics.add(topic)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for a short read."""
        session = self.session()
        with session.use, named_errors(self._path):
            self.refuse_closed()
            yield session.connection

    @contextmanager
    def _outermost(self, session: Session) -> Iterator[None]:
        connection = session.connection
        try:
            with (None if session.is_reserved else session.lock) or _nothing:
                connection.execute("BEGIN IMMEDIATE")
                session.depth = 1
                try:
                    yield
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except BaseException:
            session.topics.clear()
            raise
        finally:
            session.depth = 0
        touched, session.topics = session.topics, set()
        if touched:
            self._after_commit(touched)

    def run_script(self, script: str) -> None:
        """Run statements that cannot be in a transaction, under the lock."""
        session = self.session()
        with session.use, named_errors(self._path), session.lock or _nothing:
            # Not execute(): sqlite3 steps such a pragma once and stops.
            session.connection.executescript(script)

    def close(self) -> None:
        """Close the sessions of all threads; there are no others from then on."""
        with self._guard:
            self._closed = True
            sessions, self._all = self._all, []
        for session in sessions:
            session.close_unused()
        self._local = threading.local()

    def _open(self) -> Session:
        with named_errors(self._path), ExitStack() as undo:
            lock = WriteLock(f"{self._path}-lock") if self._path else None
            if lock:
                undo.callback(lock.close)
            connection = sqlite3.connect(
                self._path or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            undo.callback(connection.close)
            connection.create_collation(DECIMAL_COLLATION, compare_decimals)
            with lock or _nothing:
                self._prepare(connection)
            if self._path:
                os.chmod(self._path, 0o600)
            undo.pop_all()
        session = Session(connection, lock)
        with self._guard:
            self._all.append(session)
        return session

    def _drop(self, session: Session) -> None:
        """Close the session of a thread that has ended."""
        with self._guard:
            if session not in self._all:
                return
            self._all.remove(session)
        session.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Set the pragmas."""
        ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
        # To set the second again would be a write, and wait for a transaction of the caller's that is open already.
        of_an_empty_file = {} if pages else {"page_size": PAGE_SIZE, "auto_vacuum": "incremental"}
        for pragma, value in {
            **of_an_empty_file,
            "journal_mode": "wal",
            "synchronous": self._durability,
            "wal_autocheckpoint": CHECKPOINT_PAGES,
            "cache_size": -4_000,
            # Some systems build SQLite to overwrite what is deleted: measured, that made dropping slices 15 times
            # slower. "fast" still overwrites where it costs no extra writing.
            "secure_delete": "fast",
        }.items():
            connection.execute(f"PRAGMA {pragma} = {value}").fetchall()


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_nothing = _Nothing()

_BY_CODE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreFull, f"{_DISK}; make room and try again, nothing that was stored is lost"),
    sqlite3.SQLITE_BUSY: (StoreBusy, "another program holds the store locked"),
    sqlite3.SQLITE_LOCKED: (StoreBusy, "another program holds the store locked"),
    sqlite3.SQLITE_READONLY: (StoreUnavailable, "the store cannot be written; check who owns it"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreUnavailable,
        "the store cannot be opened; its folder must exist and be writable",
    ),
    sqlite3.SQLITE_PERM: (StoreUnavailable, "the store may not be opened; check who owns it"),
    sqlite3.SQLITE_NOTADB: (StoreUnavailable, "the file is not a SQLite database"),
    sqlite3.SQLITE_CORRUPT: (StoreUnavailable, "the store is damaged; restore it from a backup"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "the disk of the store gives errors, or is full"),
}


@contextmanager
def named_errors(path: str | None) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into ours, naming the store."""
    try:
        yield
    except PenstockError:
        raise
    except sqlite3.IntegrityError as error:
        if "unique_key" not in str(error):
            raise StoreError(f"{path or 'memory store'}: the store refused a value ({error})") from error
        raise DuplicateJob("a job with the same unique key is queued, running or paused") from error
    except sqlite3.Error as error:
        # Extended codes carry the plain one in their low byte.
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        kind, meaning = _BY_CODE.get(code, (StoreError, "the store refused a statement"))
        raise kind(f"{path or 'memory store'}: {meaning} ({error})") from error
    except FileNotFoundError as error:
        if path is None or error.filename is None or not str(error.filename).startswith(path):
            raise
        raise StoreUnavailable(
            f"{path}: the folder of the store does not exist; make it, or choose another --store"
        ) from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        if path is None or error.filename is None or not str(error.filename).startswith(path):
            raise
        raise StoreUnavailable(
            f"{path}: the store cannot be written ({error.strerror}); choose another --store"
        ) from error


def placeholders(values: Any) -> str:
    """Return `?, ?, …`, one for each value."""
    return ", ".join("?" * len(values))
