"""`python -m benchmarks SUBJECT [--quick] [--setting value]…`; `all` measures what docs/figures.md tells."""

import argparse
import importlib
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.plan import PLAN, POSTGRES, SQLITE, Step
from benchmarks.postgres import server_version, started_postgres
from penstock.bench.ground import Ground
from penstock.bench.report import machine
from penstock.bench.subjects import settings_of, subject_module

OURS = ("jobs", "enqueue", "latency", "idle", "memory", "claims", "scale")
"""Measurements without rivals, as `penstock bench` makes them."""
WITH_RIVALS = (
    *("batch", "work", "records", "rows", "queues", "stores", "oltp", "housekeeping", "console", "browsers"),
    "profile",
)
SUBJECTS = (*WITH_RIVALS, *OURS)
ON_EITHER = {"batch", "work", "records", "profile", *OURS}
"""Measured on one store or the other, each with results of its own."""
HERE = Path(__file__).parent


def main() -> None:
    modules = {subject: importlib.import_module(f"benchmarks.{subject}") for subject in WITH_RIVALS}
    modules |= {subject: subject_module(subject) for subject in OURS}
    options = parser_for(modules).parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    results = options.results or (options.data if options.quick else HERE / "results")
    results.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if options.subject == "all":
            options.postgres = stack.enter_context(started_postgres(Ground(options.data, options.postgres)))
        for step in steps_of(options):
            measure(modules[step.subject], step, options, results)


def parser_for(modules: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", choices=["all", *SUBJECTS])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where inputs and stores are made")
    parser.add_argument("--results", type=Path, help="where results go  [benchmarks/results; quick ones: --data]")
    for name in sorted({name for module in modules.values() for name in module.SETTINGS}):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="a setting; see README.md")
    parser.add_argument("--postgres", metavar="URL", help="measure on this PostgreSQL instead of SQLite files")
    return parser


def steps_of(options: argparse.Namespace) -> tuple[Step, ...]:
    """Return what is to be measured, in that order."""
    if options.subject == "all":
        return PLAN
    return (Step(options.subject, POSTGRES if options.postgres else SQLITE, {}),)


def measure(module: ModuleType, step: Step, options: argparse.Namespace, results: Path) -> None:
    """Run one subject, print its tables and write them to a file."""
    asked = {name: value for name in module.SETTINGS if (value := getattr(options, name)) is not None}
    settings = settings_of(module, asked if options.quick else {**step.settings, **asked}, quick=options.quick)
    print(f"\n{step.subject} on {step.store}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    print("  " + ", ".join(f"{name} {value:,}" for name, value in settings.items()), flush=True)
    url = options.postgres if step.store == POSTGRES else None
    before = {**machine(), **store_facts(step, url)}
    report = module.run(Ground.of(options.data.resolve(), url or "sqlite:"), **settings)
    print(report.text(), flush=True)
    suffix = "-postgres" if step.store == POSTGRES and step.subject in ON_EITHER else ""
    report.write(results / f"{step.subject}{suffix}.json", subject=step.subject, settings=settings, machine=before)


def store_facts(step: Step, url: str | None) -> dict[str, Any]:
    """Return what is to be told of the store."""
    return {"store": step.store} if url is None else {"store": step.store, "postgresql": server_version(url)}


if __name__ == "__main__":
    main()
