"""Brings the schema of a PostgreSQL store to this version's, each migration once, whoever starts at the same time."""

from penstock.errors import StoreUnavailable, StoreVersionError
from penstock.store.postgres.connection import Connections
from penstock.store.postgres.place import Place
from penstock.store.postgres.session import Session
from penstock.store.statements import load_migrations

OLDEST = 140_000
"""The first version that this was tested with is 15; 14 is the first with infinite numbers."""


def migrate(connections: Connections, place: Place, *, upgrade: bool = False) -> None:
    """Set up an empty store; leave one that is up to date as it is; bring an older one up to date to `upgrade` it.

    All of it happens in one transaction under a lock, so a store is never between two versions.

    Raises:
        StoreUnavailable: the server is too old, or the database keeps text in another encoding than UTF-8.
        StoreVersionError: the store was written by a newer version, or by an older one and needs an upgrade.
    """
    migrations = load_migrations("postgres_migrations")
    newest = migrations[-1][0]
    with connections.transaction() as session:
        _refuse_other_servers(session, place)
        if _version(session, place) == newest:
            return
        # A change of tables that others use may wait longer than a statement may otherwise.
        session.execute("SET LOCAL statement_timeout = 0")
        session.execute("SET LOCAL lock_timeout = '60s'")
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7000))", (place.schema,))
        present = _version(session, place)
        _refuse_other_versions(place, present, newest, upgrade=upgrade)
        if present == 0:
            if not session.fetch(_SCHEMA, (place.schema,)):
                session.execute(f"CREATE SCHEMA {place.schema}")
            session.execute(
                f"CREATE TABLE {place.schema}.schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
        for version, title, script in migrations:
            if version > present:
                session.run_script(script.replace("{schema}", place.schema))
                session.execute(
                    f"INSERT INTO {place.schema}.schema_migrations (version, name) VALUES (%s, %s)",  # noqa: S608
                    (version, title),
                )


def _refuse_other_servers(session: Session, place: Place) -> None:
    ((version, encoding),) = session.fetch("SELECT current_setting('server_version_num')::int, getdatabaseencoding()")
    if version < OLDEST:
        raise StoreUnavailable(f"{place.shown}: PostgreSQL {version // 10_000} is too old; 14 or newer is needed")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"{place.shown}: the database keeps text in {encoding}; make one with createdb --encoding=UTF8 -T template0"
        )


def _refuse_other_versions(place: Place, present: int, newest: int, *, upgrade: bool) -> None:
    if present > newest:
        raise StoreVersionError(
            f"{place.shown} has schema {present}, this Penstock knows {newest}:"
            " upgrade Penstock, or choose another --store"
        )
    if 0 < present < newest and not upgrade:
        raise StoreVersionError(
            f"{place.shown} has schema {present}, this Penstock needs {newest}: penstock store upgrade"
        )


def _version(session: Session, place: Place) -> int:
    if not session.fetch(_TABLE, (place.schema,)):
        return 0
    ((version,),) = session.fetch(f"SELECT coalesce(max(version), 0) FROM {place.schema}.schema_migrations")  # noqa: S608
    return int(version)


# Read from the tables themselves: to_regclass may not have heard yet of what somebody has just made.
_SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
_TABLE = (
    "SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname = %s AND relname = 'schema_migrations'"
)
