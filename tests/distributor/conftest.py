"""Distributors of the test's own process, and nodes that are real processes.

- `site`: a `Site`: a folder with a module of job functions, importable here and by its nodes.
  `site.distributor(...)` starts one, `site.node("name", distributor, *options)` starts `penstock node`.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from tests.process.lab import Lab, Started, wait_for

from penstock import Distributor

SECRET = "only for tests"
_serials = count(1)

MODULE = """
import asyncio, os, threading, time
from penstock import Arguments, job

@job
def double(number):
    return 2 * number

@job
async def adouble(number):
    return 2 * number

@job(retry_limit=0)
def place(path=None, started=None):
    if started:
        open(started, "a").write("started\\n")
    while path and not os.path.exists(path):
        time.sleep(0.005)
    return os.getpid()

@job
async def aplace():
    return os.getpid()

running = peak = 0
barriers = {}

@job(retry_limit=0)
async def meet(number):
    # Waits until so many are there; tells where it ran, and how many were there at once so far.
    global running, peak
    running += 1
    peak = max(peak, running)
    await barriers.setdefault(number, asyncio.Barrier(number)).wait()
    running -= 1
    return os.getpid(), threading.get_ident(), peak

@job(retry_limit=1, backoff=0.05)
def fails(text):
    raise ValueError(text)

@job
def where(seconds=0.0):
    time.sleep(seconds)
    return os.environ["REACTOR_NODE"]

@job
def echo(value):
    return value

@job
def note(path, word):
    with open(path, "a") as file:
        file.write(f"{word}\\n")

@job(retry_limit=0)
def wait_for(path, started=None):
    if started:
        open(started, "a").write("started\\n")
    while not os.path.exists(path):
        time.sleep(0.005)
    return "seen"

@job
def parent(path, words):
    for word in words:
        note.enqueue(path, word)

@job
def reports(job_itself, path):
    job_itself.report_progress({"at": "half"})
    while not os.path.exists(path):
        time.sleep(0.005)
    job_itself.report_progress({"at": "end"})

@job(retry_limit=0)
def dies(path=None):
    if path is None or not os.path.exists(path):
        if path:
            open(path, "w").close()
        os.kill(os.getpid(), 9)
    return "second time"
"""


@dataclass
class Site:
    """See the module."""

    folder: Path
    name: str
    module: ModuleType
    lab: Lab
    stack: ExitStack = field(default_factory=ExitStack)
    nodes: list[Started] = field(default_factory=list)

    def distributor(self, address: str = "127.0.0.1:0", **options: Any) -> Distributor:
        """Start a distributor; it is stopped at the end of the test."""
        made = Distributor(address, **{"secret": SECRET, "grace": 5.0, **options}).start()
        self.stack.callback(made.stop)
        return made

    def node(self, name: str, *distributors: Distributor | str, options: tuple[str, ...] = ()) -> Started:
        """Start a node for these distributors, without waiting for it."""
        addresses = [one if isinstance(one, str) else one.address for one in distributors]
        connect = [word for address in addresses for word in ("--connect", address)]
        words = ["--name", name, "--app", self.name, "--processes", "1", "--workers", "2", *connect, *options]
        os.environ["REACTOR_NODE"] = name
        try:
            node = self.lab.start(*words, "--secret", SECRET, command="node")
        finally:
            del os.environ["REACTOR_NODE"]
        self.nodes.append(node)
        return node

    def ready(self, distributor: Distributor, *names: str) -> None:
        """Wait until these nodes, and no others, are connected and have a worker."""
        wanted = sorted(names)
        wait_for(lambda: sorted(node.name for node in distributor.nodes if node.workers) == wanted, f"nodes {wanted}")

    def __getattr__(self, name: str) -> Any:
        """Return a function of the module."""
        return getattr(self.module, name)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    name = f"reactor_jobs_{next(_serials)}"
    lab = Lab(tmp_path)
    lab.module(name, dedent(MODULE))
    sys.path.insert(0, str(tmp_path))
    made = Site(tmp_path, name, importlib.import_module(name), lab)
    try:
        yield made
    finally:
        made.stack.close()
        lab.close()
        sys.path.remove(str(tmp_path))
        sys.modules.pop(name)
