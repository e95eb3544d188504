"""What one claim reads with millions of jobs in front of what it may take: scheduled, completed and held ones.

A claim is all that a server does in a transaction to fill its free slots: it releases what is due, reads limits,
groups and candidates, takes jobs, and looks for hooks that are due. Here it is rolled back and made again.
"""

import _sqlite3
import ctypes
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

from penstock import clock
from penstock.bench.ground import Ground, remove_store
from penstock.bench.report import Report, Row
from penstock.server.claiming import Claim
from penstock.server.desk import Desk
from penstock.server.messages import KindFacts
from penstock.server.turn import Turn
from penstock.states import State
from penstock.store import close_store, open_store
from penstock.store.rows import JobRow

SETTINGS = {
    "future": (1_000_000, 2000),
    "completed": (1_000_000, 2000),
    "held": (1_000_000, 2000),
    "groups": (1, 1),
    "ready": (1000, 200),
    "slots": (10, 10),
    "claims": (50, 5),
}
AT_ONCE = 10_000
"""Jobs stored in one transaction."""
SERVER, OTHER = "bench:1:0000", "bench:2:0000"
KINDS = {
    facts.kind: facts
    for facts in (
        KindFacts("Ready", False, [], "Ready"),
        KindFacts("Throttled", False, [], "Throttled", limit=3),
        KindFacts("Grouped", False, [], "Grouped", limit=2),
    )
}
UNKNOWN = "Unknown"
"""A kind that the server's workers do not have."""
LIBRARY = ctypes.CDLL(_sqlite3.__file__)
LIBRARY.sqlite3_libversion.restype = ctypes.c_char_p
_INT = ctypes.POINTER(ctypes.c_int)
LIBRARY.sqlite3_db_status.argtypes = [ctypes.c_void_p, ctypes.c_int, _INT, _INT, ctypes.c_int]
CACHE_HIT, CACHE_MISS = 7, 8


class Reads(NamedTuple):
    """What one claim read."""

    steps: int
    """Instructions of SQLite's virtual machine. They grow with the rows that are read: about one for each column."""
    pages: int
    """Pages that were asked for, each time: hits and misses of the cache, as `sqlite3_db_status` counts them."""
    cold: int
    """Different pages: what a connection with an empty cache reads from the file system, in pages."""
    milliseconds: float


def run(
    ground: Ground, *, future: int, completed: int, held: int, groups: int, ready: int, slots: int, claims: int
) -> Report:
    """Measure a claim, and again with more in front each time."""
    filled = Filled(ground.folder / "claims.db", groups)
    filled.add(ready, filled.ready)
    stages: list[tuple[str, Callable[[], None]]] = [
        ("nothing", lambda: None),
        (f"{future:,} scheduled", lambda: filled.add(future, filled.future)),
        (f"and {completed:,} completed", lambda: filled.add(completed, filled.completed)),
        (f"and {held:,} held", lambda: filled.add(held, filled.held)),
    ]
    rows: list[Row] = []
    for name, act in stages:
        act()
        measured = [filled.measure(slots) for _ in range(claims)]
        reads = Reads(*(median(column) for column in zip(*measured, strict=True)))
        rows.append({"in front": name, "jobs": filled.count, **_row(reads), "file MB": filled.megabytes()})
    plans = filled.plans(slots)
    filled.remove()
    ratios = {name: rows[-1][name] / rows[0][name] for name in _row(Reads(1, 1, 1, 1))}
    scans = sorted({step for steps in plans.values() for step in steps if step.startswith("SCAN")})
    return Report(
        {
            f"a claim of {slots} of {ready:,} jobs that are ready": rows,
            "the last : the first": [{"": "ratio", **ratios}],
            "what it scans, rather than searches": [{"": step} for step in scans] or [{"": "nothing"}],
        },
        {"plans": plans},
    )


def _row(reads: Reads) -> Row:
    return {
        "steps": reads.steps,
        "pages asked for": reads.pages,
        "pages read": reads.cold,
        "ms": reads.milliseconds,
    }


