"""What a stretch of work took of the processor: by process, and by the library that ran. Linux only.

Seconds are those of the kernel. Libraries are found by `perf`, which looks some hundred times a second where each
process is; where it is not installed, or may not look, they are left out.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family, peak_megabytes
from penstock.bench.store_cost import store_processes

LOOKS = 499
"""Looks a second; no divisor of what else happens in whole milliseconds."""
ATTACH_SECONDS = 0.4
"""How long `perf` takes until it looks at all processes that were named."""
GONE_SECONDS = 0.1
BACKENDS = "PostgreSQL backends"
OTHERS = {"walwriter": "PostgreSQL WAL writer", "checkpointer": "PostgreSQL checkpointer"}
LAYERS = {
    "SQLite": ("sqlite3",),
    "pydantic": ("pydantic_core",),
    "msgspec": ("msgspec/",),
    "psycopg": ("psycopg",),
    "kernel": ("[kernel", "[unknown]", "[vdso]"),
    "C library": ("libc.so", "ld-linux"),
    "interpreter": ("libpython", "lib-dynload", "/bin/python"),
}
"""The layers by words in the paths of their libraries; the first that fits counts."""


@dataclass
class Spent:
    """What was spent in a block."""

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds of the processor by role."""
    waits: dict[str, float] = field(default_factory=dict)
    """Seconds in which processes could have gone on, had there been a core for them, by role."""
    layers: dict[str, float] = field(default_factory=dict)
    """The part of all looks by `role: layer`; empty without `perf`."""
    peak_mb: float = 0.0
    """The most memory that this process had meanwhile."""

    @property
    def all_cpu(self) -> float:
        """Seconds of the processor, of all."""
        return sum(self.cpu.values())


def roles(ground: Ground, named: Mapping[int, str]) -> dict[int, str]:
    """Return the roles of processes: those named, `workers` below them, and those of PostgreSQL."""
    found = {pid: "workers" for first in named for pid in family(first)}
    return found | dict(named) | {pid: _role_in_postgres(pid) for pid in store_processes(ground)}


@contextmanager
def spending(ground: Ground, named: Mapping[int, str], *, looks: bool = True) -> Iterator[Spent]:
    """Measure a block: fills what it yields when the block has ended."""
    found, spent = _living(roles(ground, named)), Spent()
    with _looking(found, spent) if looks else _nothing():
        _forget_peak()
        waited, before = {pid: _waits(pid) for pid in found}, {pid: _seconds(pid) for pid in found}
        began = time.perf_counter()
        yield spent
        spent.wall = time.perf_counter() - began
        # Connections that came meanwhile began with nothing. No other process counts: `perf` is one.
        came = {pid: _role_in_postgres(pid) for pid in store_processes(ground)}
        for pid, role in {**found, **{pid: role for pid, role in came.items() if pid not in found}}.items():
            spent.cpu[role] = spent.cpu.get(role, 0.0) + max(0.0, _seconds(pid) - before.get(pid, 0.0))
            spent.waits[role] = spent.waits.get(role, 0.0) + max(0.0, _waits(pid) - waited.get(pid, 0.0))
        spent.peak_mb = peak_megabytes(os.getpid())


def _living(found: dict[int, str]) -> dict[int, str]:
    """Return those that stay: the connection that asked for them is about to go, and `perf` takes none that is gone."""
    time.sleep(GONE_SECONDS)
    return {pid: role for pid, role in found.items() if Path(f"/proc/{pid}").exists()}


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _looking(found: Mapping[int, str], spent: Spent) -> Iterator[None]:
    """Have `perf` look at processes, and those that they start."""
    if shutil.which("perf") is None:
        yield
        return
    file = Path(tempfile.gettempdir(), f"penstock-bench-{os.getpid()}.perf")
    pids = ",".join(map(str, found))
    command = ["perf", "record", "--event", "cpu-clock", "--freq", str(LOOKS), "--output", str(file), "--pid", pids]
    perf = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(ATTACH_SECONDS)
    try:
        yield
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait()
    seen = _seen(file, found)
    file.unlink(missing_ok=True)
    total = sum(seen.values())
    spent.layers = {where: count / total for where, count in seen.most_common()} if total else {}


def _seen(file: Path, found: Mapping[int, str]) -> Counter[str]:
    command = ["perf", "script", "--input", str(file), "--fields", "pid,ip,dso"]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    seen: Counter[str] = Counter()
    for pid, library in re.findall(r"^\s*(\d+)\s.*\(([^()]*)\)$", told, re.MULTILINE):
        role = found.get(int(pid), BACKENDS)
        seen[f"{role}: {_layer(library)}" if not role.startswith("PostgreSQL") else role] += 1
    return seen


def _layer(library: str) -> str:
    return next((name for name, words in LAYERS.items() if any(word in library for word in words)), "other libraries")


def _seconds(pid: int) -> float:
    # Of this process with the threads that have ended.
    return time.process_time() if pid == os.getpid() else cpu_seconds([pid])


def _waits(pid: int) -> float:
    """Return the seconds in which the threads of a process waited for a core, as far as the kernel counts them."""
    with suppress(OSError):
        threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9
    return 0.0


def _role_in_postgres(pid: int) -> str:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return BACKENDS
    return next((role for word, role in OTHERS.items() if word in title), BACKENDS)


def _forget_peak() -> None:
    """Begin the most memory of this process anew."""
    Path("/proc/self/clear_refs").write_text("5")
