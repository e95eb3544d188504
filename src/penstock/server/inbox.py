"""The pieces of work that a worker holds and has not started, most urgent first."""

import threading
from collections import deque
from collections.abc import Collection

from penstock.server.messages import Task


class Inbox:
    """A queue by priority, then by the order of handing out. Any thread may use it."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Task]] = {}
        """By priority; none is empty."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def put(self, *tasks: Task) -> None:
        """Add pieces."""
        with self._lock:
            for task in tasks:
                self._queues.setdefault(task.priority, deque()).append(task)
            self._changed.notify(len(tasks))

    def take_now(self) -> Task | None:
        """Return the most urgent piece, or None."""
        with self._lock:
            return self._first() if self._queues else None

    def take(self) -> Task:
        """Wait for a piece and return the most urgent."""
        with self._changed:
            while not self._queues:
                self._changed.wait()
            return self._first()

    def recall(self, keys: Collection[int] | None) -> list[int]:
        """Remove those of the named pieces that are still here, all for None, and return their keys."""
        wanted = None if keys is None else set(keys)
        with self._changed:
            here = [task for queue in self._queues.values() for task in queue]
            taken = [task.key for task in here if wanted is None or task.key in wanted]
            gone = set(taken)
            kept = (
                (priority, deque(task for task in queue if task.key not in gone))
                for priority, queue in self._queues.items()
            )
            self._queues = {priority: queue for priority, queue in kept if queue}
        return taken

    def _first(self) -> Task:
        priority = min(self._queues)
        queue = self._queues[priority]
        task = queue.popleft()
        if not queue:
            del self._queues[priority]
        return task
