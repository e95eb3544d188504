"""Rows for tests of stores.

- `new_row(kind="Copy", **columns)`: a `JobRow` that is not stored yet.
- `add_job(**columns)`: one stored in `store`.
- `add_batch(slices, **columns)`: a stored batch job, processing, whose slices hold these numbers of records.
- `claim_slices(job, limit=...)`: slices claimed by "server-1".
- `settled(job, slice, ...)`: how a claimed slice ended.
- `undone()`: a transaction of `store` that is rolled back at the end of the `with` block.
- `run_python(script, *args)`: a script in a process of its own, run to its end.
- `start_python(script, *args)`: one that runs beside the test, talks in lines, and is killed at the test's end.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from penstock import clock
from penstock.ids import new_id
from penstock.states import SubState
from penstock.store import Store
from penstock.store.rows import ClaimedSlice, JobRow, NewOutput, NewSlice, SliceSettlement

SERVER = "server-1"

# The conformance suite says what to install; these files could not even be imported.
collect_ignore_glob = [] if os.environ.get("CI") or importlib.util.find_spec("psycopg") else ["test_postgres_*.py"]


@pytest.fixture
def new_row() -> Callable[..., JobRow]:
    def make(kind: str = "Copy", *, batch: bool = False, **columns: Any) -> JobRow:
        columns.setdefault("created_at", clock.now())
        return JobRow(id=new_id(), kind=kind, batch=batch, **columns)

    return make


@pytest.fixture
def add_job(store: Store, new_row: Callable[..., JobRow]) -> Callable[..., JobRow]:
    def add(kind: str = "Copy", **columns: Any) -> JobRow:
        row = new_row(kind, **columns)
        store.insert_jobs([row])
        return row

    return add


@pytest.fixture
def add_batch(store: Store, add_job: Callable[..., JobRow]) -> Callable[..., JobRow]:
    def add(slices: Sequence[int] = (3, 3, 3), *, started: bool = True, **columns: Any) -> JobRow:
        row = add_job("Lines", batch=True, record_count=sum(slices), **columns)
        store.append_slices(row.id, "main", new_slices(slices))
        if started:
            store.start_batch(row.id, sub_state=SubState.PROCESSING, server=SERVER, now=clock.now())
        return row

    return add


@pytest.fixture
def claim_slices(store: Store) -> Callable[..., list[ClaimedSlice]]:
    def claim(job: JobRow, *, limit: int = 10, max_bytes: int = 1 << 20) -> list[ClaimedSlice]:
        return store.claim_slices(job.id, server=SERVER, limit=limit, max_bytes=max_bytes)

    return claim


@pytest.fixture
def settled() -> Callable[..., SliceSettlement]:
    def make(
        job: JobRow,
        claimed: ClaimedSlice,
        *,
        done: int | None = None,
        exception: str | None = None,
        output: bytes | None = b"Tout\n",
        category: str = "main",
    ) -> SliceSettlement:
        end = claimed.record_count if done is None else done
        return SliceSettlement(
            job_id=job.id,
            slice_id=claimed.slice_id,
            category="main",
            number=claimed.number,
            attempt=claimed.attempt,
            start=claimed.done,
            done=end,
            outputs=() if output is None else (NewOutput(category, end - claimed.done, output),),
            exception=exception,
        )

    return make


class Undone(Exception):
    """Ends a transaction so that it is rolled back."""


@contextmanager
def rolled_back(store: Store) -> Iterator[None]:
    """A transaction of which nothing stays."""
    try:
        with store.transaction():
            yield
            raise Undone
    except Undone:
        pass


@pytest.fixture
def undone(store: Store) -> Callable[[], AbstractContextManager[None]]:
    return lambda: rolled_back(store)


def new_slices(record_counts: Sequence[int]) -> list[NewSlice]:
    """Slices of so many records, each with a payload that says its number."""
    first, made = 1, []
    for number, count in enumerate(record_counts, 1):
        made.append(NewSlice(first, count, b"Tslice %d\n" % number * count))
        first += count
    return made


@pytest.fixture
def make_slices() -> Callable[[Sequence[int]], list[NewSlice]]:
    return new_slices


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-W", "error", "-c", script, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:
            process.wait(10)
