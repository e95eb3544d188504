"""Two servers on a PostgreSQL of their own that perform small jobs, and somebody who enqueues them all the time."""

import math
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.process.lab import Lab, Started, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.store import close_stores

JOBS = """
    class Small(Job):
        def perform(self):
            note("done", int(time.monotonic() * 10))
"""
ENQUEUE = """
    # Goes on through a restart, as an application that tries again does. To count what is queued would be slow itself
    # where many dead rows lie in front: it looks whether the first job of some time ago is gone.
    from collections import deque
    import penstock.errors
    from penstock.store import current_store
    rate, firsts, made, began = float(sys.argv[1]), deque(), 0, time.monotonic()
    while not told("enough"):
        try:
            early = made / rate - (time.monotonic() - began)
            if early <= 0 and (len(firsts) < 8 or current_store().job(firsts[0]) is None):
                if len(firsts) == 8:
                    firsts.popleft()
                made += 500
                firsts.append(Small.create_many([Small() for _ in range(500)])[0].id)
                note("stored", 500)
            else:
                time.sleep(min(0.02, max(early, 0.001)))
        except penstock.errors.StoreError:
            note("unknown", 500)
            time.sleep(0.05)
"""


@dataclass
class Load:
    """The load, and what came of it so far."""

    yard: Yard
    client: Started

    def end(self) -> None:
        """Enqueue no more, and wait until all is done."""
        self.yard.tell("enough")
        assert self.client.end().code == 0, self.client.err
        wait_for(lambda: not self.yard.store.count_jobs(Query()), "all jobs to be done", seconds=300)

    def tenths(self) -> dict[int, int]:
        """Return how many jobs were performed in each tenth of a second."""
        counted: dict[int, int] = {}
        for _, mark in self.yard.notes("done"):
            counted[int(mark)] = counted.get(int(mark), 0) + 1
        return counted

    def counted(self, word: str) -> int:
        """Return how many jobs were `stored`, or are `unknown` to be."""
        return sum(int(count) for _, count in self.yard.notes(word))


def per_second(tenths: dict[int, int], at: int) -> int:
    """Return how many jobs were performed in the second from a tenth on."""
    return sum(tenths.get(tenth, 0) for tenth in range(at, at + 10))


def median_rate(tenths: dict[int, int], began: float, ended: float) -> float:
    """Return the median of the jobs performed in each second between two moments."""
    return statistics.median(per_second(tenths, at) for at in range(int(began * 10), int((ended - 1) * 10)))


@contextmanager
def load(url: str, rate: float = math.inf) -> Iterator[Load]:
    """Have the load, from the moment at which jobs are done: so many jobs a second, or as many as are done."""
    with tempfile.TemporaryDirectory(prefix="penstock-load-") as folder:
        lab = Lab(Path(folder), url)
        try:
            with open_yard(lab, JOBS) as yard:
                for server in [yard.serve() for _ in range(2)]:
                    yard.worker(server)
                client = lab.start_python(f"from jobs import *\n{dedent(ENQUEUE)}", str(rate))
                yard.await_notes("done", 200)
                yield Load(yard, client)
        finally:
            lab.close()
            close_stores()
