"""`python -m benchmarks SUBJECT [--quick] [--setting value]…`"""

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from penstock.bench.ground import Ground
from penstock.bench.report import machine
from penstock.bench.subjects import settings_of, subject_module

OURS = ("jobs", "enqueue", "latency", "idle", "memory", "claims", "scale")
"""Measurements without rivals, as `penstock bench` makes them."""
WITH_RIVALS = ("batch", "work", "records", "rows", "queues", "stores", "oltp", "housekeeping", "console", "browsers")
SUBJECTS = (*WITH_RIVALS, *OURS)
HERE = Path(__file__).parent


def main() -> None:
    modules = {subject: importlib.import_module(f"benchmarks.{subject}") for subject in WITH_RIVALS}
    modules |= {subject: subject_module(subject) for subject in OURS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", choices=["all", *SUBJECTS])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where inputs and stores are made")
    parser.add_argument("--results", type=Path, help="where results go  [benchmarks/results; quick ones: --data]")
    for name in sorted({name for module in modules.values() for name in module.SETTINGS}):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="a setting; see README.md")
    parser.add_argument("--postgres", metavar="URL", help="measure on this PostgreSQL instead of SQLite files")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    results = options.results or (options.data if options.quick else HERE / "results")
    results.mkdir(parents=True, exist_ok=True)
    for subject in SUBJECTS if options.subject == "all" else [options.subject]:
        measure(modules[subject], subject, options, results)


def measure(module: ModuleType, subject: str, options: argparse.Namespace, results: Path) -> None:
    """Run one subject, print its tables and write them to a file."""
    given = {name: getattr(options, name) for name in module.SETTINGS}
    settings = settings_of(module, given, quick=options.quick)
    print(f"\n{subject}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    print("  " + ", ".join(f"{name} {value:,}" for name, value in settings.items()), flush=True)
    before = machine()
    report = module.run(Ground.of(options.data.resolve(), options.postgres or "sqlite:"), **settings)
    print(report.text(), flush=True)
    on_postgres = subject in OURS and options.postgres is not None
    report.write(
        results / f"{subject}{'-postgres' if on_postgres else ''}.json",
        subject=subject,
        settings=settings,
        machine=before,
    )


if __name__ == "__main__":
    main()
