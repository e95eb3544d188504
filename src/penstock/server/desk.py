"""The desk: which worker holds what, and how much more may be handed ahead. Pure: no store, thread or clock.

What is handed ahead is bounded by time, not by count: each slot holds about `HORIZON` seconds of work by
the measured pace of its kind, so that it never waits, yet anything more urgent comes within one piece of work.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from typing import Any

from penstock.server.berths import HEAVY_SLOT, LOOP, SLOT, Berth
from penstock.server.seats import Assignment, Budget, Seat

SMOOTHING = 0.2
"""The weight of the newest measurement in a pace."""
TOGETHER = 0.0002
"""Seconds of work so short that it is not spread over workers: to choose one for each piece takes as long as that."""
MANY_ON_LOOPS = 100
AHEAD_OF_LOOPS = 0.002
"""How long an event loop that has many pieces is taken to have something to do."""
WORTH_RECALLING = 0.01
"""Seconds of waiting work below which moving it to another worker costs more than it gains."""


class Desk:
    """The seats, and the pieces that wait for one."""

    def __init__(self) -> None:
        self.seats: dict[Any, Seat] = {}
        self.loops: dict[Any, Seat] = {}
        """The event loops of workers that take more than slots; what is there has been started."""
        self.heavies: dict[Any, Seat] = {}
        """The workers that do one piece of heavy work at a time, and have no slots for any other."""
        self._ready: list[_Ready] = []
        self._paces: dict[Any, float] = {}
        self.keys = count(1)
        """Gives a key for each new assignment."""

    # Workers -------------------------------------------------------------------------------------

    def join(
        self, worker: Any, slots: int, concurrency: int = 0, node: str | None = None, *, heavy: bool = False
    ) -> None:
        """Seat a worker, which also runs `concurrency` pieces at once on its event loop; or one for `heavy` work."""
        self.seats[worker] = Seat(0 if heavy else slots, node=node)
        if heavy:
            self.heavies[worker] = Seat(slots, node=node)
        if concurrency:
            self.loops[worker] = Seat(concurrency, node=node)

    def leave(self, worker: Any) -> list[Assignment]:
        """Remove a worker and return what it held, oldest first."""
        left = [seat for seats in self._lanes() if (seat := seats.pop(worker, None))]
        return [piece for seat in left for piece in seat.held.values()]

    def perhaps_begun(self, worker: Any, *, slots: bool) -> list[int]:
        """Return the keys of what a worker has begun as far as is known here: all on its event loop, and in `slots`."""
        on_loop = list(self.loops[worker].held) if worker in self.loops else []
        in_slots = [lane[worker] for lane in (self.seats, self.heavies) if worker in lane] if slots else []
        return on_loop + [key for seat in in_slots for key in list(seat.held)[: seat.slots]]

    # Claiming ------------------------------------------------------------------------------------

    def pace(self, key: Any) -> float | None:
        """Return the expected seconds of a piece, or None when none has been measured."""
        return self._paces.get(key)

    def quickest_pace(self, keys: Iterable[Any]) -> float | None:
        """Return the least of the paces that have been measured for these keys, or None."""
        return min((self._paces[key] for key in keys if key in self._paces), default=None)

    def budget(self) -> Budget:
        """Return what may be claimed now."""
        ready = (entry[-1] for entry in self._ready)
        return Budget(self.seats.values(), self.loops.values(), ready, self.heavies.values())

    def seconds_ahead(self) -> float:
        """Return how long every slot has something to do, beyond the piece that it works on; without slots 0."""
        if not any(seat.held for seat in self.seats.values()):
            many = sum(len(seat.held) for seat in self.loops.values()) > MANY_ON_LOOPS
            return AHEAD_OF_LOOPS if many else 0.0
        seats = [seat for seat in self.seats.values() if seat.slots]
        return min((seat.load / seat.slots if seat.waiting else 0.0 for seat in seats), default=0.0)

    def count(self) -> int:
        """Return how many pieces are held."""
        return sum(1 for _ in self._pieces())

    def held(self) -> list[Assignment]:
        """Return what workers hold."""
        return [piece for seat in self._all_seats() for piece in seat.held.values()]

    def waiting(self) -> list[Assignment]:
        """Return the pieces behind those that slots may be working on: they may wait for long."""
        return [piece for seat in self.seats.values() for piece in list(seat.held.values())[seat.slots :]]

    def holds_nothing(self, worker: Any) -> bool:
        """Tell whether a worker holds nothing, or is gone."""
        return not any(worker in seats and seats[worker].held for seats in self._lanes())

    def retire(self, worker: Any) -> dict[Any, list[int]]:
        """Give a worker nothing more; returns what to recall of it for others."""
        seat = self.seats.get(worker)
        if seat is None or seat.retired:
            return {}
        seat.retired = True
        for lane in self._lanes():
            if worker in lane:
                lane[worker].retired = True
        spare = list(seat.held)[seat.slots :]
        seat.recalling.update(spare)
        return {worker: spare} if spare else {}

    def is_empty(self) -> bool:
        """Tell whether nothing is held by anyone."""
        return not self._ready and not any(seat.held for seat in self._all_seats())

    # Handing out ---------------------------------------------------------------------------------

    def add(self, pieces: Iterable[Assignment]) -> None:
        """Take claimed pieces, to be assigned."""
        for piece in pieces:
            piece.seconds = self._paces.get(piece.pace_key, 0.0)
            self._ready.append((piece.priority, piece.order, piece.key, piece))

    def assign(self) -> dict[Any, list[Assignment]]:
        """Give every waiting piece to the worker that will be free first; returns what each worker gets.

        Those stay that no worker may have.
        """
        given: dict[Any, list[Assignment]] = {}
        queues = {SLOT: Queue(self.seats), LOOP: Queue(self.loops), HEAVY_SLOT: Queue(self.heavies)}
        left = []
        for run in _runs(sorted(self._ready)):
            pieces = [entry[-1] for entry in run]
            worker = queues[pieces[0].berth.lane].take(pieces)
            if worker is None:
                left += run
            else:
                given.setdefault(worker, []).extend(pieces)
        self._ready = left
        return given

    def finish(self, worker: Any, key: int, seconds: float) -> Assignment | None:
        """Note that a worker is through with a piece; None when it did not hold it."""
        piece = self._take(worker, key)
        if piece is not None:
            old = self._paces.get(piece.pace_key, seconds)
            self._paces[piece.pace_key] = old + SMOOTHING * (seconds - old)
        return piece

    # Taking back ---------------------------------------------------------------------------------

    def recall_for_idle(self, worth: float = WORTH_RECALLING) -> dict[Any, list[int]]:
        """Choose pieces to take from the fullest worker when another has a free slot.

        Nothing is chosen where less than `worth` seconds of work wait.
        """
        idle = any(len(seat.held) < seat.slots and not seat.retired for seat in self.seats.values())
        waiting = {worker: seat for worker, seat in self.seats.items() if seat.waiting}
        if self._ready or not idle or not waiting:
            return {}
        worker, fullest = max(waiting.items(), key=lambda item: (item[1].load, item[1].waiting))
        expected = fullest.waiting * fullest.load / len(fullest.held)
        if fullest.recalling or expected < worth:
            return {}
        spare = [key for key in list(fullest.held)[fullest.slots :] if not fullest.held[key].berth.restricts]
        chosen = spare[len(spare) // 2 :]
        if not chosen:
            return {}
        fullest.recalling.update(chosen)
        return {worker: chosen}

    def recall(self, wanted: Callable[[Assignment], bool]) -> dict[Any, list[int]]:
        """Choose every piece that `wanted` says, to be given back to the store."""
        chosen: dict[Any, list[int]] = {}
        for worker, seat in self.seats.items():
            keys = [key for key, piece in seat.held.items() if not piece.returning and wanted(piece)]
            for key in keys:
                seat.held[key].returning = True
            if keys:
                seat.recalling.update(keys)
                chosen[worker] = keys
        return chosen

    def recalled(self, worker: Any, keys: Iterable[int]) -> list[Assignment]:
        """Take back pieces that a worker had not started; returns those to be given back to the store."""
        taken = [piece for key in keys if (piece := self._take(worker, key))]
        seat = self.seats.get(worker)
        if seat:
            seat.recalling.clear()
        self.add(piece for piece in taken if not piece.returning)
        return [piece for piece in taken if piece.returning]

    def withdraw_ready(self, wanted: Callable[[Assignment], bool]) -> list[Assignment]:
        """Take back pieces that no worker has got yet."""
        taken = [entry[-1] for entry in self._ready if wanted(entry[-1])]
        self._ready = [entry for entry in self._ready if not wanted(entry[-1])]
        return taken

    def _take(self, worker: Any, key: int) -> Assignment | None:
        for seats in (self.seats, self.loops, self.heavies):
            if worker in seats and (piece := seats[worker].drop(key)) is not None:
                return piece
        return None

    def _all_seats(self) -> Iterable[Seat]:
        return chain(*(lane.values() for lane in self._lanes()))

    def _lanes(self) -> tuple[dict[Any, Seat], ...]:
        return self.seats, self.loops, self.heavies

    def _pieces(self) -> Iterable[Assignment]:
        for seat in self._all_seats():
            yield from seat.held.values()
        for entry in self._ready:
            yield entry[-1]


_Ready = tuple[int, Any, int, Assignment]
"""A piece behind its place in the order: its priority, the order within that, and its key."""


def _runs(ready: list[_Ready]) -> Iterator[list[_Ready]]:
    """Cut pieces into runs that go to one worker: of very short ones that are alike as many as make up `TOGETHER`."""
    first = 0
    while first < len(ready):
        piece = ready[first][-1]
        most = int(TOGETHER / piece.seconds) if piece.seconds and piece.berth == SLOT else 1
        end = first + 1
        while end < len(ready) and end - first < most and _are_alike(piece, ready[end][-1]):
            end += 1
        yield ready[first:end]
        first = end


def _are_alike(one: Assignment, other: Assignment) -> bool:
    return one.seconds == other.seconds and one.priority == other.priority and one.berth == other.berth


class Queue:
    """The workers by when they will be free, while pieces are given to them."""

    def __init__(self, seats: dict[Any, Seat]) -> None:
        self._seats = seats
        # The number keeps workers, which have no order, from being compared.
        self._waits = [
            (*_expected_wait(seat), number, worker)
            for number, (worker, seat) in enumerate(seats.items())
            if seat.slots and not seat.retired
        ]
        heapq.heapify(self._waits)

    def take(self, pieces: list[Assignment]) -> Any:
        """Give pieces to the worker that is free first of those that may have them; None where there is none.

        If there are several they are alike, and may run anywhere.
        """
        berth = pieces[0].berth
        worker = self._chosen(berth) if berth.node or berth.restricts else self._first()
        if worker is not None:
            self._seats[worker].take(pieces)
        return worker

    def _first(self) -> Any:
        """Return the worker that is free first. What was given meanwhile has made some of the waits longer."""
        while self._waits:
            *known, number, worker = self._waits[0]
            wait = _expected_wait(self._seats[worker])
            if tuple(known) == wait:
                return worker
            heapq.heapreplace(self._waits, (*wait, number, worker))
        return None

    def _chosen(self, berth: Berth) -> Any:
        fitting = [worker for *_, worker in self._waits if berth.fits(self._seats[worker].node)]
        wanted = [worker for worker in fitting if self._seats[worker].node == berth.node]
        free = [worker for worker in wanted if len(self._seats[worker].held) < self._seats[worker].slots]
        return min(free or fitting, key=lambda worker: _expected_wait(self._seats[worker]), default=None)


def _expected_wait(seat: Seat) -> tuple[float, float]:
    """Return the seconds until a slot is free, and how full the worker is for those that are alike."""
    held = len(seat.held)
    return (seat.load / seat.slots if held >= seat.slots else 0.0), held / seat.slots
