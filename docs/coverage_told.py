"""The page of what the tests do not reach, from `coverage_summary.json` and the reasons in `coverage.toml`."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SUMMARY = HERE / "coverage_summary.json"
REASONS: list[dict[str, str]] = tomllib.loads((HERE / "coverage.toml").read_text("utf-8"))["reason"]


def coverage_page(summary: Path = SUMMARY) -> str:
    """Return the page."""
    lines = INTRODUCTION.strip().splitlines()
    if not summary.exists():
        return "\n".join([*lines, "", "Not measured yet.", ""])
    told = json.loads(summary.read_text("utf-8"))
    return "\n".join([*lines, "", _total(told), "", *_files(told["files"]), ""])


def _total(told: Mapping[str, Any]) -> str:
    totals = told["totals"]
    return (
        f"On {told['date']}: **{totals['percent_covered']:.1f} %**, {totals['covered_lines']:,} of "
        f"{totals['num_statements']:,} statements and {totals['covered_branches']:,} of "
        f"{totals['num_branches']:,} branches."
    )


def _files(files: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| file | reached | lines not reached | branches not taken | why |", "| --- | --- | --- | --- | --- |")
    for path, file in files.items():
        missing = f"{', '.join(file['lines'])} | {', '.join(file['branches'])}"
        yield f"| `{path}` | {file['percent']:.0f} % | {missing} | {reason_for(path) or ''} |"


def reason_for(path: str) -> str | None:
    """Return why something of a file is not reached; None where nobody has said."""
    return next((reason["why"] for reason in REASONS if fnmatch(path, reason["path"])), None)


INTRODUCTION = """
# What the tests do not reach

Made by `python docs/generate.py` from the last `make coverage` and `docs/coverage.toml`, which has the reasons.

`make coverage` runs all tests with coverage.py, branches included, and those processes too that they start: servers,
workers, nodes, commands. A process that is killed by SIGKILL, as those of the fault tests are, takes what it had
reached along, so that some of this is reached in truth.
"""
