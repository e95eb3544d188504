"""What a worker held that has died: taken back, and laid to its charge as far as it was working on it."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from penstock.server.desk import Desk
from penstock.server.ledger import Returned
from penstock.server.seats import Assignment


class Death(NamedTuple):
    """How a worker ended."""

    worker: str
    evidence: str
    working_on: Mapping[int, int] | None
    """The keys of what it was at, each with the record it was at; None: nobody can say."""
    overdue: Collection[int] = ()
    """The keys of the pieces for whose time-out it was killed: these alone are to blame, and fail."""


def taken_back(desk: Desk, worker: Any, death: Death) -> list[Returned]:
    """Take from the desk what a dead worker held; what it had not begun waits there for another, the rest returns."""
    lost = death.working_on is None
    begun = {**dict.fromkeys(desk.perhaps_begun(worker, slots=lost), 0), **(death.working_on or {})}
    returned = []
    for piece in desk.leave(worker):
        back = _returned(piece, death, begun)
        if back is None:
            desk.add([piece])
        else:
            returned.append(back)
    return returned


def _returned(piece: Assignment, death: Death, begun: Mapping[int, int]) -> Returned | None:
    """Return how a piece comes back; None for one that was not begun."""
    place, lost = begun.get(piece.key, 0), death.working_on is None
    if piece.key in death.overdue:
        return Returned(piece, place=place, worker=death.worker, overdue=True)
    if piece.key in begun and not death.overdue:
        return Returned(piece, evidence=death.evidence, place=place, worker=death.worker)
    if piece.key in begun or piece.returning or lost:
        return Returned(piece, lost=lost, worker=death.worker)
    return None
