"""A node: worker processes that work for the distributors it has dialled. Nothing is stored here.

To its workers a node is what a dispatcher is to those of a server. It keeps a table of what they hold and for whom:
each piece gets a key of the node's own, since those of different distributors may be the same numbers.
"""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from penstock import clock
from penstock.config import settings
from penstock.distributor.wire import Give, Joined, Left, Retiring, Said
from penstock.errors import PenstockError
from penstock.server import messages
from penstock.server.crew import Crew
from penstock.server.messages import TASKS, KindFacts, Recall, Recalled, Reply
from penstock.server.options import ServerOptions, settings_of_workers
from penstock.server.pool import WorkerProcess


class Outlet(Protocol):
    """A distributor that is connected."""

    def send(self, messages: Sequence[Any]) -> None:
        """Send messages to it, from any thread."""


@dataclass(slots=True)
class Held:
    """A piece of work that a worker of ours holds."""

    outlet: Outlet
    desk: int
    key: int
    """Its key there."""
    worker: WorkerProcess


@dataclass(eq=False, slots=True)
class Present:
    """A worker that is ready."""

    number: int
    joined: Joined
    retired_at: set[int] = field(default_factory=set)
    """The distributors, by `id`, that have said that they give it nothing more."""


class Node:
    """The crew, and the table of what it holds for whom."""

    def __init__(self, name: str, options: ServerOptions) -> None:
        self.name = name
        self.failed: PenstockError | None = None
        self.ended = threading.Event()
        """Set when the workers cannot go on."""
        given = {"store": settings().store, **settings_of_workers(), **options.logging}
        self._crew = Crew(name, options, given, self._give_up, relays=True)
        self._crew.boss = self
        self._changed = threading.Condition()
        self._held: dict[int, Held] = {}
        self._keys: dict[tuple[int, int, int], int] = {}
        """The same by outlet, desk and key there."""
        self._next = count(1)
        self._numbers = count(1)
        self._present: dict[WorkerProcess, Present] = {}
        self._outlets: list[Outlet] = []
        self._leaving = False

    def start(self) -> None:
        """Start the workers."""
        self._crew.start()

    def drain(self, grace: float) -> bool:
        """Ask for nothing more, and wait for what is held; False when it was not done after `grace` seconds."""
        with self._changed:
            self._leaving = True
            outlets = list(self._outlets)
        for outlet in outlets:
            outlet.send([Retiring(None)])
        deadline = clock.monotonic() + grace
        with self._changed:
            while self._held or not self._all_retired():
                left = deadline - clock.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def stop(self) -> None:
        """End the workers."""
        self._crew.closed = True
        self._crew.pool.stop()

    def count(self) -> int:
        """Return how many pieces of work are held."""
        with self._changed:
            return len(self._held)

    # Distributors --------------------------------------------------------------------------------

    def connected(self, outlet: Outlet) -> None:
        """Offer the workers to a distributor."""
        with self._changed:
            self._outlets.append(outlet)
            outlet.send([present.joined for present in self._present.values()])
            if self._leaving:
                outlet.send([Retiring(None)])

    def disconnected(self, outlet: Outlet) -> None:
        """Forget a distributor. What is held for it is finished, and told to nobody."""
        with self._changed:
            self._outlets.remove(outlet)
            self._changed.notify_all()

    def give(self, outlet: Outlet, given: Give) -> None:
        """Pass work on to a worker. One that has ended meanwhile gets none: its distributor is told of its end."""
        with self._changed:
            worker = next((one for one, present in self._present.items() if present.number == given.worker), None)
            if worker is None:
                return
            passed = [self._passed(outlet, given.desk, worker, message) for message in given.messages]
        self._crew.pool.send(worker, passed)

    def retired(self, outlet: Outlet, numbers: list[int] | None) -> None:
        """Note that a distributor gives these workers nothing more; None are all."""
        with self._changed:
            for present in self._present.values():
                if numbers is None or present.number in numbers:
                    present.retired_at.add(id(outlet))
            free = [worker for worker in self._present if worker.retired and self._is_free(worker)]
            self._changed.notify_all()
        for worker in free:
            self._crew.pool.dismiss(worker)

    def _passed(self, outlet: Outlet, desk: int, worker: WorkerProcess, message: Any) -> Any:
        """Return a message as the worker gets it, and note what it will hold."""
        if isinstance(message, TASKS):
            ours = next(self._next)
            self._held[ours] = Held(outlet, desk, message.key, worker)
            self._keys[id(outlet), desk, message.key] = ours
            message.key = ours
        elif isinstance(message, Recall):
            keys = [
                self._keys[theirs] for key in message.keys or () if (theirs := (id(outlet), desk, key)) in self._keys
            ]
            return Recall(keys)
        return message

    # Its workers; in the pool's thread -----------------------------------------------------------

    def worker_ready(
        self, worker: WorkerProcess, slots: int, kinds: list[KindFacts], *, concurrency: int = 0, heavy: bool = False
    ) -> None:
        """Offer a new worker to all distributors."""
        number = next(self._numbers)
        joined = Joined(number, worker.name, slots, concurrency, kinds, heavy)
        with self._changed:
            self._present[worker] = Present(number, joined)
            for outlet in self._outlets:
                outlet.send([joined])

    def worker_returned(self, worker: WorkerProcess, replies: list[Reply]) -> None:
        """Pass results on, each to whom the work is for."""
        with self._changed:
            number = self._present[worker].number
            sorted_out: dict[tuple[int, int], tuple[Outlet, list[Any]]] = {}
            for reply in replies:
                held = self._let_go(reply.key)
                if held is not None:
                    reply.key = held.key
                    sorted_out.setdefault((id(held.outlet), held.desk), (held.outlet, []))[1].append(reply)
            if not self._held:
                self._changed.notify_all()
        for (_, desk), (outlet, theirs) in sorted_out.items():
            outlet.send([Said(number, desk, theirs)])

    def worker_recalled(self, worker: WorkerProcess, keys: list[int]) -> None:
        """Pass on what was not started."""
        with self._changed:
            number = self._present[worker].number
            sorted_out: dict[tuple[int, int], tuple[Outlet, list[int]]] = {}
            for key in keys:
                held = self._let_go(key)
                if held is not None:
                    sorted_out.setdefault((id(held.outlet), held.desk), (held.outlet, []))[1].append(held.key)
            self._changed.notify_all()
        for (_, desk), (outlet, theirs) in sorted_out.items():
            outlet.send([Said(number, desk, [Recalled(theirs)])])

    def worker_said(self, worker: WorkerProcess, message: messages.Said) -> None:
        """Pass on what work says, to whom the work is for."""
        with self._changed:
            held = self._held.get(message.key)
            number = self._present[worker].number
        if held is not None:
            message.key = held.key
            held.outlet.send([Said(number, held.desk, [message])])

    def worker_died(
        self,
        worker: WorkerProcess,
        name: str,
        evidence: str,
        working_on: dict[int, int] | None,
        overdue: Collection[int] = (),
    ) -> None:
        """Tell every distributor that a worker has ended, and what it was at."""
        with self._changed:
            present = self._present.pop(worker, None)
            if present is None:
                return  # It was not ready.
            lefts = {id(outlet): (outlet, Left(present.number, evidence, {}, {})) for outlet in self._outlets}
            for key in [key for key, held in self._held.items() if held.worker is worker]:
                held = self._let_go(key)
                if held is None or id(held.outlet) not in lefts:
                    continue
                left = lefts[id(held.outlet)][1]
                if key in overdue:
                    left.overdue.setdefault(held.desk, []).append(held.key)
                if working_on and key in working_on:
                    left.working_on.setdefault(held.desk, {})[held.key] = working_on[key]
            self._changed.notify_all()
        for outlet, left in lefts.values():
            outlet.send([left])

    def retire(self, worker: WorkerProcess) -> bool:
        """Have all distributors give a worker nothing more; tells whether it holds nothing, and will get nothing."""
        with self._changed:
            present = self._present.get(worker)
            if present is None or self._is_free(worker):
                return True
            if worker.retired:
                for outlet in self._outlets:
                    if id(outlet) not in present.retired_at:
                        outlet.send([Retiring([present.number])])
            return False

    # ----------------------------------------------------------------------------------------------

    def _is_free(self, worker: WorkerProcess) -> bool:
        retired_at = self._present[worker].retired_at
        holds = any(held.worker is worker for held in self._held.values())
        return not holds and all(id(outlet) in retired_at for outlet in self._outlets)

    def _all_retired(self) -> bool:
        return all(id(outlet) in one.retired_at for one in self._present.values() for outlet in self._outlets)

    def _let_go(self, key: int) -> Held | None:
        held = self._held.pop(key, None)
        if held is not None:
            self._keys.pop((id(held.outlet), held.desk, held.key), None)
        return held

    def _give_up(self, error: PenstockError) -> None:
        self.failed = self.failed or error
        self._crew.closed = True
        self.ended.set()
