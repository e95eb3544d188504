"""The event loop of a worker as a place for regular jobs that are `async` throughout: one task each, and no thread."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from penstock.model.event_loop import running_loop
from penstock.server.messages import JobDone, RunJob
from penstock.server.performing import Performer
from penstock.server.relay import RUNNING

MANY = 100
"""With more jobs than that at once it costs more to send and settle each result by itself than to run the job."""
GATHER_SECONDS = 0.002
"""How long results are gathered while there are so many."""


class LoopLane:
    """Starts what it is given at once, and sends the results that have gathered in one round of the loop together."""

    def __init__(self, send: Callable[[list[Any]], object], performer: Performer, kinds: frozenset[str]) -> None:
        self._send = send
        self._performer = performer
        self._kinds = kinds
        self._loop = running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._replies: list[JobDone] = []

    def take(self, messages: Sequence[Any]) -> list[Any]:
        """Start the jobs among these messages that run here; returns the others."""
        mine = [one for one in messages if isinstance(one, RunJob) and one.row.kind in self._kinds]
        if not mine:
            return list(messages)
        self._loop.call_soon_threadsafe(self._begin, mine)
        taken = set(map(id, mine))
        return [one for one in messages if id(one) not in taken]

    def _begin(self, tasks: list[RunJob]) -> None:
        for task in tasks:
            running = self._loop.create_task(self._run(task))
            # The loop holds its tasks weakly.
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _run(self, task: RunJob) -> None:
        RUNNING.set(task.key)
        began = time.perf_counter()
        reply = await self._performer.run_on_loop(task)
        reply.seconds = time.perf_counter() - began
        if not self._replies:
            self._loop.call_later(GATHER_SECONDS if len(self._running) > MANY else 0.0, self._flush)
        self._replies.append(reply)

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        self._send(replies)
