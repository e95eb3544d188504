"""A server without processes or threads: its one worker is the caller.

Turns are taken and pieces performed one by one, by the dispatcher and the performer that a real server has, so a
test may look, change things, move a manual clock or let the "worker" die between any two of them.
"""

from collections import deque
from typing import Any
from uuid import UUID

import msgspec

from penstock import clock as penstock_clock
from penstock.server.dispatcher import Dispatcher
from penstock.server.facts import facts_of_kinds
from penstock.server.messages import ForgetJob, FromWorker, LearnJob, Recall, RunHook, RunJob, RunSlice, Task, ToWorker
from penstock.server.performing import Performer
from penstock.store import Store
from penstock.store.rows import JobRow, ServerRow

PIECES = RunJob | RunHook | RunSlice
MOST = 10_000
"""Pieces after which `run` takes it that there is no end."""

# What a worker and its server share goes through the channel's form here too.
_ENCODER = msgspec.msgpack.Encoder()
_TO_WORKER: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[ToWorker])
_FROM_WORKER: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[FromWorker])


class Driver:
    """See the module. Its server has one slot."""

    def __init__(self, store: Store, server: str = "server-1", *, slots: int = 1) -> None:
        self.store = store
        self.server = server
        self.slots = slots
        self.performed: list[Task] = []
        """All pieces so far, in order."""
        self._handed: deque[Any] = deque()
        self._known: dict[object, LearnJob] = {}
        self._performer = Performer(f"{server}:1", self._known, lambda _: None)
        self.dispatcher = Dispatcher(store, server, lambda _, messages: self._receive(messages))
        row = ServerRow(server, "here", 1, "running", penstock_clock.now(), 0, 1, slots)
        store.register_server(row)
        self._facts: list[Any] = []

    def run(self) -> int:
        """Perform all there is to do now; returns how many pieces that was."""
        count = 0
        while self.step():
            count += 1
            assert count < MOST, "there is no end to it"
        return count

    def step(self) -> Task | None:
        """Perform one piece and return it; None when there is nothing to do now. What it gave is settled."""
        task = self.take()
        if task is not None:
            self.perform(task)
            self.turn()
        return task

    def take(self) -> Task | None:
        """Return a piece that was claimed and not yet performed; None when there is nothing to do now."""
        self._seat()
        for _ in range(3):  # What is settled in one turn may lead to something in the next.
            task = self._next()
            if task is not None:
                return task
            self.turn()
        return self._next()

    def perform(self, task: Task) -> Any:
        """Perform a piece, hand in what it gave, and return that. It is settled in the next turn."""
        self.performed.append(task)
        (reply,) = _FROM_WORKER.decode(_ENCODER.encode([self._performer.run(task)]))
        reply.seconds = 1.0  # So slow that nothing is handed ahead.
        self.dispatcher.worker_returned("w", [reply])
        return reply

    def crash(self, task: Task) -> None:
        """Let the worker die at a piece."""
        self.dispatcher.worker_died("w", f"{self.server}:1", "killed by SIGKILL", {task.key: 0})
        self._handed.clear()
        self._facts = []
        self._seat()
        self.turn()

    def die(self) -> None:
        """Let the whole server die: the next one takes over what it held."""
        self.store.release_server(self.server)
        self.store.release_hooks(self.server)

    def turn(self) -> None:
        """Take a turn."""
        self._seat()
        self.dispatcher._woken = False
        self.dispatcher._turn()

    def row(self, job_id: UUID) -> JobRow | None:
        """Return a job as it is stored now."""
        return self.store.job(job_id)

    def _seat(self) -> None:
        """Let the worker join, anew when classes have been defined since."""
        facts = facts_of_kinds()
        if facts != self._facts:
            self._facts = facts
            self.dispatcher.worker_ready("w", self.slots, facts)

    def _receive(self, messages: list[Any]) -> None:
        for message in _TO_WORKER.decode(_ENCODER.encode(messages)):
            if isinstance(message, Recall):
                held = [task for task in self._handed if isinstance(task, PIECES)]
                keys = [task.key for task in held if message.keys is None or task.key in message.keys]
                self._handed = deque(task for task in self._handed if getattr(task, "key", None) not in keys)
                self.dispatcher.worker_recalled("w", keys)
            else:
                self._handed.append(message)

    def _next(self) -> Task | None:
        while self._handed:
            message = self._handed.popleft()
            match message:
                case RunJob() | RunHook() | RunSlice():
                    return message
                case LearnJob():
                    self._known[message.row.id] = message
                case ForgetJob():
                    self._known.pop(message.job_id, None)
        return None
