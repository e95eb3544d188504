"""A real PgBouncer in transaction mode, in front of a PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.postgres import NOBODY, OwnPostgres

INSTALL = "apt-get install pgbouncer, or make packages"


@contextmanager
def pooler(postgres: OwnPostgres, connections: int = 4) -> Iterator[str]:
    """Start a PgBouncer that has so many connections to the server, and yield the URL of the database through it.

    Skips where it is not installed, but never where `CI` is set.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        assert not os.environ.get("CI"), f"PgBouncer is not installed: {INSTALL}"
        pytest.skip(f"PgBouncer is not installed: {INSTALL}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="penstock-pooler-"))
    folder.chmod(0o755)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host={postgres.folder} dbname=postgres user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 100\n"
    )
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-q", folder / "pgbouncer.ini"], stdout=log, stderr=log, cwd="/", **user)
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
