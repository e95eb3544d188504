"""Where a store in PostgreSQL is: the database of its URL, and the schema in it."""

import re
import zlib
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from penstock.errors import ConfigurationError
from penstock.store import without_password

SCHEMA = "penstock"
"""The schema of a store whose URL names none: beside the application's own tables."""

CONNECT_SECONDS = 10
STATEMENT_MS = 60_000
"""How long one statement may take, waiting for locks of others included."""
LOCK_MS = 10_000
IDLE_IN_TRANSACTION_MS = 12_000
"""A process that stopped in the middle of a transaction holds others up no longer than this: a server that waits for
it must not miss its heartbeats for so long that it gives up."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


class Place(NamedTuple):
    """A database and a schema in it. `shown` is the URL without its password."""

    url: str
    schema: str
    shown: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Return the place that a URL names; `?schema=name` is ours, everything else is libpq's.

        Raises:
            ConfigurationError: the name of the schema is not one of small letters, digits and underscores.
        """
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        schema = dict(query).get("schema", SCHEMA)
        if not _NAME.fullmatch(schema):
            raise ConfigurationError(
                f"store {without_password(url)!r}: a schema is named by small letters, digits and _, not {schema!r}"
            )
        left = urlencode([pair for pair in query if pair[0] != "schema"], quote_via=quote)
        return cls(urlunsplit(parts._replace(query=left)), schema, without_password(url))

    @property
    def channel(self) -> str:
        """The channel of its wake-ups: those of a database are one name space."""
        return f"penstock_{zlib.crc32(self.schema.encode()):08x}"

    def connect_options(self) -> dict[str, Any]:
        """Return what psycopg is told beside the URL: every wait has an end, and a dead network is noticed."""
        return {
            "connect_timeout": CONNECT_SECONDS,
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "application_name": "penstock",
        }
