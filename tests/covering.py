"""`python -m tests.covering`: what the tests of the last `make coverage` reached, and what not."""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "coverage_summary.json"
"""What `python docs/generate.py` makes docs/coverage.md of."""


def measured() -> dict[str, Any]:
    """Return the measurement as coverage.py tells it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", path], cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return the totals, and of each file that is not wholly reached what is not."""
    files = {
        path: {"percent": file["summary"]["percent_covered"], **_missing(file)}
        for path, file in sorted(found["files"].items())
        if file["missing_lines"] or file["missing_branches"]
    }
    totals = {name: found["totals"][name] for name in TOTALS}
    return {"date": datetime.now(UTC).date().isoformat(), "totals": totals, "files": files}


def _missing(file: dict[str, Any]) -> dict[str, Any]:
    lines = set(file["missing_lines"])
    # A branch whose line is not reached at all is told by that.
    branches = [f"{source}→{target}" for source, target in file["missing_branches"] if not {source, target} & lines]
    return {"lines": ranges(sorted(lines)), "branches": branches}


def ranges(numbers: list[int]) -> list[str]:
    """Return ascending numbers as runs: 3, 4, 5 and 9 are `3-5` and `9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]


TOTALS = (
    "percent_covered",
    "num_statements",
    "covered_lines",
    "num_branches",
    "covered_branches",
)


def main() -> int:
    """Print the total; with `--write-docs` write the page of what is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.covering", description=__doc__)
    parser.add_argument("--write-docs", action="store_true")
    asked = parser.parse_args()
    told = summary(measured())
    totals = told["totals"]
    print(
        f"{totals['percent_covered']:.1f} %: {totals['covered_lines']:,} of {totals['num_statements']:,} statements, "
        f"{totals['covered_branches']:,} of {totals['num_branches']:,} branches"
    )
    if asked.write_docs:
        KEPT.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
        subprocess.run([sys.executable, ROOT / "docs" / "generate.py"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
