"""What the code of a batch job counts: per record, stored with the slice, added up over all of them."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.batch.positions import Position

_OUTSIDE = -1
"""Where what is counted outside of records belongs, by hooks of the slice: it counts where the slice is through."""


class Counted:
    """What was counted in one slice, for each of its records."""

    def __init__(self) -> None:
        self._of: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def add(self, key: str, number: int, position: "Position | None") -> None:
        """Count something for the record at a position."""
        if key:
            self._of[_OUTSIDE if position is None or not position.in_record else position.position][key] += number

    def forget(self, position: int) -> None:
        """Drop what was counted for one record."""
        self._of.pop(position, None)

    def sum(self, succeeded: int, *, through: bool) -> dict[str, int]:
        """Add up what was counted for the first records, and outside of them where the slice is through."""
        total: Counter[str] = Counter()
        for position, counted in self._of.items():
            if through if position == _OUTSIDE else position < succeeded:
                total.update(counted)
        return dict(total)


def nested(counted: dict[str, int]) -> dict[str, Any]:
    """Return figures with keys like `a.b` as dicts in dicts, by name.

    Where one key is the beginning of another, `a` beside `a.b`, its own figure has the key `""`.
    """
    found: dict[str, Any] = {}
    for key, number in sorted(counted.items()):
        *outer, last = key.split(".")
        inside = found
        for name in outer:
            there = inside.setdefault(name, {})
            inside[name] = inside = there if isinstance(there, dict) else {"": there}
        if isinstance(inside.get(last), dict):
            inside[last][""] = number
        else:
            inside[last] = number
    return found
