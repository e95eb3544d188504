"""Peak memory of each process of `penstock run`, for a small input, one that fills all buffers, and a large one."""

import subprocess
import sys
import time
from contextlib import suppress

from penstock.bench.ground import Ground, remove_store
from penstock.bench.inputs import LINE_BYTES, lines_file
from penstock.bench.processes import family, peak_megabytes
from penstock.bench.report import Report, Row

SETTINGS = {"small_mb": (12, 2), "medium_mb": (120, 4), "large_mb": (1200, 6)}
SAMPLE_SECONDS = 0.02


def run(ground: Ground, *, small_mb: int, medium_mb: int, large_mb: int) -> Report:
    """Measure each size, with and without `--overlap`."""
    rows = []
    for way, options in {"": [], ", overlap": ["--overlap"]}.items():
        small, medium, large = (_peaks(ground, megabytes, options) for megabytes in (small_mb, medium_mb, large_mb))
        for process in large:
            row: Row = {"slices of 1000": f"{process}{way}"}
            row |= {f"{size} MB input": peaks[process] for size, peaks in ((small_mb, small), (medium_mb, medium))}
            row |= {f"{large_mb} MB input": large[process]}
            row |= {
                "large : medium": large[process] / medium[process],
                "large : small": large[process] / small[process],
            }
            rows.append(row)
    return Report({"peak resident memory (VmHWM), MB": rows})


def _peaks(ground: Ground, megabytes: int, options: list[str]) -> dict[str, float]:
    source = lines_file(ground.folder, megabytes * 1_000_000 // LINE_BYTES)
    target, url = ground.folder / "output-memory.txt", ground.url("memory")
    remove_store(url)
    command = [sys.executable, "-m", "penstock", "run", "penstock.bench.functions:reverse", "--workers", "2"]
    command += ["--input", str(source), "--output", str(target), "--store", url]
    command += ["--set", "slice_size=1000", *options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in family(process.pid):
            with suppress(OSError, ValueError, IndexError):
                peaks[pid] = max(peaks.get(pid, 0.0), peak_megabytes(pid))
        time.sleep(SAMPLE_SECONDS)
    assert process.stderr is not None
    told = process.stderr.read()
    remove_store(url)
    target.unlink(missing_ok=True)
    if process.returncode:
        raise RuntimeError(told.decode())
    main = peaks.pop(process.pid)
    return {"penstock run": main, "largest worker": max(peaks.values())}
