"""A file of lines reversed, whole command from start to written file.

Penstock stores every line before, and every result after, with a fresh SQLite store and synchronous=FULL.
The rivals store nothing.
"""

import filecmp
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.inputs import lines_file
from benchmarks.paired import Measured, alternate, everything, medians, ratios, run_command
from benchmarks.report import Report

SETTINGS = {"lines": (2_000_000, 200_000), "rounds": (7, 2), "mixed": (0, 0)}
PAIRS = [
    ("penstock 1000", "pool 1000"),
    ("penstock 1000 overlap", "pool 1000"),
    ("penstock 100", "pool 100"),
    ("penstock 100 overlap", "pool 100"),
    ("penstock 1000", "loop"),
    ("penstock 1000", "forked"),
]


def run(data: Path, *, lines: int, rounds: int, mixed: int) -> Report:
    source = lines_file(data, lines, mixed=bool(mixed))
    return compare(data, source, lines, rounds, function="reverse", pairs=PAIRS)


def compare(
    data: Path,
    source: Path,
    lines: int,
    rounds: int,
    *,
    function: str,
    pairs: Sequence[tuple[str, str]],
    env: dict[str, str] | None = None,
) -> Report:
    """Run all that the pairs name in turns, after a first round in which outputs are compared and nothing counts."""
    names = list(dict.fromkeys(name for pair in pairs for name in reversed(pair)))
    contenders = {name: contender(name, function, source, data, env) for name in names}
    compare_outputs(contenders, data)
    runs = alternate(contenders, rounds)
    remove_outputs(names, data)
    report = Report({"medians": medians(runs, lines), "ratios": ratios(runs, pairs)})
    report.facts = {
        "input bytes": source.stat().st_size,
        "outputs compared byte for byte": names,
        "runs": everything(runs),
    }
    return report


def contender(name: str, function: str, source: Path, data: Path, env: dict[str, str] | None) -> Callable[[], Measured]:
    """Return what runs `penstock SLICE [overlap]`, `pool CHUNK`, `loop` or `forked` once."""
    way, *how = name.split()
    target = output_of(name, data)
    if way == "penstock":
        return partial(run_penstock, function, source, target, data / "batch.db", how, env)
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.rivals", way, function, source, target, *how]
    return partial(run_rival, command, target, env)


def run_rival(command: list[str | Path], target: Path, env: dict[str, str] | None) -> Measured:
    # Emptying a file that is there would cost this run something.
    target.unlink(missing_ok=True)
    return run_command(command, env)


def run_penstock(
    function: str, source: Path, target: Path, store: Path, how: list[str], env: dict[str, str] | None
) -> Measured:
    remove_store(store)
    target.unlink(missing_ok=True)
    size, *overlap = how
    command = [sys.executable, "-m", "penstock", "run", f"benchmarks.functions:{function}", "--input", source]
    command += ["--output", target, "--set", f"slice_size={size}", "--workers", "2", "--store", f"sqlite:///{store}"]
    return run_command([*command, *(["--overlap"] if overlap else [])], env)


def remove_store(store: Path) -> None:
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()


def output_of(name: str, data: Path) -> Path:
    return data / f"output-{name.replace(' ', '-')}.txt"


def compare_outputs(contenders: dict[str, Callable[[], Measured]], data: Path) -> None:
    """Run each once, and see that all write the same."""
    for contend in contenders.values():
        contend()
    first, *others = (output_of(name, data) for name in contenders)
    for other in others:
        if not filecmp.cmp(first, other, shallow=False):
            raise RuntimeError(f"{other} is not {first}")


def remove_outputs(names: Sequence[str], data: Path) -> None:
    """Remove what the runs left: a gigabyte, of the full size."""
    remove_store(data / "batch.db")
    for name in names:
        output_of(name, data).unlink()
