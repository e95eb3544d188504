"""What open browsers cost while nothing happens: the console, the server and PostgreSQL, beside no browser at all.

A browser is what the page's JavaScript opens: one stream of events, and the page again whenever something is told.
`python -m benchmarks browsers`; Linux only.
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.console_pages import Browser, served
from benchmarks.console_stores import OPENED
from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report
from penstock.bench.servers import server_process
from penstock.store.protocol import Store

SETTINGS = {"browsers": (50, 3), "browser_seconds": (60, 2)}
SETTLE_SECONDS = 5
PAGES = ("/", "/jobs", "/jobs?state=failed", "/servers")
"""What the browsers look at, in turn."""


def run(ground: Ground, *, browsers: int, browser_seconds: int) -> Report:
    lines = []
    for engine, opened in OPENED.items():
        with (
            opened(ground.folder, "browsers") as store,
            server_process(store.url) as server,
            served(store.url) as (url, console),
        ):
            for count in (0, browsers):
                with following(url, count) as seen:
                    time.sleep(SETTLE_SECONDS)
                    if -1 in seen:
                        raise RuntimeError("a browser was not told how things are: give them longer")
                    told = sum(seen)
                    used = _used_in(browser_seconds, store, console, server)
                lines.append({"store": engine, "browsers": count, "told": sum(seen) - told, **used})
    return Report({"percent of a core, while nothing happens": lines})


@contextmanager
def following(url: str, count: int) -> Iterator[list[int]]:
    """Open so many browsers; give how often each was told something, from -1 on: the first event is how things are."""
    seen, streams = [-1] * count, [_stream(url) for _ in range(count)]
    for number, (_, answer) in enumerate(streams):
        page = PAGES[number % len(PAGES)]
        threading.Thread(target=_follow, args=(url, page, answer, seen, number), daemon=True).start()
    try:
        yield seen
    finally:
        for connection, _ in streams:
            # Not closed here: that would wait for the thread which reads.
            connection.sock.shutdown(socket.SHUT_RDWR)


def _stream(url: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", "/live", headers={"accept": "text/event-stream"})
    return connection, connection.getresponse()


def _follow(url: str, page: str, answer: http.client.HTTPResponse, seen: list[int], number: int) -> None:
    """Ask for the page again whenever something new is told, as `console.js` does."""
    browser = Browser(url)
    with suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
        for line in answer:
            if not line.startswith(b"data:"):
                continue
            json.loads(line.removeprefix(b"data:"))
            seen[number] += 1
            if seen[number]:
                browser.get(page)


def _used_in(seconds: int, store: Store, console: int, server: int) -> dict[str, str]:
    """Return what each took of a core over so many seconds, in percent."""
    pids = {"console": family(console), "server": family(server), "PostgreSQL": _postgres_of(store)}
    before, began = {name: cpu_seconds(each) for name, each in pids.items()}, time.perf_counter()
    time.sleep(seconds)
    whole = time.perf_counter() - began
    used = {name: cpu_seconds(each) - before[name] for name, each in pids.items()}
    return {name: f"{100 * each / whole:.2f}" if pids[name] else "–" for name, each in used.items()}


def _postgres_of(store: Store) -> list[int]:
    """Return the processes of the PostgreSQL of a store on this machine."""
    if store.url.startswith("sqlite"):
        return []
    connections = store.connections  # type: ignore[attr-defined]
    ((pid,),) = connections.fetch("SELECT pg_backend_pid()")
    status = Path(f"/proc/{pid}/status").read_text()
    return family(int(status.partition("PPid:")[2].split()[0]))
