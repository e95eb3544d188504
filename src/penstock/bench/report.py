"""What came of a measurement: tables for people, JSON for later, and on which machine it was."""

import json
import os
import platform
import sqlite3
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("penstock", "msgspec", "pydantic", "click", "rich")

Row = dict[str, Any]


@dataclass
class Report:
    """Tables by their title; each is a list of rows with the same columns."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """What else should be known: calibration, sizes, what was compared."""

    def text(self) -> str:
        """Return the tables as aligned text."""
        return "\n".join(
            f"\n  {title}\n" + "\n".join(f"    {line}" for line in _aligned(rows))
            for title, rows in self.tables.items()
        )

    def write(self, path: Path, **context: Any) -> None:
        """Write everything as JSON."""
        whole = {**context, "facts": self.facts, "tables": self.tables}
        path.write_text(json.dumps(whole, indent=1, default=str) + "\n")


def machine() -> dict[str, Any]:
    """Return what figures depend on: versions, processor, and how busy the machine is."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
    }


def _aligned(rows: list[Row]) -> list[str]:
    columns = list(rows[0])
    cells = [columns, *([_shown(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    here = Path(__file__).parents[3]
    if not (here / "benchmarks").is_dir():  # It is installed, and the repository around it is not ours.
        return None
    try:
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
