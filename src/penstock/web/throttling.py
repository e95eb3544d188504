"""Wrong passwords: after a few, a login and an address wait before the next is looked at, longer each time."""

import threading
from dataclasses import dataclass

from penstock import clock

FREE = 5
"""Wrong passwords before anybody waits."""
LONGEST = 900.0
"""Seconds; the first wait is one, and each is twice the one before."""
MOST = 10_000
"""Names that are remembered. When there are more, those whose wait is over are forgotten first."""


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until: float = 0.0


class Throttle:
    """Counts wrong passwords by login and by address."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def wait(self, *names: str) -> float:
        """Return how many seconds are left before another password is looked at; 0 when it is now."""
        now = clock.monotonic()
        with self._lock:
            return max((self._counts[name].until - now for name in names if name in self._counts), default=0.0)

    def note_wrong(self, *names: str) -> None:
        """Count a wrong password."""
        now = clock.monotonic()
        with self._lock:
            self._forget(now)
            for name in names:
                count = self._counts.setdefault(name, _Count())
                count.wrong += 1
                if count.wrong >= FREE:
                    count.until = now + min(LONGEST, 2.0 ** (count.wrong - FREE))

    def note_right(self, *names: str) -> None:
        """Forget the wrong ones."""
        with self._lock:
            for name in names:
                self._counts.pop(name, None)

    def _forget(self, now: float) -> None:
        if len(self._counts) < MOST:
            return
        over = [name for name, count in self._counts.items() if count.until <= now]
        # Where nobody's wait is over, the shortest goes: somebody makes names up.
        for name in over or sorted(self._counts, key=lambda each: self._counts[each].until)[: MOST // 10]:
            del self._counts[name]
