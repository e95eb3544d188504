"""Connections that callers give: the driver's own below them, and how to be told of their commit.

They are known by the names of their classes, so that nothing has to be imported for it.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from penstock.errors import WrongConnection

Act = Callable[[], None]

KNOWN = "a connection of sqlite3, psycopg, SQLAlchemy or Django, or a session of SQLAlchemy"


class Given(NamedTuple):
    """A connection that was given."""

    driver: Any
    """The connection of the driver, which statements are run on."""
    on_commit: Callable[[Act], None] | None
    """Has something done with the commit; None where nobody tells of it."""


def given_connection(connection: Any) -> Given:
    """Return what is below a connection of a driver, of SQLAlchemy or of Django.

    Raises:
        WrongConnection: it is none of these, it is asynchronous, or it is closed.
    """
    names = _names_of(connection)
    _refuse_asynchronous(connection)
    adapter = next((_ADAPTERS[name] for name in names if name in _ADAPTERS), None)
    if adapter is None:
        raise WrongConnection(f"{names[0]} is no connection that can be joined: give {KNOWN}")
    try:
        given = adapter(connection)
    except Exception as error:
        raise WrongConnection(f"the {names[0]} that was given cannot be used: {error}") from error
    _refuse_asynchronous(given.driver)  # As below what `run_sync` of SQLAlchemy gives.
    return given


def _names_of(connection: Any) -> list[str]:
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in type(connection).__mro__]


def _refuse_asynchronous(connection: Any) -> None:
    names = _names_of(connection)
    if not _ASYNCHRONOUS.isdisjoint(names) or names[0].startswith(_ASYNCHRONOUS_LIBRARIES):
        raise WrongConnection(f"{names[0]} is asynchronous: give {KNOWN}, which are not, in a thread of its own")


def _of_driver(connection: Any) -> Given:
    return Given(connection, None)


def _of_sqlalchemy(connection: Any) -> Given:
    # Of a transaction that has not begun, to its mind, `commit` would do nothing.
    if not connection.in_transaction():
        connection.exec_driver_sql("SELECT 1")
    return Given(connection.connection.driver_connection, _commits_of(connection).add)


def _of_session(session: Any) -> Given:
    return _of_sqlalchemy(session.connection())


def _of_django(connection: Any) -> Given:
    connection.ensure_connection()
    return Given(connection.connection, connection.on_commit if connection.in_atomic_block else None)


_ADAPTERS: dict[str, Callable[[Any], Given]] = {
    "sqlite3.Connection": _of_driver,
    "psycopg.Connection": _of_driver,
    "sqlalchemy.engine.base.Connection": _of_sqlalchemy,
    "sqlalchemy.orm.session.Session": _of_session,
    "sqlalchemy.orm.scoping.scoped_session": _of_session,
    "django.db.backends.base.base.BaseDatabaseWrapper": _of_django,
    "django.utils.connection.ConnectionProxy": _of_django,
}
"""How each class of connections is taken, by its name or that of a base class."""
_ASYNCHRONOUS = frozenset({
    "psycopg.AsyncConnection", "sqlalchemy.ext.asyncio.engine.AsyncConnection",
    "sqlalchemy.ext.asyncio.session.AsyncSession", "sqlalchemy.ext.asyncio.scoping.async_scoped_session",
})  # fmt: skip
_ASYNCHRONOUS_LIBRARIES = ("asyncpg.", "aiosqlite.")


class _Commits:
    """What is to be done with the next commit of a connection of SQLAlchemy.

    It tells of a commit just before it. That is early enough: who is woken by it waits for the lock of the writer.
    """

    def __init__(self, connection: Any) -> None:
        self._acts: list[Act] = []
        event = sys.modules["sqlalchemy"].event
        event.listen(connection, "commit", self._committed)
        event.listen(connection, "rollback", self._rolled_back)

    def add(self, act: Act) -> None:
        """Have something done with the commit; a rollback forgets it."""
        self._acts.append(act)

    def _committed(self, _: Any) -> None:
        acts, self._acts = self._acts, []
        for act in acts:
            act()

    def _rolled_back(self, _: Any) -> None:
        self._acts.clear()


_listened: "WeakKeyDictionary[Any, _Commits]" = WeakKeyDictionary()


def _commits_of(connection: Any) -> _Commits:
    found = _listened.get(connection)
    if found is None:
        found = _listened[connection] = _Commits(connection)
    return found
