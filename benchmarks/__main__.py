"""`python -m benchmarks SUBJECT [--quick] [--setting value]…`"""

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from benchmarks.report import machine

SUBJECTS = ("batch", "work", "records", "jobs", "latency", "idle", "memory")
HERE = Path(__file__).parent


def main() -> None:
    modules = {subject: importlib.import_module(f"benchmarks.{subject}") for subject in SUBJECTS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", choices=["all", *SUBJECTS])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where inputs and stores are made")
    parser.add_argument("--results", type=Path, help="where results go  [benchmarks/results; quick ones: --data]")
    for name in sorted({name for module in modules.values() for name in module.SETTINGS}):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="a setting; see README.md")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    results = options.results or (options.data if options.quick else HERE / "results")
    results.mkdir(parents=True, exist_ok=True)
    for subject in SUBJECTS if options.subject == "all" else [options.subject]:
        measure(modules[subject], subject, options, results)


def measure(module: ModuleType, subject: str, options: argparse.Namespace, results: Path) -> None:
    """Run one subject, print its tables and write them to a file."""
    settings = {}
    for name, (full, quick) in module.SETTINGS.items():
        given = getattr(options, name)
        settings[name] = given if given is not None else quick if options.quick else full
    print(f"\n{subject}: {module.__doc__.splitlines()[0]}", flush=True)
    print("  " + ", ".join(f"{name} {value:,}" for name, value in settings.items()), flush=True)
    before = machine()
    report = module.run(options.data.resolve(), **settings)
    print(report.text(), flush=True)
    report.write(results / f"{subject}.json", subject=subject, settings=settings, machine=before)


if __name__ == "__main__":
    main()
