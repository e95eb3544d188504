"""Rescue: what dead servers held is queued again, and what dead uploads left is removed."""

import math
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from penstock import clock, events, faults
from penstock.config import settings
from penstock.errors import StoreError
from penstock.functions.stored import is_function_row
from penstock.query import Query
from penstock.server.settling import lost_job
from penstock.states import State
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, ServerRow

BEATS_SEEN = 3
"""Heartbeats that an observer must have stored itself meanwhile: while nobody can write, nobody is dead."""
LOOK_SECONDS = 1.0
SPACE_SECONDS = 60.0
LAST_SECONDS = 2.0
"""How long a server that stops goes on removing jobs that are out of sight already: the next one does the rest."""


class _Sight(NamedTuple):
    """When a heartbeat was first seen."""

    heartbeat: int
    since: float
    beats: int | None
    """The observer's own heartbeat then; None where it has none."""


class Rescuer:
    """Observes other servers. Clocks are never compared: a stepped clock kills nobody."""

    def __init__(self, store: Store, me: str) -> None:
        self._store = store
        self._me = me
        self._dead_after = settings().dead_after
        self._seen: dict[str, _Sight] = {}

    def look(self) -> None:
        """Release what servers held that are found dead now."""
        servers = self._store.servers()
        beats = next((server.heartbeat for server in servers if server.name == self._me), None)
        for server in servers:
            if server.name == self._me:
                continue
            gone = self._store.is_present(server.name) is False
            if gone or self._stands_still(server, beats):
                faults.at("in_rescue")
                released = release(self._store, server.name, heartbeat=None if gone else server.heartbeat)
                events.publish(events.ServerDied(server.name, released))
        self._store.drop_abandoned()

    def _stands_still(self, server: ServerRow, beats: int | None) -> bool:
        """Tell whether a heartbeat has not changed for too long, whatever sign of life its server shows.

        One that is suspended holds its lock; nobody else could do its work.
        """
        seen = self._seen.get(server.name)
        if seen is None or seen.heartbeat != server.heartbeat:
            self._seen[server.name] = _Sight(server.heartbeat, clock.monotonic(), beats)
            return False
        own = BEATS_SEEN if beats is None or seen.beats is None else beats - seen.beats
        return clock.monotonic() - seen.since >= self._dead_after and own >= BEATS_SEEN


def release(store: Store, server: str, *, heartbeat: int | None) -> int:
    """Do as `Store.release_server`, but have what must not run twice fail."""
    running = Query(states=(State.RUNNING,)).where(server=server, repeatable=False)
    # Read before: the dead begin nothing. Most leave nothing of the sort, and need no transaction around all of it.
    begun = [row for row in store.find_jobs(running) if is_function_row(row)]
    if not begun:
        return store.release_server(server, heartbeat=heartbeat)
    with store.transaction():
        released = store.release_server(server, heartbeat=heartbeat)
        failed = [row for row in begun if _fail(store, row, f"server {server} died")]
    for row in failed:
        events.publish(events.JobFailed(row.id, row.kind, f"server {server} died", 0.0))
    return released


def _fail(store: Store, row: JobRow, evidence: str) -> bool:
    """Fail a job that was running and has just been queued again; False where it was not."""
    values = lost_job(row, evidence, clock.now(), row.worker or "")
    # For whoever knows the class: whether it has such hooks cannot be told from here.
    values |= {"pending_hooks": "after_fail", "hooks_server": None}
    return store.update_job(row.id, values, expect={"state": State.QUEUED, "attempt": row.attempt})


class Sweeper:
    """A thread for what takes long and is in no hurry: destroying, rescuing, giving space back."""

    def __init__(self, store: Store, rescuer: Rescuer) -> None:
        self._store = store
        self._rescuer = rescuer
        self._tasks: queue.Queue[Callable[[], object] | None] = queue.Queue()
        self._last = math.inf
        """When to stop removing jobs."""
        self._thread = threading.Thread(target=self._run, name="penstock-sweeper", daemon=True)

    def start(self) -> None:
        """Start sweeping."""
        self._thread.start()

    def do(self, act: Callable[[], object]) -> None:
        """Have something done that may take long, after what was asked for before."""
        self._tasks.put(act)

    def stop(self) -> None:
        """Finish what was asked for and end. Jobs that are still to be removed then are left to the next server."""
        self._last = clock.monotonic() + LAST_SECONDS
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        swept = clock.monotonic()
        while True:
            try:
                act = self._tasks.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._attempt(self._rescuer.look)
            else:
                if act is None:
                    return
                self._attempt(act)
            if clock.monotonic() - swept >= SPACE_SECONDS:
                swept = clock.monotonic()
                self._attempt(self._store.give_space_back)

    def _attempt(self, act: Callable[[], object]) -> None:
        removes = isinstance(act, partial) and act.func == self._store.destroy_job
        if removes and clock.monotonic() >= self._last:
            return  # It is a draft of nobody's: `drop_abandoned` finds it.
        try:
            act()
        except StoreError as error:
            events.publish(events.StoreTroubled(error))
