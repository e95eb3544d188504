"""Connections of a SQLite store: one for each thread, or one for all of them where the store is in memory."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from penstock.errors import PenstockError, StoreBusy, StoreError, StoreFull, StoreUnavailable
from penstock.store.protocol import Topic
from penstock.store.sqlite.lock import WriteLock

PAGE_SIZE = 16_384
"""Measured: payloads of 6 to 65 kB cost a third less than with 4 kB pages, small jobs the same."""
CHECKPOINT_PAGES = 512
"""8 MB of log: longer ones leave the processor's and the kernel's caches, and uploads cost twice."""
BUSY_SECONDS = 30.0
"""How long a lock of somebody who does not know our side file (the sqlite3 shell, a backup) is waited for."""

_DISK = "the disk of the store is full"


class Session:
    """A connection with its transaction."""

    def __init__(self, connection: sqlite3.Connection, lock: WriteLock | None) -> None:
        self.connection = connection
        self.lock = lock
        self.depth = 0
        self.topics: set[Topic] = set()

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
        self._memory = None if path else self._open()

    def session(self) -> Session:
        """Return the calling thread's session."""
        if self._memory:
            return self._memory
        holder: _Holder | None = getattr(self._local, "holder", None)
        if holder is None:
            holder = self._local.holder = _Holder(self._open(), self._drop)
        return holder.session

    @contextmanager
    def transaction(self, *topics: Topic) -> Iterator[sqlite3.Connection]:
        """Join the thread's transaction or make one; on commit, `topics` are announced."""
        with self._guard if self._memory else _nothing, named_errors(self._path):
            session = self.session()
            session.topics.update(topics)
            if session.depth:
                yield session.connection
                return
            with self._outermost(session):
                yield session.connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for a short read."""
        with self._guard if self._memory else _nothing, named_errors(self._path):
            yield self.session().connection

    @contextmanager
    def _outermost(self, session: Session) -> Iterator[None]:
        connection = session.connection
        try:
            with session.lock or _nothing:
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
        with self._guard, named_errors(self._path), session.lock or _nothing:
            # Not execute(): sqlite3 steps such a pragma once and stops.
            session.connection.executescript(script)

    def close(self) -> None:
        """Close the sessions of all threads."""
        with self._guard:
            sessions, self._all = self._all, []
        for session in sessions:
            session.close()
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
        """Set the pragmas; the first two count only while the file is empty."""
        for pragma, value in {
            "page_size": PAGE_SIZE,
            "auto_vacuum": "incremental",
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
