"""What /proc says of processes: their families, time and memory. Linux only."""

import os
from contextlib import suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all its living descendants."""
    found = [pid]
    for parent in found:
        with suppress(OSError):  # It has ended meanwhile.
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time of processes, by their threads in nanoseconds where the kernel counts them.

    Of one that has ended, or may not be looked at, nothing is counted.
    """
    return sum(_cpu_seconds(pid) for pid in pids)


def peak_megabytes(pid: int) -> float:
    """Return the most memory a process has had, in MB. Of one that is ending there is nothing left to read."""
    return _megabytes(pid, "VmHWM")


def resident_megabytes(pid: int) -> float:
    """Return the memory a process has now, in MB. Of one that is ending there is nothing left to read."""
    return _megabytes(pid, "VmRSS")


def _megabytes(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024 / 1e6


def _cpu_seconds(pid: int) -> float:
    try:
        threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
        if threads:
            return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / TICK
