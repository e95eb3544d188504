"""Where a measurement happens: a folder for its files, and stores of its own that nobody else sees."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from penstock.config import configure
from penstock.store import Store, close_stores, current_store


@dataclass(frozen=True)
class Ground:
    """A folder, and the PostgreSQL to measure on; without one, stores are SQLite files in the folder."""

    folder: Path
    postgres: str | None = None

    @classmethod
    def of(cls, folder: Path, url: str) -> "Ground":
        """Return the ground for the kind of store that a URL names; the schema it may name is not touched."""
        if url.startswith("sqlite:"):
            return cls(folder)
        parts = urlsplit(url)
        kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "schema"]
        return cls(folder, urlunsplit(parts._replace(query=urlencode(kept, quote_via=quote))))

    @property
    def engine(self) -> str:
        """The kind of store that is measured, for people."""
        return "SQLite" if self.postgres is None else "PostgreSQL"

    def url(self, name: str = "bench") -> str:
        """Return the URL of a store of this process."""
        if self.postgres is None:
            return f"sqlite:///{self.folder / name}.db"
        return f"{self.postgres}{'&' if '?' in self.postgres else '?'}schema=penstock_bench_{os.getpid()}_{name}"

    @contextmanager
    def fresh_store(self, name: str = "bench") -> Iterator[Store]:
        """Make an empty store that of this process, with full durability; it is removed at the end."""
        url = self.url(name)
        remove_store(url)
        configure(store=url, durability="full")
        try:
            yield current_store()
        finally:
            close_stores()
            remove_store(url)


def remove_store(url: str) -> None:
    """Remove the store of a `Ground` with all that is in it; one that is not there is left."""
    if not url.startswith("sqlite:"):
        _drop_schema(url)
        return
    path = Path(url.removeprefix("sqlite:///"))
    for found in path.parent.glob(f"{path.name}*"):
        with suppress(FileNotFoundError):
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def _drop_schema(url: str) -> None:
    import psycopg

    base, _, schema = url.rpartition("schema=")  # As `Ground.url` made it.
    with psycopg.connect(base.rstrip("?&"), autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
