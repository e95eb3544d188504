"""Peak memory of each process of `penstock run`, for a small input, one that fills all buffers, and a large one."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.batch import remove_store
from benchmarks.inputs import LINE_BYTES, lines_file
from benchmarks.paired import ROOT
from benchmarks.report import Report, Row
from benchmarks.servers import family

SETTINGS = {"small_mb": (12, 2), "medium_mb": (120, 4), "large_mb": (1200, 6)}
SAMPLE_SECONDS = 0.02


def run(data: Path, *, small_mb: int, medium_mb: int, large_mb: int) -> Report:
    rows = []
    for way, options in {"": [], ", overlap": ["--overlap"]}.items():
        small, medium, large = (_peaks(data, megabytes, options) for megabytes in (small_mb, medium_mb, large_mb))
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


def _peaks(data: Path, megabytes: int, options: list[str]) -> dict[str, float]:
    source = lines_file(data, megabytes * 1_000_000 // LINE_BYTES)
    target, store = data / "output-memory.txt", data / "memory.db"
    remove_store(store)
    command = [sys.executable, "-m", "penstock", "run", "benchmarks.functions:reverse", "--workers", "2"]
    command += ["--input", str(source), "--output", str(target), "--store", f"sqlite:///{store}"]
    command += ["--set", "slice_size=1000", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in family(process.pid):
            with suppress(OSError, ValueError, IndexError):
                peaks[pid] = max(peaks.get(pid, 0.0), _peak(pid))
        time.sleep(SAMPLE_SECONDS)
    assert process.stderr is not None
    told = process.stderr.read()
    remove_store(store)
    target.unlink(missing_ok=True)
    if process.returncode:
        raise RuntimeError(told.decode())
    main = peaks.pop(process.pid)
    return {"penstock run": main, "largest worker": max(peaks.values())}


def _peak(pid: int) -> float:
    """Return the most memory a process has had, in MB. Of one that is ending there is nothing left to read."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
