"""One batch through both stores: the same bytes, and the figures of both beside each other.

Both with their default durability, `fsync` included, in alternation.
"""

import filecmp
from functools import partial
from pathlib import Path

from benchmarks.postgres import started_postgres
from penstock.bench.batch import run_penstock
from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.paired import alternate, everything, medians, ratios
from penstock.bench.report import Report

SETTINGS = {"lines": (1_000_000, 20_000), "rounds": (3, 1)}
FUNCTION = "penstock.bench.functions:reverse"


def run(ground: Ground, *, lines: int, rounds: int) -> Report:
    source = lines_file(ground.folder, lines, mixed=True)
    with started_postgres(ground) as url:
        grounds = {"SQLite": Ground(ground.folder), "PostgreSQL": Ground(ground.folder, url)}
        targets = {name: ground.folder / f"output-{name}.txt" for name in grounds}
        contenders = {
            name: partial(run_penstock, where, FUNCTION, source, targets[name], 1000) for name, where in grounds.items()
        }
        for contend in contenders.values():
            contend()  # To warm up, and to compare what is written.
        one, other = targets.values()
        size = compare(one, other, source)
        runs = alternate(contenders, rounds)
    for target in targets.values():
        target.unlink()
    facts = {"identical bytes": size, "input bytes": source.stat().st_size, "runs": everything(runs)}
    tables = {
        f"{lines:,} lines reversed, file to file; {size:,} bytes, identical": medians(runs, lines),
        "ratios": ratios(runs, [("PostgreSQL", "SQLite")]),
    }
    return Report(tables, facts)


def compare(one: Path, other: Path, source: Path) -> int:
    """Return the size of two files that hold the same, each line that of the source reversed.

    Raises:
        RuntimeError: they do not.
    """
    if not filecmp.cmp(one, other, shallow=False):
        raise RuntimeError(f"{one} and {other} differ")
    with one.open(encoding="utf-8", newline="\n") as written, source.open(encoding="utf-8", newline="\n") as lines:
        for number, (found, line) in enumerate(zip(written, lines, strict=True), 1):
            if found != line[:-1][::-1] + "\n":
                raise RuntimeError(f"{one}: line {number} is not that of {source} reversed")
    return one.stat().st_size
