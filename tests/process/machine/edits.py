"""What actors write: each has fields of its own, and the n-th value of a field is known, so that a lost one shows."""

import json
from functools import cache
from typing import Any

from tests.process.machine.watching import Row

MOST = 60
"""Edits of one field of one job, at most."""
OWN = {0: ("mine_0", "priority"), 1: ("mine_1", "description"), 2: ("mine_2", "timeout")}
"""The fields of each actor."""


def value_of(name: str, ordinal: int) -> Any:
    """Return the value that the n-th edit gives a field; that with which a job begins is number 0."""
    match name:
        case "mine_0":
            return ordinal
        case "mine_1":
            return {"n": ordinal} if ordinal else {}
        case "mine_2":
            return str(ordinal)
        case "priority":
            return (49 + ordinal) % 100 + 1
        case "description":
            return f"edit {ordinal}" if ordinal else None
        case "timeout":
            return 1000.0 + ordinal if ordinal else None
    raise KeyError(name)


@cache
def _ordinals(name: str) -> dict[str, int]:
    return {json.dumps(value_of(name, ordinal)): ordinal for ordinal in range(MOST)}


def ordinal_of(name: str, value: Any) -> int | None:
    """Return which edit gave a field its value; None when none did."""
    return _ordinals(name).get(json.dumps(value))


def ordinals_in(row: Row) -> dict[str, int | None]:
    """Return the number of the edit that each field of a stored job shows."""
    fields = json.loads(row["fields"])
    return {
        name: ordinal_of(name, row["priority"] if name == "priority" else fields.get(name, value_of(name, 0)))
        for names in OWN.values()
        for name in names
    }
