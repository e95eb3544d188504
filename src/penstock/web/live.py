"""What is new, for all browsers at once: one listener at the store and one slow check in each process that serves them.

A browser is told that something changed, with the counts of the side bar; it then asks for the parts of its page that
are live. While nobody looks, nothing is asked of the store.
"""

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from penstock import clock
from penstock.errors import PenstockError
from penstock.service.heartbeats import Heartbeats
from penstock.service.listing import count_text, counts_of_jobs
from penstock.store.browsing import Listing, Wanted
from penstock.store.protocol import Listening, Store, Topic

if TYPE_CHECKING:
    from penstock.web.app import Console

log = logging.getLogger("penstock.web")

SLOW_SECONDS = 2.0
"""How often the store is looked at while somebody looks at a page, whatever is announced."""
PAUSE_SECONDS = 0.5
"""What is announced within this time is told as one."""
PING_SECONDS = 20
MOST_BATCHES = 20
"""Running batch jobs whose progress is followed."""
PACE_OF = 15
"""Looks over which the pace of a job is measured."""


class Live:
    """Tells browsers that something changed."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._followers: dict[asyncio.Queue[str], asyncio.AbstractEventLoop] = {}
        self._thread: threading.Thread | None = None
        self._announced = False
        self._latest: str | None = None
        """What was told last, as long as somebody follows."""
        self.told = 0
        """How often something new was told. A page carries it, so that its browser knows what it has missed."""
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self.heartbeats = Heartbeats()
        """Of servers, as they are seen while somebody looks at pages."""

    def nudge(self) -> None:
        """Look at the store soon: somebody did something here."""
        self._announced = True
        self._woken.set()

    def follow(self) -> asyncio.Queue[str]:
        """Return a queue that gets what is new, for a browser of the running event loop."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        with self._lock:
            self._followers[queue] = asyncio.get_running_loop()
            if self._latest is not None:
                queue.put_nowait(self._latest)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="penstock-web-live", daemon=True)
                self._thread.start()
        return queue

    def leave(self, queue: asyncio.Queue[str]) -> None:
        """Stop following."""
        with self._lock:
            self._followers.pop(queue, None)
        self._woken.set()

    def pace(self, job_id: str) -> float | None:
        """Return how many records of a job were processed a second of late; None where nobody has looked for long."""
        seen = self._seen.get(job_id)
        if seen is None or len(seen) < 2 or seen[-1][0] - seen[0][0] < SLOW_SECONDS:
            return None
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])

    def paces(self) -> dict[str, float | None]:
        """Return the pace of every job that is looked at, by its id."""
        return {job_id: self.pace(job_id) for job_id in list(self._seen)}

    def _note_pace(self, batches: list[list[Any]]) -> None:
        now = clock.monotonic()
        seen = {str(job_id): self._seen.get(str(job_id), deque(maxlen=PACE_OF)) for job_id, *_ in batches}
        for job_id, processed, *_ in batches:
            seen[job_id].append((now, int(processed)))
        self._seen = seen

    def _watch(self) -> None:
        """Look at the store until nobody follows any more."""
        listeners: list[Listening] = []
        before: dict[str, Any] | None = None
        pause = threading.Event()
        try:
            while self._is_followed():
                try:
                    listeners = listeners or [self._store().listen(topic, self.nudge) for topic in Topic]
                    announced, self._announced = self._announced, False
                    now = pulse(self._store(), self.heartbeats)
                    self._note_pace(now["batches"])
                    if announced or now != before:
                        before = now
                        self._tell(now)
                except PenstockError as error:
                    log.warning("the store cannot be looked at: %s", error)
                self._woken.wait(SLOW_SECONDS)
                self._woken.clear()
                pause.wait(PAUSE_SECONDS)
        finally:
            for listener in listeners:
                listener.close()

    def _is_followed(self) -> bool:
        with self._lock:
            if not self._followers:
                self._thread = self._latest = None
            return bool(self._followers)

    def _tell(self, what: dict[str, Any]) -> None:
        with self._lock:
            self.told += 1
            self._latest = text = json.dumps({**what, "told": self.told})
            for queue, loop in list(self._followers.items()):
                try:
                    loop.call_soon_threadsafe(_put, queue, text)
                except RuntimeError:  # Its loop has ended.
                    self._followers.pop(queue, None)


def _put(queue: asyncio.Queue[str], text: str) -> None:
    while not queue.empty():  # A browser that is slow wants the newest only.
        queue.get_nowait()
    queue.put_nowait(text)


def pulse(store: Store, heartbeats: Heartbeats) -> dict[str, Any]:
    """Return what changes whenever a page has something new to show, but for fields of jobs."""
    servers = store.servers()
    heartbeats.note(servers)
    running = store.browse(Listing.RUNNING, Wanted(), limit=MOST_BATCHES, scan=MOST_BATCHES).rows
    counts = counts_of_jobs(store)
    return {
        "counts": {name: count_text(count) for name, count in counts.items() if name != "counted_to"},
        "servers": [[row.name, row.state, row.holding, *_names(row.nodes)] for row in servers],
        "still": sorted(heartbeats.still()),
        "batches": [[str(row.id), *store.progress(row.id)[:2]] for row in running if row.batch],
    }


def _names(nodes: str) -> list[str]:
    return [str(node["name"]) for node in json.loads(nodes)]


async def live_endpoint(console: "Console", request: Request) -> Response:
    """Answer with a stream of events for one browser; its first tells how things are."""
    from sse_starlette import EventSourceResponse

    session = console.sessions.read(request)
    person = await run_in_threadpool(console.authentication.person, request, session)
    if person is None:
        return PlainTextResponse("sign in first\n", 401)

    async def events() -> AsyncIterator[dict[str, str]]:
        queue = console.live.follow()
        try:
            while True:
                yield {"event": "changed", "data": await queue.get()}
        finally:
            console.live.leave(queue)

    return EventSourceResponse(events(), ping=PING_SECONDS, headers={"cache-control": "no-store"})
