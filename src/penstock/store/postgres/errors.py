"""Errors of PostgreSQL and of the way to it as errors of Penstock."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from penstock.errors import (
    DuplicateEntry,
    DuplicateJob,
    PenstockError,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
)


class Undone(StoreUnavailable):
    """The connection was lost before anything was committed: what was asked for may be asked for again."""


class Conflict(StoreBusy):
    """The server undid the transaction because others were in its way: it may be tried again."""


_BY_STATE: dict[str, tuple[type[StoreError], str]] = {
    "40001": (Conflict, "the transaction met another one; it was undone and may be tried again"),
    "40P01": (Conflict, "the transaction and another one waited for each other; it was undone and may be tried again"),
    "55P03": (StoreBusy, "somebody holds a lock for too long"),
    "57014": (StoreBusy, "a statement took too long; somebody may hold a lock, or the server is overloaded"),
    "53100": (StoreFull, "the disk of the server is full; make room and try again, nothing that was stored is lost"),
    "53200": (StoreBusy, "the server has no memory left"),
    "53300": (StoreBusy, "the server has no connection free; raise max_connections, or run fewer processes"),
    "25P03": (StoreUnavailable, "the process did nothing in a transaction for too long; the server ended it"),
    "25006": (StoreUnavailable, "the server is read only; it may be a standby"),
    "42501": (StoreUnavailable, "the user of the URL may not do this; see docs/postgresql.md for what it needs"),
    "3D000": (StoreUnavailable, "there is no such database; make it with createdb, or choose another --store"),
    "28P01": (StoreUnavailable, "the password is wrong"),
    "28000": (StoreUnavailable, "the server does not let this user in"),
    "57P03": (StoreUnavailable, "the server is starting or stopping; try again"),
}
_BY_TEXT: tuple[tuple[str, str], ...] = (
    # Of a connection that was not made libpq gives no state, only the text.
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("the database system is", "57P03"),
)
_TAKEN: dict[str, tuple[type[PenstockError], str]] = {
    "jobs_unique": (DuplicateJob, "a job with the same unique key is queued, running or paused"),
    "dirmon_entries_pkey": (DuplicateEntry, "another entry has this name already"),
    "dirmon_entries_pattern": (DuplicateEntry, "another entry has this pattern already"),
}
"""What is there once only, by the name of what keeps it so."""
_GONE = ("08", "57P")
"""Classes of states that mean that the connection is over, or none could be made."""


@contextmanager
def named_errors(shown: str) -> Iterator[None]:
    """Turn errors of psycopg into ours, naming the store."""
    try:
        yield
    except PenstockError:
        raise
    except psycopg.Error as error:
        raise named(error, shown) from error


def named(error: psycopg.Error, shown: str) -> PenstockError:
    """Return our error for one of psycopg."""
    state = error.sqlstate or ""
    text = " ".join(str(error).split())
    if not state and isinstance(error, psycopg.OperationalError):
        state = _state_of_text(text)
    if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name in _TAKEN:
        duplicate, meaning = _TAKEN[error.diag.constraint_name]
        return duplicate(meaning)
    if state in _BY_STATE:
        kind, meaning = _BY_STATE[state]
        return kind(f"{shown}: {meaning} ({text})")
    if isinstance(error, psycopg.IntegrityError | psycopg.DataError):
        return StoreError(f"{shown}: the store refused a value ({text})")
    if state.startswith(_GONE) or (isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not state):
        return StoreUnavailable(f"{shown}: the store cannot be reached; is PostgreSQL running there? ({text})")
    return StoreError(f"{shown}: the store refused a statement ({text})")


def _state_of_text(text: str) -> str:
    if 'database "' in text and "does not exist" in text:
        return "3D000"
    return next((state for words, state in _BY_TEXT if words in text), "")
