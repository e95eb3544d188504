"""The clock of the database server, which all servers and clients of a store share."""

from collections.abc import Callable
from datetime import datetime, timedelta

from penstock import clock

NOISE = timedelta(milliseconds=20)
"""A difference that is no more than this, beside the time the answer took, is none: clocks are left as they are."""


def measure(ask: Callable[[], datetime | None]) -> None:
    """Ask the server for its moment, and note how far this machine's clock is off; None changes nothing."""
    before = clock.machine_now()
    theirs = ask()
    after = clock.machine_now()
    if theirs is None or after < before:
        return
    took = after - before
    offset = theirs - (before + took / 2)
    clock.set_offset(offset if abs(offset) > NOISE + took / 2 else timedelta())
