"""Whole pages of the console over HTTP with very many jobs and slices, beside the same pages of an empty store.

Two `penstock web` processes, one over each store, are asked in turn by a client that keeps its connection and its
cookies as a browser does. The rows of a page are counted in this process, through the same ASGI application.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from penstock.store.protocol import Store

LISTS = ("all", "running", "queued", "queued_now", "scheduled", "paused", "completed", "failed", "aborted")
PLAIN = {
    "overview": "/",
    "new job": "/jobs/new",
    "schedules": "/schedules",
    "servers": "/servers",
    "watched folders": "/dirmon",
    "audit": "/audit",
    "settings": "/settings",
    "metrics": "/metrics",
}
QUERIES: dict[str, dict[str, str]] = {
    **{f"list {name}": {"state": name} for name in LISTS},
    "oldest first": {"order": "id"},
    "sorted": {"order": "-priority"},
    "of a kind": {"kind": "Kind3"},
    "searched": {"search": "no such text"},
    "filtered": {"where": "color=none"},
    "filtered, queued": {"where": "color=none", "state": "queued_now"},
    "filtered, indexed": {"where": "customer=c7"},
}


def whole_pages(stores: list[Store], jobs: list[tuple[UUID, UUID]], rounds: int) -> list[dict[str, str]]:
    """Return a line for each page: rows read and milliseconds, of an empty store and of a filled one.

    Args:
        stores: The empty one and the filled one.
        jobs: A job of each, and a batch job.
        rounds: How often each page is asked for.
    """
    paths = [paths_of(*each) for each in jobs]
    rows = [rows_of_pages(store, each) for store, each in zip(stores, paths, strict=True)]
    with ExitStack() as opened:
        times = _timed([opened.enter_context(served(store.url))[0] for store in stores], paths, rounds)
    return [line_of(name, [each[name] for each in rows], times[name]) for name in paths[0]]


def paths_of(single: UUID, batch: UUID) -> dict[str, str]:
    """Return the path of every page, those of two jobs among them."""
    lists = {name: f"/jobs?{urlencode(query)}" for name, query in QUERIES.items()}
    return {**PLAIN, **lists, "job": f"/jobs/{single}", "batch job": f"/jobs/{batch}"}


def line_of(name: str, rows: list[int], seconds: list[list[float]]) -> dict[str, str]:
    """Return the line of a page: its rows and its seconds in each round, on the empty store and on the filled one."""
    empty, filled = seconds
    ratio = median(two / one for one, two in zip(empty, filled, strict=True))
    return {
        "page": name,
        "rows empty": f"{rows[0]:,}",
        "rows filled": f"{rows[1]:,}",
        "ms empty": f"{1000 * median(empty):.2f}",
        "ms filled": f"{1000 * median(filled):.2f}",
        "ratio": f"{ratio:.2f}",
    }


# Time ---------------------------------------------------------------------------------------------


class Browser:
    """Asks one console for pages, over one connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers: dict[str, str] = {}
        _, cookies = self.get("/")
        self._headers["cookie"] = "; ".join(cookie.partition(";")[0] for cookie in cookies)

    def get(self, path: str) -> tuple[float, list[str]]:
        """Return the seconds that a page took, and the cookies that it set."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.reason}")
        return seconds, answer.headers.get_all("set-cookie") or []


@contextmanager
def served(url: str) -> Iterator[tuple[str, int]]:
    """Run `penstock web` over a store, and give its address and its process id."""
    command = [sys.executable, "-m", "penstock", "web", "--port", "0", "--store", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        try:
            yield told[told.rindex("http://") :].strip(), process.pid
        finally:
            process.terminate()


def _timed(urls: list[str], paths: list[dict[str, str]], rounds: int) -> dict[str, list[list[float]]]:
    """Return the seconds of every page at each address, round by round; every other round goes backwards."""
    browsers = [Browser(url) for url in urls]
    taken: dict[str, list[list[float]]] = {name: [[] for _ in urls] for name in paths[0]}
    for number in range(rounds + 1):
        for name, seconds in taken.items():
            turns = list(zip(browsers, paths, seconds, strict=True))
            for browser, path, into in turns[:: -1 if number % 2 else 1]:
                took, _ = browser.get(path[name])
                if number:  # The first does not count.
                    into.append(took)
    return taken


# Rows ---------------------------------------------------------------------------------------------


def rows_of_pages(store: Store, paths: dict[str, str]) -> dict[str, int]:
    """Return how many rows each page has the engine touch: steps of SQLite's machine, rows of PostgreSQL's statistics.

    A page is asked for once before, so that what is kept between pages is there.
    """
    from starlette.testclient import TestClient

    from penstock.web.app import make_console

    counted = _steps if store.url.startswith("sqlite") else _rows_read
    with TestClient(make_console(store=store.url), base_url="http://localhost") as client:
        found = {}
        for name, path in paths.items():
            client.get(path)
            found[name] = counted(store, lambda path=path: client.get(path))
    return found


def _steps(store: Any, ask: Any) -> int:
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    for session in store.connections._all:
        session.raw.set_progress_handler(step, 1)
    ask()
    for session in store.connections._all:
        session.raw.set_progress_handler(None, 1)
    return count


def _rows_read(store: Any, ask: Any) -> int:
    before = _statistics(store)
    ask()
    return _statistics(store) - before


def _statistics(store: Any) -> int:
    # A connection tells what it read some time later, unless it is asked to with its next statement.
    for session in store.connections._idle:
        session.fetch("SELECT pg_stat_force_next_flush()::text")
    ((rows,),) = store.connections.fetch(
        "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_user_tables"
        " WHERE schemaname = %s",
        (store.place.schema,),
    )
    return int(rows)
