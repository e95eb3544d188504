"""Connections as callers have them, by name and engine: of the drivers, of SQLAlchemy, and of Django.

Each entry of `CALLERS` makes, for the URL of a store, a block that yields a `Caller`: what is given to Penstock, and
how its owner commits and rolls back.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Caller:
    """A connection with an open transaction, or one that opens by itself."""

    given: Any
    commit: Callable[[], None]
    rollback: Callable[[], None]
    execute: Callable[[str], Any]


def on_postgres(url: str) -> bool:
    """Tell of which engine a store is."""
    return url.startswith("postgres")


def plain_url(url: str) -> str:
    """Return the URL of a database for drivers: without our word for the schema."""
    return url.partition("&schema=")[0] if on_postgres(url) else url.removeprefix("sqlite:///")


@contextmanager
def driver(url: str, **options: Any) -> Iterator[Caller]:
    """A connection of the driver, as it is by default."""
    if on_postgres(url):
        import psycopg

        opened: Any = psycopg.connect(plain_url(url), **options)
    else:
        opened = sqlite3.connect(plain_url(url), **options)
    with closing(opened) as connection:
        yield Caller(connection, connection.commit, connection.rollback, connection.execute)


@contextmanager
def driver_by_hand(url: str) -> Iterator[Caller]:
    """A connection of the driver that commits by itself, in a transaction that was begun by hand."""
    options = {"autocommit": True} if on_postgres(url) else {"isolation_level": None}
    with driver(url, **options) as caller:
        caller.execute("BEGIN")
        yield caller


@contextmanager
def driver_with_factories(url: str) -> Iterator[Caller]:
    """A connection of the driver that makes something else of rows, and of texts where it can."""
    with driver(url) as caller:
        if on_postgres(url):
            from psycopg.rows import dict_row
            from psycopg.types.string import ByteaBinaryLoader

            caller.given.row_factory = dict_row
            for name in ("text", "uuid", "int8", "json"):
                caller.given.adapters.register_loader(name, ByteaBinaryLoader)
        else:
            caller.given.row_factory = sqlite3.Row
            caller.given.text_factory = bytes
        yield caller


def engine_for(url: str) -> Any:
    """Return an engine of SQLAlchemy, which keeps no connection open."""
    import sqlalchemy

    found = plain_url(url).replace("postgresql://", "postgresql+psycopg://") if on_postgres(url) else url
    return sqlalchemy.create_engine(found, poolclass=sqlalchemy.NullPool)


@contextmanager
def sqlalchemy_connection(url: str) -> Iterator[Caller]:
    """A connection of SQLAlchemy."""
    engine = engine_for(url)
    with engine.connect() as connection:
        yield Caller(connection, connection.commit, connection.rollback, connection.exec_driver_sql)


@contextmanager
def sqlalchemy_session(url: str) -> Iterator[Caller]:
    """A session of SQLAlchemy."""
    import sqlalchemy
    from sqlalchemy.orm import Session

    engine = engine_for(url)
    with Session(engine) as session:
        yield Caller(session, session.commit, session.rollback, lambda text: session.execute(sqlalchemy.text(text)))


@contextmanager
def django_connection(url: str) -> Iterator[Caller]:
    """A connection of Django in `atomic()`."""
    from django.db import transaction

    connection = django_database(url)
    block = transaction.atomic(using="caller")

    def end(error: BaseException | None) -> None:
        block.__exit__(type(error) if error else None, error, None)

    try:
        block.__enter__()
        with connection.cursor() as cursor:
            yield Caller(connection, lambda: end(None), lambda: end(ValueError()), cursor.execute)
    finally:
        connection.close()


def django_database(url: str) -> Any:
    """Return Django's connection named `caller`, to the database of a store."""
    import django
    from django.conf import settings
    from django.db import connections

    if not settings.configured:
        memory = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        settings.configure(DATABASES=memory, USE_TZ=True, INSTALLED_APPS=[])
        django.setup()
    if on_postgres(url):
        parts = urlsplit(plain_url(url))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        told = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.strip("/"),
            "USER": parts.username or "",
            "HOST": query.get("host") or parts.hostname or "",
            "PORT": str(query.get("port") or parts.port or ""),
        }
    else:
        told = {"ENGINE": "django.db.backends.sqlite3", "NAME": plain_url(url)}
    if "caller" in connections.settings:
        connections["caller"].close()
        del connections["caller"]
    filled = connections.configure_settings({"default": {}, "caller": told})
    connections.settings["caller"] = filled["caller"]
    return connections["caller"]


CALLERS = {
    "driver": driver,
    "driver by hand": driver_by_hand,
    "driver with factories": driver_with_factories,
    "SQLAlchemy connection": sqlalchemy_connection,
    "SQLAlchemy session": sqlalchemy_session,
    "Django": django_connection,
}
TELLING = ("SQLAlchemy connection", "SQLAlchemy session", "Django")
"""Those that say when they have committed."""