class Filled:
    """A store in which limits are full, and whatever is added is older and more urgent than what is ready."""

    def __init__(self, path: Path, groups: int = 1) -> None:
        remove_store(f"sqlite:///{path}")
        self.count = 0
        self._path = path
        self._url = f"sqlite:///{path}"
        self._groups = groups
        self._random = random.Random(1)  # noqa: S311
        self._run("Throttled", None, 3)
        for number in range(groups):
            self._run("Grouped", f"group {number}", 2)

    def add(self, count: int, columns: Callable[[int], dict[str, Any]]) -> None:
        """Store so many jobs as any program does it."""
        for first in range(0, count, AT_ONCE):
            rows = [self._job(**columns(number)) for number in range(first, min(count, first + AT_ONCE))]
            open_store(self._url).insert_jobs(rows)
        self.count += count
        self._check_point()

    def ready(self, _: int) -> dict[str, Any]:
        """Return a job that may be taken."""
        return {"kind": "Ready", "created_at": clock.now()}

    def future(self, number: int) -> dict[str, Any]:
        """Return a job that is due in an hour."""
        return {"kind": "Ready", "priority": 1, "run_at": clock.now() + timedelta(hours=1, seconds=number)}

    def completed(self, _: int) -> dict[str, Any]:
        """Return a job that is done and kept."""
        return {"kind": "Ready", "priority": 1, "state": State.COMPLETED, "completed_at": clock.now()}

    def held(self, number: int) -> dict[str, Any]:
        """Return a job that is held, each of four in another way."""
        until = clock.now() + timedelta(hours=1, seconds=number)
        ways: tuple[dict[str, Any], ...] = (
            {"kind": "Throttled"},
            {"kind": "Grouped", "throttle_group": f"group {number // 4 % self._groups}"},
            {"kind": UNKNOWN},
            {"kind": "Ready", "held_until": until, "throttled_by": "the disk is nearly full"},
        )
        return {"priority": 1, **ways[number % len(ways)]}

    def measure(self, slots: int) -> Reads:
        """Claim with a connection whose cache is empty, and then again.

        Raises:
            RuntimeError: the claim got another number of jobs than there are slots.
        """
        close_store(self._url)
        store = open_store(self._url)
        with _connection(store) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        before = _bytes_read()
        taken = claim(store, slots)
        cold = (_bytes_read() - before) // page_size
        if taken != slots:
            raise RuntimeError(f"the claim got {taken} jobs, not {slots}")
        with _connection(store) as connection, _counting(connection) as counted:
            claim(store, slots)
        began = time.perf_counter()
        claim(store, slots)
        return Reads(counted["steps"], counted["pages"], cold, (time.perf_counter() - began) * 1000)

    def plans(self, slots: int) -> dict[str, list[str]]:
        """Return the query plan of each statement that a claim runs on a table."""
        store = open_store(self._url)
        statements: list[str] = []
        with _connection(store) as connection:
            connection.set_trace_callback(statements.append)
            claim(store, slots)
            connection.set_trace_callback(None)
            # Triggers are traced as comments; savepoints and the like have no plan.
            kept = [
                text for text in statements if re.match(r"(--[^\n]*\n)*\s*(SELECT|UPDATE|INSERT|DELETE|WITH)", text)
            ]
            return {text: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")] for text in kept}

    def megabytes(self) -> float:
        """Return the size of the file."""
        return self._path.stat().st_size / 1e6

    def remove(self) -> None:
        """Remove the store."""
        close_store(self._url)
        remove_store(self._url)

    def _run(self, kind: str, group: str | None, count: int) -> None:
        """Have as many jobs run as a limit allows."""
        rows = [self._job(kind=kind, throttle_group=group) for _ in range(count)]
        store = open_store(self._url)
        store.insert_jobs(rows)
        for row in rows:
            row.limit_name = group or kind
        store.claim_jobs(rows, server=OTHER, now=clock.now())

    def _job(self, **columns: Any) -> JobRow:
        """Return a job of two days ago, unless it says otherwise, with an id of that time."""
        columns = {"batch": False, "created_at": clock.now() - timedelta(days=2), **columns}
        key = int(columns["created_at"].timestamp() * 1000).to_bytes(6) + b"\x70" + self._random.randbytes(9)
        fields = f'{{"customer":"{self._random.randrange(10**6)}","note":"{"x" * 60}"}}'
        return JobRow(id=UUID(bytes=key), fields=fields, **columns)

    def _check_point(self) -> None:
        """Have all that was written in the main file, where a new connection reads it."""
        close_store(self._url)
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()


class Undone(Exception):
    """Takes a claim back."""


def claim(store: Any, slots: int) -> int:
    """Claim as a server with free slots does, and take it back; returns how many pieces of work it got."""
    desk = Desk()
    desk.join("worker", slots)
    turn = Turn(store, server=SERVER, kinds=KINDS, now=clock.now())
    made = Claim(store, desk, desk.budget(), server=SERVER, now=clock.now())
    try:
        with store.transaction():
            turn.claim(made, KINDS, None)
            raise Undone
    except Undone:
        return len(made.pieces)


@contextmanager
def _connection(store: Any) -> Iterator[sqlite3.Connection]:
    with store.connections.reading() as connection:
        yield connection


def _bytes_read() -> int:
    """Return how many bytes this process has got from read calls so far (proc(5), `rchar`)."""
    found = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())
    assert found is not None
    return int(found.group(1))


@contextmanager
def _counting(connection: sqlite3.Connection) -> Iterator[dict[str, int]]:
    """Count the steps and pages of what a connection runs."""
    counted = {"steps": 0, "pages": 0}

    def step() -> None:
        counted["steps"] += 1

    before = _pages_asked_for(connection)
    connection.set_progress_handler(step, 1)
    try:
        yield counted
    finally:
        connection.set_progress_handler(None, 1)
        counted["pages"] = _pages_asked_for(connection) - before


def _pages_asked_for(connection: sqlite3.Connection) -> int:
    """Return how often a connection has asked its cache for a page.

    The standard library does not offer `sqlite3_db_status`. So the library that its module has loaded is asked, for
    the handle that is the first field of CPython's connection object.
    """
    if LIBRARY.sqlite3_libversion().decode() != sqlite3.sqlite_version:
        raise RuntimeError("this Python uses another SQLite than the one that was found")
    handle = ctypes.c_void_p.from_address(id(connection) + object.__basicsize__)
    now, most = ctypes.c_int(), ctypes.c_int()
    total = 0
    for what in (CACHE_HIT, CACHE_MISS):
        LIBRARY.sqlite3_db_status(handle, what, ctypes.byref(now), ctypes.byref(most), 0)
        total += now.value
    return total
