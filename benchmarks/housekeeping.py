"""What a claim takes while Housekeeping removes a million finished jobs beside it, and while it does not.

In each round claims are made for a while with nothing beside them, and then while Housekeeping, in a process of its
own as on a worker, removes its share of the finished jobs. A claim is a server's turn: it settles what the one before
took and takes ten more, and is on disk when it ends.
"""

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from statistics import median
from typing import Any
from uuid import UUID

from benchmarks.batch import ROOT
from penstock import clock
from penstock.bench.ground import Ground, remove_store
from penstock.bench.report import Report
from penstock.bench.spread import percentiles
from penstock.server.claiming import Claim
from penstock.server.desk import Desk
from penstock.server.messages import KindFacts
from penstock.server.turn import Turn
from penstock.states import State
from penstock.store import close_store, open_store
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, JobSettlement

SETTINGS = {"finished": (1_000_000, 4000), "rounds": (10, 2), "claims": (400, 20), "pause_ms": (5, 1)}
"""`claims` are those of a round with nothing beside them; `pause_ms` lie between two claims, as work does."""
SLOTS = 10
AT_ONCE = 10_000
SERVER = "bench:1:0000"
KINDS = {"Ready": KindFacts("Ready", False, [], "Ready")}
HOUSEKEEPER = """
import sys
import penstock
from penstock.jobs import Housekeeping
penstock.configure(store=sys.argv[1])
for line in sys.stdin:
    job = Housekeeping(completed_days=float(line))
    job.perform()
    print(job.removed["completed"], flush=True)
"""


def run(ground: Ground, *, finished: int, rounds: int, claims: int, pause_ms: int) -> Report:
    path = ground.folder / "housekeeping.db"
    remove_store(f"sqlite:///{path}")
    url = f"sqlite:///{path}"
    claiming = Claiming(open_store(url), pause_ms / 1000)
    share = finished // rounds
    for number in range(rounds):
        claiming.add_finished(share, days=rounds - number + 1)
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    removed: list[float] = []
    with housekeeper(url) as keeper:
        for number in range(rounds):
            alone.append([claiming.claim() for _ in range(claims)])
            began = time.perf_counter()
            keeper.start(days=rounds - number + 0.5)
            beside.append([claiming.claim() for _ in iter(keeper.is_busy, False)])
            removed.append(keeper.removed / (time.perf_counter() - began))
            if keeper.removed != share:
                raise RuntimeError(f"Housekeeping removed {keeper.removed} jobs, not {share}")
    close_store(url)
    remove_store(f"sqlite:///{path}")
    rows = [
        {"milliseconds of a claim": name, **percentiles([one for part in parts for one in part])}
        for name, parts in (("with nothing beside it", alone), ("while Housekeeping removes", beside))
    ]
    ratios = [
        {"": f"{title} of each round, with : without", "median": median(found), "least": min(found), "most": max(found)}
        for title in ("median", "99 %")
        if (found := [_of(two, title) / _of(one, title) for one, two in zip(alone, beside, strict=True)])
    ]
    ratios += [
        {"": f"{title} of all, with : without", "median": rows[1][title] / rows[0][title], "least": "", "most": ""}
        for title in ("median", "99 %")
    ]
    speed = [{"": "jobs removed per second", "median": median(removed), "least": min(removed), "most": max(removed)}]
    facts = {
        "claims": {"alone": sum(map(len, alone)), "beside": sum(map(len, beside))},
        "rounds": [
            {"alone": percentiles(one), "beside": percentiles(two)} for one, two in zip(alone, beside, strict=True)
        ],
    }
    return Report({"claims": rows, "ratios": ratios, "Housekeeping": speed}, facts)


def _of(figures: list[float], title: str) -> float:
    return float(percentiles(figures)[title])


class Claiming:
    """Turns of a server that has work enough."""

    def __init__(self, store: Store, pause: float) -> None:
        self._store = store
        self._pause = pause
        self._numbers = count()
        self._held: list[JobRow] = []

    def add_finished(self, jobs: int, *, days: float) -> None:
        """Store jobs that were completed so many days ago."""
        moment = clock.now() - timedelta(days=days)
        ended = {"state": State.COMPLETED, "completed_at": moment, "destroy_on_complete": False}
        for first in range(0, jobs, AT_ONCE):
            self._store.insert_jobs([self._row(moment, **ended) for _ in range(min(AT_ONCE, jobs - first))])

    def claim(self) -> float:
        """Take a turn, and return the milliseconds that its transaction took."""
        now = clock.now()
        self._store.insert_jobs([self._row(now) for _ in range(SLOTS)])
        desk = Desk()
        desk.join("worker", SLOTS)
        turn = Turn(self._store, server=SERVER, kinds=KINDS, now=now)
        made = Claim(self._store, desk, desk.budget(), server=SERVER, now=now)
        time.sleep(self._pause)
        began = time.perf_counter()
        with self._store.transaction():
            refused = self._store.settle_jobs([JobSettlement(row.id, row.attempt, None) for row in self._held])
            turn.claim(made, KINDS, None)
        took = time.perf_counter() - began
        self._held = [piece.subject.row for piece in made.pieces]
        if refused or len(self._held) != SLOTS:
            raise RuntimeError(f"a claim got {len(self._held)} jobs, and {len(refused)} were refused")
        return took * 1000

    def _row(self, moment: Any, **columns: Any) -> JobRow:
        stamp = int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62 | next(self._numbers)
        fields = f'{{"customer":"{next(self._numbers)}","note":"{"x" * 60}"}}'
        return JobRow(UUID(int=stamp), "Ready", batch=False, created_at=moment, fields=fields, **columns)


class Housekeeper:
    """Housekeeping in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.removed = 0
        """By the last time."""

    def start(self, *, days: float) -> None:
        """Have it remove what was completed so many days ago."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{days}\n")
        self._process.stdin.flush()

    def is_busy(self) -> bool:
        """Tell whether it is still at it."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], 0)[0]:
            return True
        self.removed = int(self._process.stdout.readline())
        return False


@contextmanager
def housekeeper(url: str) -> Iterator[Housekeeper]:
    """Have a process ready that removes jobs when told."""
    command = [sys.executable, "-c", HOUSEKEEPER, url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        keeper = Housekeeper(process)
        keeper.start(days=1e5)  # Until it has imported everything.
        while keeper.is_busy():
            time.sleep(0.01)
        yield keeper
        assert process.stdin is not None
        process.stdin.close()
