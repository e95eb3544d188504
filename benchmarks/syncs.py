"""What a part of the profile waits for the disk: calls of `fsync` and `fdatasync`, counted and timed by `strace`."""

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from penstock.bench.ground import Ground
from penstock.bench.store_cost import store_processes

TRACE = ("strace", "--follow-forks", "--summary-only", "--summary-wall-clock", "--trace=fsync,fdatasync")
ATTACH_SECONDS = 0.5


class Syncs(NamedTuple):
    """Calls, and the seconds that they took together."""

    calls: int
    seconds: float


def syncs_of(ground: Ground, command: Sequence[str]) -> Syncs | None:
    """Run a command and return what it, or PostgreSQL for it, synced; None where `strace` cannot look."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile(prefix="penstock-bench-") as file:
        told = f"--output={file.name}"
        if ground.postgres is None:
            # Stops at these two calls only, so that the rest is as fast as ever.
            done = subprocess.run([*TRACE, "--seccomp-bpf", told, *command], check=False, capture_output=True)
            if done.returncode:
                return None
        else:
            pids = [f"--attach={pid}" for pid in store_processes(ground)]
            strace = subprocess.Popen([*TRACE, told, *pids], stderr=subprocess.DEVNULL)
            time.sleep(ATTACH_SECONDS)
            if strace.poll() is not None:
                return None
            subprocess.run(command, check=True, capture_output=True)
            strace.send_signal(signal.SIGINT)
            strace.wait()
        return _read(Path(file.name).read_text())


def _read(told: str) -> Syncs:
    rows = re.findall(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:fsync|fdatasync)$", told, re.MULTILINE)
    return Syncs(sum(int(calls) for _, calls in rows), sum(float(seconds) for seconds, _ in rows))
