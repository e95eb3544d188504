"""The shared store: one PostgreSQL database for servers on many machines, through psycopg 3."""

from typing import TYPE_CHECKING

from penstock.config import Settings
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from penstock.store.postgres.store import PostgresStore

__all__ = ["open_store"]


def open_store(url: str, settings: Settings, *, upgrade: bool = False) -> "PostgresStore":
    """Open the store at a `postgresql:` URL, and set it up when it is empty; an older one is changed only to `upgrade`.

    Raises:
        MissingExtra: psycopg is not installed.
        ConfigurationError: the URL cannot be read.
        StoreUnavailable: the server cannot be reached, or the database not be used.
        StoreVersionError: its schema is not one this version can use.
    """
    try:
        import psycopg  # noqa: F401  Also fails where libpq is not there.
    except ImportError as error:
        raise MissingExtra("a store in PostgreSQL", "postgres") from error
    from penstock.store.postgres.store import PostgresStore

    return PostgresStore(url, settings, upgrade=upgrade)
