"""Counts instructions with valgrind, and keeps a record of what they were, for each build of Python that counted."""

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.instructions.paths import PATHS

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("record.json")
TOLERANCE = 0.15
"""The part that a path may take more than is recorded: the same code differs by less than a thousandth from run to run,
and by a hundredth in another folder or environment."""
RECORD_ANEW = "python -m tests.instructions --record"
TOOL = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
Counts = dict[str, float]
"""Instructions for one unit of each path's work."""


def build() -> str:
    """Name what the counts depend on besides our own code and the pinned libraries."""
    versions = f"Python {platform.python_version()}", platform.python_compiler(), f"SQLite {sqlite3.sqlite_version}"
    return ", ".join([*versions, platform.machine()])


def why_not() -> str | None:
    """Return why nothing can be compared here; None where it can."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: make packages"
    if build() not in recorded():
        return f"nothing is recorded for {build()}: {RECORD_ANEW}"
    return None


def recorded() -> dict[str, Counts]:
    """Return what was recorded, by the build that counted."""
    found: dict[str, Counts] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return found


def record(counts: Counts) -> None:
    """Keep counts as those of this build; those of others stay."""
    kept = {**recorded(), build(): {name: round(count, 1) for name, count in counts.items()}}
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")


def counted() -> Counts:
    """Count each path; takes about twenty seconds of processor time.

    Raises:
        RuntimeError: a path failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        pids = _run(Path(folder))
        return {name: _more(Path(folder), *pids[name]) / units for name, (_, units) in PATHS.items()}


def exceeding(counts: Counts, before: Counts) -> list[str]:
    """Say of each path that takes more than it may, or of which nothing is known, how much it is."""
    return [
        f"{name}: {count:,.0f} instructions each, and {before.get(name, 0):,.0f} are recorded"
        for name, count in counts.items()
        if count > before.get(name, 0) * (1 + TOLERANCE)
    ]


def _run(folder: Path) -> dict[str, tuple[int, int]]:
    command = [*TOOL, f"--log-file={folder}/%p.log", sys.executable, "-m", "tests.instructions.child", f"{folder}/pids"]
    # The same order of every dict and set in every run, and none of coverage's or the caller's settings.
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    env |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stderr}")
    found: dict[str, tuple[int, int]] = json.loads((folder / "pids").read_text())
    return found


def _more(folder: Path, with_it: int, without: int) -> int:
    return _instructions(folder, with_it) - _instructions(folder, without)


def _instructions(folder: Path, pid: int) -> int:
    told = re.search(r"I\s+refs:\s+([\d,]+)", (folder / f"{pid}.log").read_text())
    assert told is not None
    return int(told[1].replace(",", ""))
