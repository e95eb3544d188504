"""A file of lines reversed, whole command from start to written file, stored durably on the way."""

import sys
from functools import partial
from pathlib import Path

from penstock.bench.ground import Ground, remove_store
from penstock.bench.inputs import lines_file
from penstock.bench.paired import Measured, alternate, everything, medians, run_command
from penstock.bench.report import Report

SETTINGS = {"lines": (2_000_000, 100_000), "rounds": (5, 1)}
WAYS = ("slices of 1000", "slices of 1000, overlap", "slices of 100", "slices of 100, overlap")


def run(ground: Ground, *, lines: int, rounds: int) -> Report:
    """Measure `penstock run` in each way, in alternation."""
    source = lines_file(ground.folder, lines)
    target = ground.folder / "output-batch.txt"
    contenders = {}
    for way in WAYS:
        size = int(way.partition(",")[0].rpartition(" ")[2])
        contenders[way] = partial(
            run_penstock, ground, "penstock.bench.functions:reverse", source, target, size, overlap="overlap" in way
        )
    runs = alternate(contenders, rounds)
    target.unlink(missing_ok=True)
    title = f"file to file on {ground.engine}, two workers"
    return Report({title: medians(runs, lines)}, {"input bytes": source.stat().st_size, "runs": everything(runs)})


def run_penstock(
    ground: Ground,
    function: str,
    source: Path,
    target: Path,
    size: int,
    *,
    overlap: bool = False,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Measured:
    """Run `penstock run` once on a fresh store, which is removed afterwards, outside the measured time."""
    url = ground.url("batch")
    remove_store(url)
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "penstock", "run", function, "--input", str(source), "--output", str(target)]
    command += ["--set", f"slice_size={size}", "--workers", "2", "--store", url, *(["--overlap"] if overlap else [])]
    try:
        return run_command(command, env, cwd)
    finally:
        remove_store(url)
