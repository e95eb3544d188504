"""Measuring rivals in turns, so that what the machine does meanwhile hits all of them."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from penstock.bench.report import Row


class Measured(NamedTuple):
    """What one run took, in seconds."""

    wall: float
    cpu: float
    """User and system time of the process and of all its children that it waited for, and theirs."""


Runs = Mapping[str, Sequence[Measured]]


def run_command(
    command: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Measured:
    """Run a command to its end, with its output thrown away.

    Raises:
        RuntimeError: it failed.
    """
    # Dirty pages of an earlier run are written now, not on this one's time.
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    # It ends when the last process that has it has ended.
    told = process.stderr.read()
    # wait4 gives the times of this process tree and of no other.
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} exited with {process.returncode}:\n{told.decode()}")
    return Measured(wall, usage.ru_utime + usage.ru_stime)


def alternate(contenders: Mapping[str, Callable[[], Measured]], rounds: int) -> dict[str, list[Measured]]:
    """Run every contender once in each round; every other round goes backwards."""
    runs: dict[str, list[Measured]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in contenders if number % 2 == 0 else reversed(list(contenders)):
            runs[name].append(contenders[name]())
    return runs


def medians(runs: Runs, records: int) -> list[Row]:
    """Return a row for each contender."""
    rows = []
    for name, measured in runs.items():
        wall = median(run.wall for run in measured)
        cpu = median(run.cpu for run in measured)
        rows.append({"": name, "wall s": wall, "cpu s": cpu, "records/s": records / wall})
    return rows


def ratios(runs: Runs, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """Return for each pair the median of the ratios within each round, and how far they reach."""
    return [_ratio(runs, name, base) for name, base in pairs]


def everything(runs: Runs) -> dict[str, Any]:
    """Return each run, for the file."""
    return {name: [run._asdict() for run in measured] for name, measured in runs.items()}


def _ratio(runs: Runs, name: str, base: str) -> Row:
    row: Row = {"": f"{name} : {base}"}
    for what in Measured._fields:
        found = [getattr(one, what) / getattr(other, what) for one, other in zip(runs[name], runs[base], strict=True)]
        row |= {what: median(found), f"{what} from–to": f"{min(found):.2f}–{max(found):.2f}"}
    return row
