"""Very many files dropped into a watched folder at once, and two servers: each becomes one job, nothing goes wrong."""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.lab import Lab, Started, children, wait_for
from tests.process.test_dirmon import JOBS, at_rest, done
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State

pytestmark = [pytest.mark.process, pytest.mark.linux]

TICK = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        yield made


def drop(yard: Yard, count: int) -> None:
    """Have so many files of one record each in the folder from one moment to the next."""
    made = yard.lab.path("made")
    made.mkdir()
    for number in range(count):
        (made / f"{number}.txt").write_text("one\n")
    os.rename(made, yard.lab.path("in"))


def play(yard: Yard, count: int, *, seconds: float) -> dict[str, float]:
    """Have two servers start and process the files; returns seconds, and what the largest and all processes took."""
    drop(yard, count)
    servers = [yard.serve(), yard.serve()]
    for server in servers:
        yard.worker(server)
    began = time.monotonic()
    yard.python("watch(1)")
    wait_for(lambda: _is_done(yard, count), f"{count} files to be processed", seconds=seconds)
    took = time.monotonic() - began
    assert done(yard) == Counter({(f"{number}.txt", "1"): 1 for number in range(count)})
    jobs = {line[3] for line in yard.notes("done")}
    assert len(jobs) == count, "a file became two jobs"
    assert yard.store.count_jobs(Query(states=(State.FAILED,))) == 0
    for server in servers:
        assert "rror" not in server.err, server.err
    processes = [pid for server in servers for pid in _family(server)]
    cpu = sum(_cpu_seconds(pid) for pid in processes)
    return {"seconds": took, "cpu": cpu, "server_mb": _most(servers), "worker_mb": max(map(_peak_mb, processes))}


def _is_done(yard: Yard, count: int) -> bool:
    time.sleep(count / 20_000)  # To look is to read all that was noted: not more often than need be.
    return len(yard.notes("done")) >= count and at_rest(yard)


def _family(server: Started) -> list[int]:
    return [server.process.pid, *children(server.process.pid)]


def _most(servers: list[Started]) -> float:
    return max(_peak_mb(server.process.pid) for server in servers)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICK


def test_each_of_many_files_becomes_one_job(yard: Yard) -> None:
    play(yard, 60, seconds=120)


def main(count: int) -> None:
    """Drop so many: `python -m tests.process.test_many_files COUNT`."""
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        lab = Lab(Path(name))
        try:
            with open_yard(lab, JOBS) as yard:
                took = play(yard, count, seconds=3600)
        finally:
            lab.close()
    print(
        f"{count:,} files, two servers: each one job, no error; {took['seconds']:.0f} s, "
        f"{took['cpu']:.0f} CPU seconds, the larger server {took['server_mb']:.0f} MB, "
        f"the largest worker {took['worker_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
