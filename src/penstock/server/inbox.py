"""The pieces of work that a worker holds and has not started, most urgent first."""

import heapq
import threading
from collections.abc import Collection

from penstock.server.messages import Task


class Inbox:
    """A queue by priority, then by the order of handing out. Any thread may use it."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Task]] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def put(self, *tasks: Task) -> None:
        """Add pieces."""
        with self._lock:
            for task in tasks:
                heapq.heappush(self._heap, (task.priority, task.key, task))
            self._changed.notify(len(tasks))

    def take_now(self) -> Task | None:
        """Return the most urgent piece, or None."""
        with self._lock:
            return heapq.heappop(self._heap)[2] if self._heap else None

    def take(self) -> Task:
        """Wait for a piece and return the most urgent."""
        with self._changed:
            while not self._heap:
                self._changed.wait()
            return heapq.heappop(self._heap)[2]

    def recall(self, keys: Collection[int] | None) -> list[int]:
        """Remove those of the named pieces that are still here, all for None, and return their keys."""
        wanted = None if keys is None else set(keys)
        with self._changed:
            taken = [key for _, key, _ in self._heap if wanted is None or key in wanted]
            gone = set(taken)
            self._heap = [entry for entry in self._heap if entry[1] not in gone]
            heapq.heapify(self._heap)
        return taken
