"""The page of figures and its pictures, from the results of `python -m benchmarks all` and `figures.toml`."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from drawing import bars_picture
from reasons import reasons

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
FIGURES: list[dict[str, Any]] = tomllib.loads((HERE / "figures.toml").read_text("utf-8"))["figure"]
ABSENT = "not measured"
SUFFIXES = {"SQLite": "", "PostgreSQL": "-postgres"}
VERSIONS = ("python", "sqlite", "postgresql")
Row = Mapping[str, Any]


class Results(NamedTuple):
    """What is stored of the measurements, by the name of the file; empty where one was not made."""

    folder: Path = RESULTS

    def of(self, name: str) -> dict[str, Any]:
        """Return one measurement."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def row(self, name: str, label: str) -> Row | None:
        """Return the row whose first cell begins with a label, of any table."""
        rows = (row for table in self.of(name).get("tables", {}).values() for row in table)
        return next((row for row in rows if _label(row).removesuffix(_store_named(row)) == label), None)

    def table(self, name: str, title: str) -> list[Row]:
        """Return a table; none where there is none of that title."""
        return self.of(name).get("tables", {}).get(title, [])


def figures_page(results: Results | None = None) -> str:
    """Return the page of figures."""
    results = results or Results()
    return "\n".join(
        [
            *INTRODUCTION.strip().splitlines(),
            "",
            "## Goals",
            "",
            "| what | goal | SQLite | PostgreSQL | command |",
            "| --- | --- | --- | --- | --- |",
            *(_goal_row(results, figure) for figure in FIGURES),
            "",
            *WHY.strip().splitlines(),
            "",
            *(line for figure in FIGURES for line in _why(results, figure)),
            *QUEUES.strip().splitlines(),
            "",
            *_queues(results),
            "",
            *BATCH.strip().splitlines(),
            "",
            *_batch(results),
            "",
            "## What was measured when",
            "",
            "| measurement | date | commit | versions | machine | load before |",
            "| --- | --- | --- | --- | --- | --- |",
            *_runs(results),
            "",
        ]
    )


def _goal_row(results: Results, figure: Row) -> str:
    cells = [_told(figure, results.row(f"{figure['subject']}{suffix}", figure["row"])) for suffix in SUFFIXES.values()]
    return f"| {figure['what']} | {figure['goal']} | {' | '.join(cells)} | `python -m benchmarks {figure['subject']}` |"


def _told(figure: Row, row: Row | None) -> str:
    if row is None:
        return ABSENT
    text = figure["shown"].format_map({name.replace(" : ", " to "): value for name, value in row.items()})
    return f"**{text}**" if _is_reached(figure, row) else f"{text}, *not reached*"


def _why(results: Results, figure: Row) -> Iterator[str]:
    """Yield why a goal is not reached on the stores where it is not."""
    rows = {store: results.row(f"{figure['subject']}{suffix}", figure["row"]) for store, suffix in SUFFIXES.items()}
    unmet = [store for store, row in rows.items() if row is not None and not _is_reached(figure, row)]
    if unmet:
        profiles = {store: results.of(f"profile{suffix}") for store, suffix in SUFFIXES.items()}
        yield from reasons(figure["title"], figure["why"], figure["profile"], profiles, unmet)


def _is_reached(figure: Row, row: Row) -> bool:
    least, most = figure.get("least", {}), figure.get("most", {})
    return all(row[name] >= limit for name, limit in least.items()) and all(
        row[name] <= limit for name, limit in most.items()
    )


def _queues(results: Results) -> Iterator[str]:
    facts = results.of("queues").get("facts", {})
    rows = results.table("queues", QUEUES_TABLE)
    yield from ("| | jobs/s | from–to | CPU µs a job | versions | stores in; differs from its defaults |",)
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        name = row[""]
        versions = ", ".join(f"{package} {number}" for package, number in facts["versions"][name].items())
        reach = f"{row['least']:,.0f}–{row['most']:,.0f}"
        cost = f"{row['CPU µs, start included']:,.0f}"
        yield f"| {name} | {row['jobs/s']:,.0f} | {reach} | {cost} | {versions} | {facts['settings'][name]} |"
    yield from (f"| {name} | {ABSENT} | | | | {why} |" for name, why in facts.get("left out", {}).items())
    if not rows:
        yield f"| all | {ABSENT} | | | | |"


def _batch(results: Results) -> Iterator[str]:
    yield from ("| | reversed, s | CPU s | 10 µs each, s | CPU s |", "| --- | --- | --- | --- | --- |")
    for store, suffix in SUFFIXES.items():
        tables = [{row[""]: row for row in results.table(f"{name}{suffix}", "medians")} for name in ("batch", "work")]
        names = [name for name in WAYS if suffix == "" or name.startswith("penstock")]
        for name in names:
            cells = [cell for table in tables for cell in _seconds(table.get(name))]
            where = f", {store}" if name.startswith("penstock") else ""
            yield f"| {WAYS[name]}{where} | {' | '.join(cells)} |"


