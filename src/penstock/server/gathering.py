"""How long a dispatcher gathers what comes before it takes a turn: fewer turns, with more in each."""

RESULT_SECONDS = 0.04
"""How long results are gathered at most while every slot has enough to do."""
NEW_SECONDS = 0.002
"""How long new jobs are: one may be more urgent than all that slots have."""
SMOOTHING = 0.2
"""The weight of the newest turn in what a turn is expected to take."""
SPACE_SECONDS = 0.001
"""How long what comes thick and fast is gathered though slots wait; nobody sees so short a time."""
THICK = 5
"""How many jobs and results come in that time where it is thick."""
RATE_SECONDS = 0.01
"""The time over which it is measured how thick they come."""


class Gathering:
    """Knows how long turns take, and how much comes. Pure: no thread or clock."""

    def __init__(self, *, spaces: bool) -> None:
        """Make it; `spaces` where turns are so short that to wake for each takes longer."""
        self._spaces = spaces
        self._turn = 0.0
        self._rate = 0.0
        self._counted = 0.0

    def note_turn(self, began: float, ended: float, number: int) -> None:
        """Note when a turn began and ended, in monotonic seconds, and how many jobs and results came for it."""
        self._turn += SMOOTHING * (ended - began - self._turn)
        passed = max(ended - self._counted, 1e-6)
        self._rate += min(1.0, passed / RATE_SECONDS) * (number / passed - self._rate)
        self._counted = ended

    def seconds(self, ahead: float, *, are_new: bool) -> float:
        """Return for how many seconds what comes may be gathered, from the first of it on; 0 for not at all.

        Args:
            ahead: For how long every slot has something to do.
            are_new: Whether jobs are among what came.
        """
        most = NEW_SECONDS if are_new else RESULT_SECONDS
        space = SPACE_SECONDS if self._spaces and self._rate * SPACE_SECONDS >= THICK else 0.0
        return max(space, min(most, ahead / 2 - self._turn))
