"""A file of lines reversed, whole command from start to written file.

Penstock stores every line before, and every result after, with a fresh SQLite store and synchronous=FULL.
The rivals store nothing.
"""

import filecmp
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from penstock.bench.batch import run_penstock
from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.paired import Measured, alternate, everything, medians, ratios, run_command
from penstock.bench.report import Report

ROOT = Path(__file__).parents[1]
SETTINGS = {"lines": (2_000_000, 200_000), "rounds": (7, 2), "mixed": (0, 0)}
PAIRS = [
    ("penstock 1000", "pool 1000"),
    ("penstock 1000 overlap", "pool 1000"),
    ("penstock 100", "pool 100"),
    ("penstock 100 overlap", "pool 100"),
    ("penstock 1000", "loop"),
    ("penstock 1000", "forked"),
    ("penstock 1000", "parallel"),
    ("penstock 1000", "dask"),
]
NEEDED: dict[str, Callable[[], object]] = {
    "parallel": lambda: which("parallel"),
    "dask": lambda: find_spec("dask"),
}
"""What tells whether a rival is installed that does not come with Python."""


def run(ground: Ground, *, lines: int, rounds: int, mixed: int) -> Report:
    source = lines_file(ground.folder, lines, mixed=bool(mixed))
    return compare(ground, source, lines, rounds, function="reverse", pairs=PAIRS)


def compare(
    ground: Ground,
    source: Path,
    lines: int,
    rounds: int,
    *,
    function: str,
    pairs: Sequence[tuple[str, str]],
    env: dict[str, str] | None = None,
) -> Report:
    """Run all that the pairs name in turns, after a first round in which outputs are compared and nothing counts."""
    data = ground.folder
    left_out = [name for name, is_here in NEEDED.items() if not is_here()]
    pairs = [pair for pair in pairs if not set(pair) & set(left_out)]
    names = list(dict.fromkeys(name for pair in pairs for name in reversed(pair)))
    contenders = {name: contender(name, function, source, ground, env) for name in names}
    compare_outputs(contenders, data)
    runs = alternate(contenders, rounds)
    remove_outputs(names, data)
    report = Report({"medians": medians(runs, lines), "ratios": ratios(runs, pairs)})
    report.facts = {
        "input bytes": source.stat().st_size,
        "outputs compared byte for byte": names,
        "not installed": left_out,
        "runs": everything(runs),
    }
    return report


def contender(
    name: str, function: str, source: Path, ground: Ground, env: dict[str, str] | None
) -> Callable[[], Measured]:
    """Return what runs `penstock SLICE [overlap]`, `pool CHUNK`, or another way of `benchmarks.rivals` once."""
    way, *how = name.split()
    target = output_of(name, ground.folder)
    if way == "penstock":
        where = f"penstock.bench.functions:{function}"
        overlap = "overlap" in how
        return partial(run_penstock, ground, where, source, target, int(how[0]), overlap=overlap, env=env)
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.rivals", way, function, source, target, *how]
    return partial(run_rival, command, target, env)


def run_rival(command: list[str | Path], target: Path, env: dict[str, str] | None) -> Measured:
    # Emptying a file that is there would cost this run something.
    target.unlink(missing_ok=True)
    return run_command(command, env, ROOT)


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
    for name in names:
        output_of(name, data).unlink()
