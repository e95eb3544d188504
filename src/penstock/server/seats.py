"""The seats of workers, and how much more they may hold. Pure: no store, thread or clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from penstock.server.berths import HEAVY_SLOT, LOOP, SLOT, Berth

HORIZON = 0.1
"""Seconds of work that a slot may hold, the piece it works on included."""
LEAST_URGENT = 100
"""The priority of a job that gives way to all others."""
MOST_HELD = 1000
"""Pieces that one slot may hold, however short they are."""
MOST_BYTES = 8 << 20
"""Payload that a server may hold. A free slot gets a slice all the same."""


class Assignment(Struct, eq=False, gc=False):
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
    berth: Berth = SLOT


class Sums:
    """How many pieces there are of each priority, the seconds they take together, and the bytes of all.

    Counted as pieces come and go: every turn asks, and an event loop may hold ten thousand.
    """

    __slots__ = ("by_priority", "size")

    def __init__(self) -> None:
        self.by_priority: dict[int, tuple[int, float]] = {}
        self.size = 0

    def add(self, priority: int, number: int, seconds: float, size: int = 0) -> None:
        """Count pieces that take so many seconds and bytes together; less than none takes them back."""
        had, took = self.by_priority.get(priority, (0, 0.0))
        if had + number:
            self.by_priority[priority] = (had + number, took + seconds)
        else:
            # With it goes what rounding has left of the seconds.
            self.by_priority.pop(priority, None)
        self.size += size

    def add_all(self, others: "Sums") -> None:
        """Count what others have counted."""
        for priority, (number, seconds) in others.by_priority.items():
            self.add(priority, number, seconds)
        self.size += others.size


@dataclass(slots=True)
class Seat:
    """A worker process and what it holds."""

    slots: int
    held: dict[int, Assignment] = field(default_factory=dict)
    """Changed by `take` and `drop` alone."""
    load: float = 0.0
    recalling: set[int] = field(default_factory=set)
    retired: bool = False
    """It gets nothing more: another worker is to take its place."""
    node: str | None = None
    """The node it is on; None for a worker of this server itself."""
    sums: Sums = field(default_factory=Sums)

    @property
    def waiting(self) -> int:
        """How many pieces are behind those that its slots work on."""
        return max(0, len(self.held) - self.slots)

    def take(self, pieces: list[Assignment]) -> None:
        """Hold pieces of one priority and pace."""
        for piece in pieces:
            self.held[piece.key] = piece
        number, first = len(pieces), pieces[0]
        self.load += number * first.seconds
        self.sums.add(first.priority, number, number * first.seconds, sum([piece.size for piece in pieces]))

    def drop(self, key: int) -> Assignment | None:
        """Hold a piece no longer, and return it; None when it was not held."""
        piece = self.held.pop(key, None)
        if piece is not None:
            self.load = max(0.0, self.load - piece.seconds) if self.held else 0.0
            self.sums.add(piece.priority, -1, -piece.seconds, -piece.size)
            self.recalling.discard(key)
        return piece


class Room:
    """What some seats may still get, by urgency: work that is less urgent than a candidate does not count."""

    def __init__(self, seats: Iterable[Seat], waiting: Iterable[Assignment] = (), *, ahead: bool = True) -> None:
        """Count what the seats hold, and what waits for them; `ahead` tells whether they may hold more than they do."""
        staying = [seat for seat in seats if not seat.retired]
        self._slots = sum(seat.slots for seat in staying)
        self._ahead = ahead
        self._sums = Sums()
        for seat in staying:
            self._sums.add_all(seat.sums)
        for piece in waiting:
            self._sums.add(piece.priority, 1, piece.seconds, piece.size)

    @property
    def size(self) -> int:
        """The bytes of what is held."""
        return self._sums.size

    def add(self, priority: int, number: int, seconds: float) -> None:
        """Count pieces that take so many seconds together."""
        self._sums.add(priority, number, seconds)

    def left(self, priority: int, pace: float | None, free_bytes: int) -> int:
        """Return how many pieces of this pace, in seconds, may be claimed; None is an unknown pace."""
        number = seconds = 0.0
        for level, (its_number, its_seconds) in self._sums.by_priority.items():
            if level <= priority:
                number += its_number
                seconds += its_seconds
        free = max(0, int(self._slots - number))
        if pace is None or free_bytes <= 0 or not self._ahead:
            return free
        ahead = min((self._slots * HORIZON - seconds) / max(pace, 1e-7), self._slots * MOST_HELD - number)
        # One piece ahead for each slot where pieces are short enough for the round trip to matter.
        spare = max(0, int(2 * self._slots - number)) if pace < 10 * HORIZON else free
        return max(free, int(ahead), spare)


class Budget:
    """How much may be claimed in one turn: in slots, on loops, in processes for heavy work, and on single nodes."""

    def __init__(
        self,
        seats: Iterable[Seat],
        loops: Iterable[Seat],
        ready: Iterable[Assignment],
        heavies: Iterable[Seat] = (),
    ) -> None:
        self._seats = {SLOT: list(seats), LOOP: list(loops), HEAVY_SLOT: list(heavies)}
        waiting = list(ready)
        self._rooms: dict[Berth, Room] = {
            lane: Room(seats, (piece for piece in waiting if piece.berth.lane == lane), ahead=lane == SLOT)
            for lane, seats in self._seats.items()
        }
        self.free_bytes = MOST_BYTES - sum(room.size for room in self._rooms.values())

    @property
    def has_loops(self) -> bool:
        """Whether any worker has room for what runs on an event loop."""
        return bool(self._seats[LOOP])

    @property
    def has_heavies(self) -> bool:
        """Whether there are worker processes for heavy work."""
        return bool(self._seats[HEAVY_SLOT])

    def room(self, priority: int, pace: float | None, berth: Berth = SLOT) -> int:
        """Return how many pieces of this pace, in seconds, may be claimed; None is an unknown pace."""
        return self._room(berth).left(priority, pace, self.free_bytes)

    def spend(self, priority: int, number: int, pace: float | None, size: int = 0, berth: Berth = SLOT) -> None:
        """Count `number` claimed pieces."""
        for room in {id(room): room for room in (self._room(berth), self._rooms[berth.lane])}.values():
            room.add(priority, number, number * (pace or 0.0))
        self.free_bytes -= size

    def _room(self, berth: Berth) -> Room:
        if not berth.restricts:
            return self._rooms[berth.lane]
        key = berth if berth.strict else berth._replace(node=None)
        if key not in self._rooms:
            fitting = [seat for seat in self._seats[berth.lane] if berth.fits(seat.node)]
            self._rooms[key] = Room(fitting, ahead=berth.lane == SLOT)
        return self._rooms[key]
