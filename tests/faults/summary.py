"""The sum of many rounds, and the part of docs/faults.md that tells it."""

import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.rounds import Told
from tests.faults.serving import Served
from tests.postgres import programs

KEPT = Path(__file__).parents[2] / "docs" / "faults_summary.json"
"""What `python docs/generate.py` makes the summary in docs/faults.md of."""


@dataclass
class Summary:
    """Counts of rounds and of what happened in them."""

    rounds: Counter[str] = field(default_factory=Counter)
    """By sort and store, as `servers on SQLite`."""
    happened: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    failed_seeds: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | None) -> "Summary":
        """Return the counts of a file; none where there is no file."""
        if path is None or not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        return cls(Counter(kept["rounds"]), Counter(kept["happened"]), kept["errors"], kept["failed_seeds"])

    def save(self, path: Path | None) -> None:
        """Keep the counts in a file."""
        if path is not None:
            path.write_text(json.dumps(vars(self)))

    def add_run(self, told: Told) -> None:
        """Count a round of `penstock run`."""
        self._add(f"`penstock run` on {told.store}", told.seed, told.errors)
        self.happened.update(f"{kill.split()[0]} killed" for kill in told.kills)
        self.happened.update(f"at {point}" for point in told.points)

    def add_served(self, served: Served) -> None:
        """Count a round with servers."""
        self._add(f"two servers on {served.store}", served.seed, served.errors)
        self.happened.update(served.happened)

    def _add(self, sort: str, seed: int, errors: list[str]) -> None:
        self.rounds[sort] += 1
        self.errors += bool(errors)
        if errors:
            self.failed_seeds.append(seed)

    def lines(self) -> Iterator[str]:
        """Yield the sum in lines."""
        yield ", ".join(f"{name} {count}" for name, count in sorted(self.happened.items()))
        total = sum(self.rounds.values())
        yield f"{total} rounds, {sum(self.happened.values())} faults: {self.errors} rounds with accounting errors"
        if self.failed_seeds:
            yield f"seeds: {', '.join(map(str, self.failed_seeds))}"


def write_docs(summary: Summary) -> None:
    """Keep the sum beside the documentation, with what it was played on; the page is made anew."""
    version = subprocess.run([programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    kept = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "postgresql": version.stdout.split()[2],
        "rounds": dict(sorted(summary.rounds.items())),
        "happened": dict(sorted(summary.happened.items())),
        "errors": summary.errors,
    }
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    subprocess.run([sys.executable, str(KEPT.parent / "generate.py")], check=True)
