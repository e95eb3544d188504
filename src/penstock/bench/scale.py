"""1, 2, 4 and 8 servers over one store: what they do, and what that costs them and the store.

Each server is a `penstock server` process of one worker on this machine, ready before the work is stored in one
transaction. So with more servers than cores this measures what more of them cost, not what more machines would do.
"""

import time
from contextlib import ExitStack

from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.kinds import BenchmarkNothing, BenchmarkReverse
from penstock.bench.processes import cpu_seconds, family
from penstock.bench.report import Report, Row
from penstock.bench.servers import server_process
from penstock.bench.store_cost import Spent, StoreCost
from penstock.store import Store

SETTINGS = {"jobs": (40_000, 2000), "lines": (1_000_000, 50_000), "most_servers": (8, 2)}
LOOK_SECONDS = 0.05
FLUSH_SECONDS = 2.5
"""PostgreSQL tells what a session did when it has been idle for a second or two."""


def run(ground: Ground, *, jobs: int, lines: int, most_servers: int) -> Report:
    """Measure each number of servers, with small jobs and with a batch job."""
    numbers = [number for number in (1, 2, 4, 8) if number <= most_servers]
    small = [_small_jobs(ground, number, jobs) for number in numbers]
    source = lines_file(ground.folder, lines)
    batch = [_batch_job(ground, number, source, lines) for number in numbers]
    return Report(
        {
            f"{jobs:,} small jobs on {ground.engine}, costs for each": small,
            f"a batch job of {lines:,} records on {ground.engine}, slices of 1000, costs for each record": batch,
        }
    )


def _small_jobs(ground: Ground, servers: int, count: int) -> Row:
    with ground.fresh_store("scale") as store, _Running(ground, store, servers) as running:
        running.begin()
        BenchmarkNothing.create_many({} for _ in range(count))
        running.stored()
        while BenchmarkNothing.query.exists():
            time.sleep(LOOK_SECONDS)
        return running.row(count, "jobs/s")


def _batch_job(ground: Ground, servers: int, source: object, count: int) -> Row:
    with ground.fresh_store("scale") as store, _Running(ground, store, servers) as running:
        job = BenchmarkReverse()
        job.upload(str(source))
        running.begin()
        job.save()
        running.stored()
        job.wait(600)
        return running.row(count, "records/s")


class _Running(ExitStack):
    """Servers at work, and what they have spent."""

    def __init__(self, ground: Ground, store: Store, servers: int) -> None:
        super().__init__()
        self._ground = ground
        self._servers = servers
        first = [self.enter_context(server_process(store.url, workers=1)) for _ in range(servers)]
        self._pids = [pid for parent in first for pid in family(parent)]

    def begin(self) -> None:
        """Note what was spent before."""
        self._cost = StoreCost(self._ground)
        self._cpu = cpu_seconds(self._pids)
        self._client = time.thread_time()

    def stored(self) -> None:
        """Note when the work was there."""
        self._at = time.perf_counter()

    def row(self, count: int, rate: str) -> Row:
        """Return what was done in a second since, and what one piece cost."""
        seconds = time.perf_counter() - self._at
        cpu = cpu_seconds(self._pids) - self._cpu
        store_cpu = self._cost.spent().cpu
        row: Row = {"servers": self._servers, rate: count / seconds, "server CPU µs": cpu / count * 1e6}
        if self._ground.postgres is None:
            return row
        time.sleep(FLUSH_SECONDS)
        spent: Spent = self._cost.spent()
        return row | {
            "store CPU µs": store_cpu / count * 1e6,
            "log bytes": spent.wal_bytes / count,
            "rows read": spent.rows_read / count,
            "rows written": spent.rows_written / count,
            "blocks from disk": spent.blocks_read / count,
            "commits of 1000": spent.commits / count * 1000,
        }
