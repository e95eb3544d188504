"""A laboratory with servers in it: jobs are made in other processes, and looked at in the store."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import dedent
from uuid import UUID

from tests.process.lab import Lab, Started, wait_for

from penstock.states import State
from penstock.store import Store, open_store
from penstock.store.rows import JobRow

HEAD = """
import os, signal, sys, threading, time
from penstock import *
from penstock import hooks

LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(*words):
    os.write(LOG, (" ".join(map(str, words)) + "\\n").encode())

def told(name):
    return os.path.exists(name)

def once(name):
    \"\"\"Tell whether this is the first time that anybody asks.\"\"\"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

def wait_until_told(name):
    while not told(name):
        time.sleep(0.005)
"""


@dataclass
class Yard:
    """See the module."""

    lab: Lab
    servers: list[Started] = field(default_factory=list)

    def module(self, source: str, name: str = "jobs") -> None:
        """Write a module of jobs."""
        self.lab.module(name, HEAD + dedent(source))

    def tell(self, name: str) -> None:
        """Tell jobs something: `told(name)` is true from now on."""
        self.lab.path(name).touch()

    # Jobs ----------------------------------------------------------------------------------------

    def python(self, source: str, *words: str, module: str = "jobs") -> str:
        """Run a program that has imported the jobs; returns what it printed."""
        return self.lab.python(f"from {module} import *\n{dedent(source)}", *words).decode().strip()

    def create(self, *calls: str, module: str = "jobs") -> list[UUID]:
        """Make jobs in another process."""
        lines = "\n".join(f"print({call}.id)" for call in calls)
        return [UUID(line) for line in self.python(lines, module=module).split()]

    @property
    def store(self) -> Store:
        """The store, opened in this process too."""
        return open_store(self.lab.url)

    def row(self, job_id: UUID) -> JobRow:
        """Return a job as it is stored."""
        found = self.store.job(job_id)
        assert found is not None, f"job {job_id} is gone"
        return found

    def state(self, job_id: UUID) -> State | None:
        """Return the state of a job; None when it is gone."""
        found = self.store.job(job_id)
        return None if found is None or found.draft else found.state

    def await_states(self, state: State | None, *job_ids: UUID) -> None:
        """Wait until these jobs are all in a state; None for gone."""
        wait_for(lambda: {self.state(job_id) for job_id in job_ids} == {state}, f"the jobs to be {state}")

    # What jobs noted ------------------------------------------------------------------------------

    def notes(self, word: str = "") -> list[list[str]]:
        """Return what was noted that begins with a word, each in words."""
        log = self.lab.path("log.txt")
        lines = [line.split() for line in log.read_text().split("\n")[:-1]] if log.exists() else []
        return [line for line in lines if line[:1] == [word] or not word]

    def await_notes(self, word: str, count: int = 1) -> list[list[str]]:
        """Wait until something has been noted so often."""
        wait_for(lambda: len(self.notes(word)) >= count, f"{count} notes of {word}")
        return self.notes(word)

    # Servers --------------------------------------------------------------------------------------

    def serve(self, *words: str, app: str = "jobs", workers: int = 2, processes: int = 1) -> Started:
        """Start a server."""
        given = ("--app", app, "--workers", str(workers), "--processes", str(processes), *words)
        server = self.lab.start(*given, command="server")
        self.servers.append(server)
        return server

    def worker(self, server: Started) -> int:
        """Wait until a server has one worker process that has joined, and return its id."""
        wait_for(lambda: " is ready;" in server.err, "a worker")
        (pid,) = wait_for(server.workers, "a worker")
        return pid

    def stop(self, server: Started) -> None:
        """Stop a server that is well, which it says by its exit code.

        Where another did all there was to do, it may still be importing, and a signal would end it before it heeds any.
        """
        wait_for(lambda: " started: " in server.err or server.process.poll() is not None, "a server that has begun")
        server.signal(signal.SIGTERM)
        ended = server.end()
        assert ended.code == 0, ended.err
        # A thread of the user's own may end with one.
        assert ended.err.count("Traceback") == len(re.findall(r"the thread .* ended by an exception", ended.err)), (
            ended.err
        )
        self.servers.remove(server)

    def kill(self, server: Started) -> None:
        """Kill a server with its workers."""
        server.kill_group()
        server.process.wait()
        self.servers.remove(server)


@contextmanager
def open_yard(lab: Lab, source: str) -> Iterator[Yard]:
    """Make a yard with a module of jobs; at the end its servers are stopped, and must be well."""
    yard = Yard(lab)
    yard.module(source)
    yield yard
    for server in list(yard.servers):
        yard.stop(server)
