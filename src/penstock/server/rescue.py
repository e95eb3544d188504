"""Rescue: what dead servers held is queued again, and what dead uploads left is removed."""

import queue
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID

from penstock import clock, events
from penstock.errors import StoreError
from penstock.store.protocol import Store

DEAD_AFTER_SECONDS = 30.0
"""A server on another host is dead when its heartbeat counter has stood still so long by the observer's own clock."""
LOOK_SECONDS = 1.0
SPACE_SECONDS = 60.0


class Rescuer:
    """Observes other servers. Clocks are never compared: a stepped clock kills nobody."""

    def __init__(self, store: Store, me: str) -> None:
        self._store = store
        self._me = me
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self) -> None:
        """Release what servers held that are found dead now."""
        for server in self._store.servers():
            if server.name != self._me and self._is_dead(server.name, server.heartbeat):
                released = self._store.release_server(server.name)
                events.publish(events.ServerDied(server.name, released))
        self._store.drop_abandoned()

    def _is_dead(self, name: str, heartbeat: int) -> bool:
        present = self._store.is_present(name)
        if present is not None:
            return not present
        counter, since = self._seen.get(name, (None, 0.0))
        if counter != heartbeat:
            self._seen[name] = (heartbeat, clock.monotonic())
            return False
        return clock.monotonic() - since >= DEAD_AFTER_SECONDS


class Sweeper:
    """A thread for what takes long and is in no hurry: destroying, rescuing, giving space back."""

    def __init__(self, store: Store, rescuer: Rescuer) -> None:
        self._store = store
        self._rescuer = rescuer
        self._doomed: queue.Queue[UUID | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="penstock-sweeper", daemon=True)

    def start(self) -> None:
        """Start sweeping."""
        self._thread.start()

    def destroy(self, job_id: UUID) -> None:
        """Remove a job that is out of sight already."""
        self._doomed.put(job_id)

    def stop(self) -> None:
        """Finish what was asked for and end."""
        self._doomed.put(None)
        self._thread.join()

    def _run(self) -> None:
        swept = clock.monotonic()
        while True:
            try:
                job_id = self._doomed.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._attempt(self._rescuer.look)
            else:
                if job_id is None:
                    return
                self._attempt(partial(self._store.destroy_job, job_id))
            if clock.monotonic() - swept >= SPACE_SECONDS:
                swept = clock.monotonic()
                self._attempt(self._store.give_space_back)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except StoreError as error:
            events.publish(events.StoreTroubled(error))