def _seconds(row: Row | None) -> tuple[str, str]:
    return (ABSENT, "") if row is None else (f"{row['wall s']:.2f}", f"{row['cpu s']:.2f}")


def _runs(results: Results) -> Iterator[str]:
    subjects = list(dict.fromkeys(figure["subject"] for figure in FIGURES))
    measured = [*subjects, "profile"]
    for name in [*(f"{subject}{suffix}" for subject in measured for suffix in SUFFIXES.values()), "queues"]:
        found = results.of(name).get("machine")
        if found is None or (name == "queues" and not results.table(name, QUEUES_TABLE)):
            yield f"| {name} | {ABSENT} | | | | |"
            continue
        versions = ", ".join(f"{NAMES[key]} {found[key]}" for key in VERSIONS if found.get(key))
        place = f"{found['cores']} cores of {found['processor']}"
        yield f"| {name} | {found['when'][:10]} | {found['commit']} | {versions} | {place} | {found['load']:.1f} |"


def _label(row: Row) -> str:
    return str(next(iter(row.values())))


def _store_named(row: Row) -> str:
    """Return the words at the end of a label that name the store, which the file's name says already."""
    return next((f" on {store}" for store in SUFFIXES if _label(row).endswith(f" on {store}")), "")


def queues_picture(results: Results | None = None) -> str:
    """Return the jobs a second of each queue as bars."""
    rows = (results or Results()).table("queues", QUEUES_TABLE)
    ordered = sorted(rows, key=lambda row: row["jobs/s"], reverse=True)
    return bars_picture("Small jobs a second; more is better", [(row[""], row["jobs/s"], "{:,.0f}") for row in ordered])


def batch_picture(subject: str, results: Results | None = None) -> str:
    """Return the wall seconds of each way through a file as bars."""
    rows = {row[""]: row["wall s"] for row in (results or Results()).table(subject, "medians")}
    bars = [(words, rows[name], "{:.2f} s") for name, words in WAYS.items() if name in rows]
    return bars_picture(f"{TITLES[subject]}; less is better", bars)


QUEUES_TABLE = "jobs that do nothing"
NAMES = {"python": "Python", "sqlite": "SQLite", "postgresql": "PostgreSQL"}
WAYS = {
    "penstock 1000": "Penstock, slices of 1000",
    "penstock 1000 overlap": "Penstock, slices of 1000, `--overlap`",
    "penstock 100": "Penstock, slices of 100",
    "penstock 100 overlap": "Penstock, slices of 100, `--overlap`",
    "pool 1000": "`multiprocessing.Pool(2)`, chunks of 1000",
    "pool 100": "`multiprocessing.Pool(2)`, chunks of 100",
    "dask": "Dask bag",
    "parallel": "GNU parallel",
    "loop": "a bare loop, one process",
    "forked": "two forked processes over byte ranges",
}
TITLES = {"batch": "Lines reversed, file to file, seconds", "work": "10 µs for each line, file to file, seconds"}

INTRODUCTION = """
# Figures

Made by `python docs/generate.py` from `docs/figures.toml` and `benchmarks/results`.

What Penstock is to reach, and what was measured, with each way to measure it again. `make bench` measures all of it in
one run of about half an hour, and makes this page anew; [benchmarks](../benchmarks/README.md) tells how rivals
are compared, and what to know before quoting a figure. Ratios are medians of those within rounds in which all run once;
below 1 Penstock takes less. **Bold** is what reaches its goal.
"""

WHY = """
## Why

Where the time goes of each goal that is not reached (`python -m benchmarks profile`): by phase, process and library,
beside what the same steps take bare. µs are for one record or job; CPU is summed over all processes of a kind. The
profile is a run of its own, under `perf`: its figures explain those above, and are not the same to the last digit.
"""

QUEUES = """
## Job queues

The same jobs that do nothing, two worker processes, all enqueued before the first worker starts
(`python -m benchmarks queues`). PostgreSQL and SQLite sync each commit, Redis its append-only file once a second, as
its manual advises: what it acknowledged in the last second may be lost.

![Small jobs a second](pictures/figures-queues.svg)
"""

BATCH = """
## Through a file

The same function over each line of the same file, whole command from start to written file
(`python -m benchmarks batch`, `work`). Penstock stores every line before and every result after; the others store
nothing, and begin again when killed.

![Lines reversed](pictures/figures-batch.svg)

![10 µs for each line](pictures/figures-work.svg)
"""

FIGURE_PICTURES = {
    "pictures/figures-queues.svg": queues_picture,
    "pictures/figures-batch.svg": partial(batch_picture, "batch"),
    "pictures/figures-work.svg": partial(batch_picture, "work"),
}
