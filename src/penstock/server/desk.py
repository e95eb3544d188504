"""The desk: which worker holds what, and how much more may be handed ahead. Pure: no store, thread or clock.

What is handed ahead is bounded by time, not by count: each slot holds about `HORIZON` seconds of work by
the measured pace of its kind, so that it never waits, yet anything more urgent comes within one piece of work.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

HORIZON = 0.1
"""Seconds of work that a slot may hold, the piece it works on included."""
LEAST_URGENT = 100
"""The priority of a job that gives way to all others."""
MOST_HELD = 1000
"""Pieces that one slot may hold, however short they are."""
MOST_BYTES = 8 << 20
"""Payload that a server may hold. A free slot gets a slice all the same."""
SMOOTHING = 0.2
"""The weight of the newest measurement in a pace."""
WORTH_RECALLING = 0.01
"""Seconds of waiting work below which moving it to another worker costs more than it gains."""


@dataclass(slots=True, eq=False)
class Assignment:
    """A claimed piece of work: a job, a hook or a slice."""

    key: int
    task: Any
    """The message that hands it to a worker."""
    subject: Any
    """What was claimed; the dispatcher's."""
    pace_key: Any
    """Pieces with the same key take about the same time."""
    priority: int
    order: Any
    """The order within a priority."""
    size: int = 0
    seconds: float = 0.0
    """Expected duration."""
    returning: bool = False
    """To be given back to the store when it is recalled."""


@dataclass(slots=True)
class Seat:
    """A worker process and what it holds."""

    slots: int
    held: dict[int, Assignment] = field(default_factory=dict)
    load: float = 0.0
    recalling: set[int] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        """How many pieces are behind those that its slots work on."""
        return max(0, len(self.held) - self.slots)


class Budget:
    """How much may be claimed in one turn, by urgency: work that is less urgent than a candidate does not count."""

    def __init__(self, slots: int, held: dict[int, tuple[int, float]], free_bytes: int) -> None:
        self._slots = slots
        self._held = held
        self.free_bytes = free_bytes

    def room(self, priority: int, pace: float | None) -> int:
        """Return how many pieces of this pace, in seconds, may be claimed; None is an unknown pace."""
        number = seconds = 0.0
        for level, (its_number, its_seconds) in self._held.items():
            if level <= priority:
                number += its_number
                seconds += its_seconds
        free = max(0, int(self._slots - number))
        if pace is None or self.free_bytes <= 0:
            return free
        ahead = min((self._slots * HORIZON - seconds) / max(pace, 1e-7), self._slots * MOST_HELD - number)
        # One piece ahead for each slot where pieces are short enough for the round trip to matter.
        spare = max(0, int(2 * self._slots - number)) if pace < 10 * HORIZON else free
        return max(free, int(ahead), spare)

    def spend(self, priority: int, number: int, pace: float | None, size: int = 0) -> None:
        """Count `number` claimed pieces."""
        had, seconds = self._held.get(priority, (0, 0.0))
        self._held[priority] = (had + number, seconds + number * (pace or 0.0))
        self.free_bytes -= size


class Desk:
    """The seats, and the pieces that wait for one."""

    def __init__(self) -> None:
        self.seats: dict[Any, Seat] = {}
        self._ready: list[tuple[int, Any, int, Assignment]] = []
        self._paces: dict[Any, float] = {}
        self._keys = count(1)

    # Workers -------------------------------------------------------------------------------------

    def join(self, worker: Any, slots: int) -> None:
        """Seat a worker."""
        self.seats[worker] = Seat(slots)

    def leave(self, worker: Any) -> list[Assignment]:
        """Remove a worker and return what it held, oldest first."""
        seat = self.seats.pop(worker, None)
        return list(seat.held.values()) if seat else []

    # Claiming ------------------------------------------------------------------------------------

    def next_key(self) -> int:
        """Return a key for a new assignment."""
        return next(self._keys)

    def pace(self, key: Any) -> float | None:
        """Return the expected seconds of a piece, or None when none has been measured."""
        return self._paces.get(key)

    def quickest_pace(self, keys: Iterable[Any]) -> float | None:
        """Return the least of the paces that have been measured for these keys, or None."""
        return min((self._paces[key] for key in keys if key in self._paces), default=None)

    def budget(self) -> Budget:
        """Return what may be claimed now."""
        held: dict[int, tuple[int, float]] = {}
        size = 0
        for piece in self._pieces():
            number, seconds = held.get(piece.priority, (0, 0.0))
            held[piece.priority] = (number + 1, seconds + piece.seconds)
            size += piece.size
        return Budget(sum(seat.slots for seat in self.seats.values()), held, MOST_BYTES - size)

    def is_hungry(self) -> bool:
        """Tell whether some slot has no more than half of what it may hold."""
        return any(len(seat.held) <= seat.slots or seat.load < seat.slots * HORIZON / 2 for seat in self.seats.values())

    def is_empty(self) -> bool:
        """Tell whether nothing is held by anyone."""
        return not self._ready and not any(seat.held for seat in self.seats.values())

    # Handing out ---------------------------------------------------------------------------------

    def add(self, pieces: Iterable[Assignment]) -> None:
        """Take claimed pieces, to be assigned."""
        for piece in pieces:
            piece.seconds = self._paces.get(piece.pace_key, 0.0)
            self._ready.append((piece.priority, piece.order, piece.key, piece))

    def assign(self) -> dict[Any, list[Assignment]]:
        """Give every waiting piece to the worker that will be free first; returns what each worker gets."""
        if not self.seats:
            return {}
        given: dict[Any, list[Assignment]] = {}
        # The number keeps workers, which have no order, from being compared.
        waits = [(*_expected_wait(seat), number, worker) for number, (worker, seat) in enumerate(self.seats.items())]
        heapq.heapify(waits)
        for *_, piece in sorted(self._ready):
            _, _, number, worker = waits[0]
            seat = self.seats[worker]
            seat.held[piece.key] = piece
            seat.load += piece.seconds
            heapq.heapreplace(waits, (*_expected_wait(seat), number, worker))
            given.setdefault(worker, []).append(piece)
        self._ready.clear()
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
        idle = any(len(seat.held) < seat.slots for seat in self.seats.values())
        waiting = {worker: seat for worker, seat in self.seats.items() if seat.waiting}
        if self._ready or not idle or not waiting:
            return {}
        worker, fullest = max(waiting.items(), key=lambda item: (item[1].load, item[1].waiting))
        expected = fullest.waiting * fullest.load / len(fullest.held)
        if fullest.recalling or expected < worth:
            return {}
        spare = list(fullest.held)[fullest.slots :]
        chosen = spare[len(spare) // 2 :]
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
        seat = self.seats.get(worker)
        piece = seat.held.pop(key, None) if seat else None
        if seat and piece:
            seat.load = max(0.0, seat.load - piece.seconds) if seat.held else 0.0
            seat.recalling.discard(key)
        return piece

    def _pieces(self) -> Iterable[Assignment]:
        for seat in self.seats.values():
            yield from seat.held.values()
        for entry in self._ready:
            yield entry[-1]


def _expected_wait(seat: Seat) -> tuple[float, float]:
    """Return the seconds until a slot is free, and how full the worker is for those that are alike."""
    held = len(seat.held)
    return (seat.load / seat.slots if held >= seat.slots else 0.0), held / seat.slots
