"""What processes of this machine have used, as Linux tells it."""

import os
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """What one process has used since it began."""

    seconds: float
    """User and system time, in steps of a hundredth."""
    peak_mb: float
    """The most memory that was resident, in MiB."""


def used_by(pid: int) -> Used:
    """Return what a process has used."""
    # Behind the name, which may hold anything, comes the state; user and system time are the 12th and 13th field.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM:"))
    return Used((int(fields[11]) + int(fields[12])) / TICKS, int(peak.split()[1]) / 1024)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, whichever of its threads did."""
    lists = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    return [int(word) for one in lists for word in one.read_text().split()]
