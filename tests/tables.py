"""What stands in a store's tables, read and changed past its methods, on whichever engine the tests run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.store import Store

TABLES = ("jobs", "slices", "slice_payloads", "output_slices", "progress")


def is_sqlite(store: Store) -> bool:
    """Tell whether a store is a SQLite file."""
    return store.url.startswith("sqlite:")


def select(store: Store, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement in which `?` stands for a value."""
    if is_sqlite(store):
        with store.connections.reading() as connection:  # type: ignore[attr-defined]
            return list(connection.execute(statement, _for_sqlite(values)))
    with _postgres(store) as connection:
        return list(connection.execute(statement.replace("?", "%s"), values))


def change(store: Store, statement: str, *values: Any) -> int:
    """Run a statement in a transaction of its own, and return how many rows it changed."""
    if is_sqlite(store):
        with store.transaction(), store.connections.transaction() as connection:  # type: ignore[attr-defined]
            return int(connection.execute(statement, _for_sqlite(values)).rowcount)
    with _postgres(store) as connection:
        return int(connection.execute(statement.replace("?", "%s"), values).rowcount)


def counts(store: Store) -> dict[str, int]:
    """Return how many rows there are in each table of jobs and slices."""
    return {name: select(store, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES}


def contents(store: Store) -> bytes:
    """Return all that is stored: of SQLite the file, its log and what lies beside them; else every table, as it is."""
    if is_sqlite(store):
        path = Path(store.url.removeprefix("sqlite:///"))
        return b"".join(found.read_bytes() for found in path.parent.glob(f"{path.name}*") if found.is_file())
    schema = store.place.schema  # type: ignore[attr-defined]
    with _postgres(store) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
        found = []
        for (name,) in tables:
            with connection.cursor().copy(f"COPY {name} TO STDOUT (FORMAT binary)") as copied:
                found += [bytes(part) for part in copied]
    return b"".join(found)


def size(url: str) -> int:
    """Return how many bytes a store takes, log included; 0 where it is not there yet."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        return sum(found.stat().st_size for found in path.parent.glob(f"{path.name}*") if found.is_file())
    import psycopg

    from penstock.store.postgres.place import Place

    place = Place.of(url)
    total = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = %s"
    )
    with psycopg.connect(place.url) as connection:
        return int(connection.execute(total, [place.schema]).fetchone()[0])  # type: ignore[index]


def _for_sqlite(values: tuple[Any, ...]) -> list[Any]:
    return [value.bytes if isinstance(value, UUID) else value for value in values]


@contextmanager
def _postgres(store: Store) -> Iterator[Any]:
    import psycopg

    place = store.place  # type: ignore[attr-defined]
    with psycopg.connect(place.url, options=f"-c search_path={place.schema}") as connection:
        yield connection
