"""`python -m tests.faults.soak --seconds 3600`: hours of work at 70 % load, while servers and workers are killed.

Half of the time on SQLite and half on PostgreSQL. Two servers perform small jobs and batch jobs in laps; after each lap
all is accounted for and removed. One of the servers is never killed, only its workers: its memory must not grow.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.disturbances import DISTURBANCES, POSTGRES, SQLITE
from tests.faults.memory import Series
from tests.faults.scene import CREATED_AT_ONCE, Scene
from tests.faults.serving import await_rest, books_of, open_scene
from tests.postgres import OwnPostgres, own_postgres
from tests.process.lab import Started, wait_for

from penstock.errors import StoreError
from penstock.states import State

KEPT = Path(__file__).parents[2] / "docs" / "soak_summary.json"
"""What `python docs/generate.py` tells of in docs/faults.md."""
LOAD = 0.7
LAP_SECONDS = 30.0
BURST = 1000
"""Small jobs by which it is measured how many can be done."""
KILLS = ("worker killed", "dispatcher killed", "server killed")
KILL_SECONDS = (2.0, 6.0)
LOOK_SECONDS = 0.5

FEED = f"""
    # Makes so many small jobs over so many seconds, and one batch job after the other meanwhile.
    import sys
    from jobs import *

    count, seconds = int(sys.argv[1]), float(sys.argv[2])

    def make(number):
        jobs = Small.create_many(Small(n=number + n) for n in range({CREATED_AT_ONCE}))
        for job in jobs:
            print("small", job.id, job.n, flush=True)

    def turn():
        job = Turned()
        job.upload("in.txt")
        job.save()
        print("turned", job.id, flush=True)
        return job

    began, turned = time.monotonic(), turn()
    for number in range(0, count, {CREATED_AT_ONCE}):
        while time.monotonic() - began < number / count * seconds:
            if turned.reload().state == "completed":
                turned = turn()
            time.sleep(0.1)
        make(number)
"""


@dataclass
class LongScene(Scene):
    """A scene whose first server is never killed."""

    pace: tuple[int, float] = (BURST, 0.0)
    """Small jobs to make, and over how many seconds."""

    def load(self, faults: str = "") -> None:
        """Start the client that makes work at the pace."""
        assert not faults
        self.clients.append(self.lab.start_python(FEED, *map(str, self.pace)))

    def server(self) -> Started | None:
        """Return the server that may be killed."""
        others = [server for server in self.servers[1:] if server.process.poll() is None]
        return others[0] if others else None

    def worker(self) -> int | None:
        """Return a worker of any server."""
        workers = [pid for server in self.servers for pid in server.workers()]
        return self.chance.choice(workers) if workers else None


@dataclass
class Soaked:
    """What came of the time on one store."""

    store: str
    seconds: float = 0.0
    capacity: float = 0.0
    """Small jobs a second, beside a batch job, as measured at the start."""
    laps: int = 0
    jobs: int = 0
    batch_jobs: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    memory: dict[str, Series] = field(default_factory=lambda: {"dispatcher": Series(), "workers": Series()})

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be."""
        return [*self.errors, *(f"the memory of {name} grows" for name, one in self.memory.items() if one.grows)]

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        memory = {
            f"{name} MB": f"{one.quarter(1):.1f} → {one.quarter(3):.1f} ({one.per_hour:+.1f} an hour)"
            for name, one in self.memory.items()
        }
        return {
            "store": self.store,
            "minutes": round(self.seconds / 60, 1),
            "small jobs": self.jobs,
            "jobs/s they can do": round(self.capacity),
            "batch jobs": self.batch_jobs,
            **{name: self.killed[name] for name in KILLS},
            **memory,
            "wrong": len(self.wrong),
        }


def soak(
    store: str, seconds: float, postgres: OwnPostgres, seed: int, lap: float = LAP_SECONDS, burst: int = BURST
) -> Soaked:
    """Work for so many seconds on one store, in laps."""
    soaked = Soaked(store)
    chance = random.Random(seed)
    with open_scene(chance, postgres if store == POSTGRES else None, LongScene) as scene:
        assert isinstance(scene, LongScene)
        try:
            _run(scene, soaked, seconds, lap, burst)
        except (AssertionError, StoreError, subprocess.TimeoutExpired) as error:
            soaked.errors.append(f"{type(error).__name__}: {error}")
        soaked.errors += scene.errors
    return soaked


