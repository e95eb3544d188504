"""What a round with servers takes place in: two servers on one store, jobs of all sorts, and somebody who restarts
servers that have ended, as a service manager does.
"""

import contextlib
import os
import random
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.proxy import StallingProxy
from tests.postgres import OwnPostgres
from tests.process.lab import Ended, Lab, Started

SERVERS = 2
LINES = 3_000
SMALL = 80
CREATED_AT_ONCE = 20
"""Small jobs that are made in one call, all or none of them."""
DEAD_AFTER = 3
"""Seconds without a heartbeat after which a server is dead."""

CLOCK = """
    # Imported by every interpreter started here: the machine's clock is off by what a file says.
    import datetime

    from penstock import clock

    _now = clock.machine_now

    def machine_now():
        try:
            with open("clock") as file:
                return _now() + datetime.timedelta(seconds=float(file.read() or 0))
        except OSError:
            return _now()

    clock.machine_now = machine_now
"""

JOBS = """
    import fcntl, os, time
    from penstock import BatchJob, Cron, Job, field, hooks

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*words):
        os.write(LOG, (" ".join(map(str, words)) + "\\n").encode())

    class Small(Job):
        collect_output = True
        destroy_on_complete = False
        n: int = 0

        def perform(self):
            # Held as long as this process lives and performs: who comes meanwhile sees that it runs twice.
            with open(f"held/{self.id}", "w") as held:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    note("twice", self.id)
                note("small", self.id)
                time.sleep(0.004)
            return self.n * 2

        def after_complete(self):
            note("told", self.id)

    class Turned(BatchJob):
        slice_size = 20
        collect_output = True
        destroy_on_complete = False

        def before_batch(self):
            note("before", self.id)

        def perform(self, line):
            time.sleep(0.0003)
            return line[::-1]

        def after_batch(self):
            note("after", self.id)

    class Ticking(Cron, Job):
        cron_schedule = "* * * * * *"
        destroy_on_complete = True

        def perform(self):
            note("tick", self.id, self.scheduled_at.isoformat())
"""

LOAD = f"""
    # Makes work, and says what was made when it is stored. Of what it has not said nothing is asked but that it is
    # there whole or not at all.
    import sys
    from jobs import *

    def make(number):
        jobs = [Small(n=number + n) for n in range({CREATED_AT_ONCE})]
        Small.create_many(jobs)
        for job in jobs:
            print("small", job.id, job.n, flush=True)

    Ticking.ensure()
    print("ticking", flush=True)
    make(0)
    job = Turned()
    job.upload("in.txt")
    job.save()
    print("turned", job.id, flush=True)
    for number in range({CREATED_AT_ONCE}, {SMALL}, {CREATED_AT_ONCE}):
        make(number)
"""


@dataclass
class Scene:
    """See the module."""

    lab: Lab
    chance: random.Random
    postgres: OwnPostgres | None = None
    proxy: StallingProxy | None = None
    disk: Path | None = None
    """Where the store lies in a file system of its own that can be made small."""
    faults: str = ""
    """What the first server that is started has in `PENSTOCK_FAULT`."""
    servers: list[Started] = field(default_factory=list)
    clients: list[Started] = field(default_factory=list)
    """One after the other: where one broke off, the next begins anew."""
    suspended: bool = False
    """Whether somebody was stopped and woken: such a one may perform what another performs too."""
    errors: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The sort of store."""
        return "SQLite" if self.postgres is None else "PostgreSQL"

    def prepare(self) -> None:
        """Write the files."""
        self.lab.module("jobs", JOBS)
        self.lab.module("sitecustomize", CLOCK)
        self.lab.lines("in.txt", LINES)
        for name in ("held", "marks"):
            self.lab.path(name).mkdir(exist_ok=True)
        self.lab.extra.update(
            PENSTOCK_DEAD_AFTER=str(DEAD_AFTER),
            PENSTOCK_FAULT_MARKS=str(self.lab.path("marks")),
            PYTHONPATH=str(self.lab.folder),
        )

    def serve(self) -> None:
        """Start servers until there are as many as there should be. Those that ended by themselves are replaced."""
        self.servers = [server for server in self.servers if server.process.poll() is None]
        while len(self.servers) < SERVERS:
            faults, self.faults = self.faults, ""
            words = ("--app", "jobs", "--workers", "2", "--processes", "1")
            self.servers.append(self.lab.start(*words, command="server", env=_armed(faults)))

    def load(self, faults: str = "") -> None:
        """Start the client that makes work."""
        self.clients.append(self.lab.start_python(LOAD, env=_armed(faults)))

    def has_loaded(self) -> bool:
        """Tell whether all work is made; where the client broke off, another is started."""
        code = self.clients[-1].process.poll()
        if code:
            self.load()
        return code == 0

    def running(self) -> set[int]:
        """Return the process ids of the servers that run."""
        return {server.process.pid for server in self.servers if server.process.poll() is None}

    def server(self) -> Started | None:
        """Return one of the servers that run."""
        running = [server for server in self.servers if server.process.poll() is None]
        return self.chance.choice(running) if running else None

    def worker(self) -> int | None:
        """Return the id of a worker of some server."""
        server = self.server()
        workers = server.workers() if server else []
        return self.chance.choice(workers) if workers else None

    def stop(self) -> bool:
        """Stop the servers; those that are well say so by their exit code.

        Returns:
            Whether all is over: False when one met its fault point on the way out, and others are to look after it.
        """
        self.lab.path("clock").unlink(missing_ok=True)
        met = self._points_met()
        running = [server for server in self.servers if server.process.poll() is None]
        for server in running:
            server.signal(signal.SIGTERM)
        for server in running:
            try:
                ended = server.end(30)
            except AssertionError as error:
                self.errors.append(f"a server does not stop: {error}")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.process.pid, signal.SIGKILL)
                continue
            at_point = ended.code == -signal.SIGKILL and self._points_met() != met
            if ended.code and not at_point and not _left_by_itself(ended):
                self.errors.append(f"a server that was told to stop exits {ended.code}: {ended.err[-500:]}")
        self.servers.clear()
        return self._points_met() == met

    def _points_met(self) -> set[str]:
        return {path.name for path in self.lab.path("marks").iterdir()}

    def shrink_disk(self, size: str) -> None:
        """Make the disk of the store as small as that, or as large."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.disk)], check=True)

    def used_kib(self) -> int:
        """Return how much of the disk is used, in KiB."""
        assert self.disk is not None
        told = os.statvfs(self.disk)
        return (told.f_blocks - told.f_bfree) * told.f_frsize // 1024


def _left_by_itself(ended: Ended) -> bool:
    """Tell whether a server was told to stop before it had begun, or when it had given up just then."""
    unborn = ended.code == -signal.SIGTERM and " started: " not in ended.err
    return unborn or "was taken for dead" in ended.err


def _armed(faults: str) -> dict[str, str]:
    return {"PENSTOCK_FAULT": faults} if faults else {}
