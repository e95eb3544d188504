"""Where the walks of a claim begin: behind what is dead, as long as PostgreSQL cannot clean that up.

A job that is claimed leaves the claim's index. While some transaction is open that is older, its entry stays, at the
very front, and every walk reads all of these before the first job that can be had: after a million jobs, for a tenth
of a second. So a walk that has become dear is not begun at the front each time, but at the first job that the walk
before it has seen. What comes to be in front of that meanwhile (an urgent job, one that is queued again) is found by
the next walk over everything, and those take a twentieth of the time at most. Slices of a batch job are claimed in the
same way, by their number.
"""

from dataclasses import dataclass, field
from uuid import UUID

from penstock import clock

FRONT = (0, UUID(int=0))
"""Before every job."""
MANY = 20_000
"""Jobs, or slices, that this process has claimed since it began: with fewer, nothing in front is worth a thought."""
DEAR_SECONDS = 0.005
SHARE = 20
"""A walk over everything that took a second is followed by the next one after so many."""


@dataclass
class Floors:
    """The beginnings of the walks of one process."""

    claimed: int = 0
    _first: dict[tuple[str, ...], tuple[int, UUID]] = field(default_factory=dict)
    _next_whole: float = 0.0

    def begin(self) -> bool:
        """Tell whether the walks that follow go over everything."""
        whole = self.claimed < MANY or clock.monotonic() >= self._next_whole
        if whole:
            self._first.clear()
        return whole

    def of(self, walk: tuple[str, ...]) -> tuple[int, UUID]:
        """Return the place at which a walk begins, named by its kind, its group where it has one, and its condition."""
        return self._first.get(walk, FRONT)

    def note(self, walk: tuple[str, ...], first: tuple[int, UUID]) -> None:
        """Note the first job that a walk has seen."""
        self._first[walk] = first

    def end_whole(self, seconds: float) -> None:
        """Note how long walks over everything took."""
        self._next_whole = clock.monotonic() + SHARE * seconds if seconds >= DEAR_SECONDS else 0.0