def _run(scene: LongScene, soaked: Soaked, seconds: float, lap: float, burst: int) -> None:
    scene.serve()
    wait_for(lambda: all(server.workers() for server in scene.servers), "workers")
    began = time.monotonic()
    _work(scene, soaked, (burst, 0.0), 0.0)
    soaked.capacity = burst / (time.monotonic() - began)
    _account(scene, soaked)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        _work(scene, soaked, (max(CREATED_AT_ONCE, int(soaked.capacity * LOAD * lap)), lap), lap)
        _account(scene, soaked)
        soaked.laps += 1
    soaked.seconds = time.monotonic() - began
    scene.stop()
    with books_of(scene) as books:
        soaked.errors += books.wrong()


def _work(scene: LongScene, soaked: Soaked, pace: tuple[int, float], seconds: float) -> None:
    """Make work, kill for so many seconds, and wait until all is done."""
    scene.pace = pace
    scene.load()
    _kill_now_and_then(scene, soaked, seconds)
    await_rest(scene)


def _account(scene: LongScene, soaked: Soaked) -> None:
    """Account for all that was made, and remove it."""
    with books_of(scene) as books:
        soaked.errors += books.unaccounted()
        small, turned = books.rows("Small"), books.rows("Turned")
        soaked.jobs += len(small)
        soaked.batch_jobs += len(turned)
        books.store.remove_jobs([row.id for row in small], State.COMPLETED)
        for row in turned:
            books.store.destroy_job(row.id)
    scene.clients.clear()
    os.truncate(scene.lab.path("log.txt"), 0)
    for held in scene.lab.path("held").iterdir():
        held.unlink()


def _kill_now_and_then(scene: LongScene, soaked: Soaked, seconds: float) -> None:
    """Kill something every few seconds, replace what has ended, and look at memory."""
    acts = {one.name: one for one in DISTURBANCES if one.name in KILLS}
    ended = time.monotonic() + seconds
    due = time.monotonic() + scene.chance.uniform(*KILL_SECONDS)
    while (now := time.monotonic()) < ended:
        scene.serve()
        soaked.memory["dispatcher"].sample(scene.servers[0].process.pid)
        soaked.memory["workers"].sample(*(pid for server in scene.servers for pid in server.workers()))
        if now >= due:
            name = scene.chance.choice(KILLS)
            acts[name].act(scene)
            soaked.killed[name] += 1
            due = now + scene.chance.uniform(*KILL_SECONDS)
        time.sleep(LOOK_SECONDS)


def told(all_soaked: list[Soaked]) -> Iterator[str]:
    """Yield the summary as lines: a table, and what was wrong."""
    rows = [soaked.row() for soaked in all_soaked]
    width = max(map(len, rows[0]))
    for name in rows[0]:
        yield f"{name:{width}}  " + "  ".join(f"{row[name]!s:32}" for row in rows).rstrip()
    for soaked in all_soaked:
        yield from (f"{soaked.store}: {error}" for error in soaked.wrong)


def write_docs(all_soaked: list[Soaked]) -> None:
    """Keep the summary beside the documentation; the page is made anew."""
    made = {"date": datetime.now(UTC).date().isoformat(), "python": platform.python_version()}
    kept = {**made, "rows": [soaked.row() for soaked in all_soaked]}
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    subprocess.run([sys.executable, str(KEPT.parent / "generate.py")], check=True)


def main() -> int:
    """Soak both stores, and tell; returns 1 where memory grows or anything is not accounted for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long altogether  [3600]")
    parser.add_argument("--seed", type=int, default=None, help="of what is killed when")
    parser.add_argument("--write-docs", action="store_true", help="write the summary into docs/faults.md")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    print(f"--seed {seed}", flush=True)
    with own_postgres() as postgres:
        all_soaked = [soak(store, asked.seconds / 2, postgres, seed) for store in (SQLITE, POSTGRES)]
    print("\n".join(told(all_soaked)))
    if asked.write_docs:
        write_docs(all_soaked)
    return 1 if any(soaked.wrong for soaked in all_soaked) else 0


if __name__ == "__main__":
    sys.exit(main())
