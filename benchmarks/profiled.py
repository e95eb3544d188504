"""What `python -m benchmarks profile` looks at, each in a process of its own.

`python -m benchmarks.profiled PART FOLDER URL COUNT` prints, as JSON, what each phase of the part took; the URL is `-`
for SQLite. With a word behind these `perf` does not look: for what is counted by `strace`.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.roles import Spent, spending
from penstock.batch.job import BatchJob
from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.kinds import BenchmarkMoment, BenchmarkNothing, BenchmarkReverse, BenchmarkWork
from penstock.bench.servers import ready_server, server_process

LOOK_SECONDS = 0.005
WARM_UP = 5
PAUSE_SECONDS = 0.05
SETTLE_SECONDS = 2.0
Phases = dict[str, Spent]


class Part:
    """A ground, and whether `perf` looks."""

    def __init__(self, ground: Ground, *, looks: bool) -> None:
        self._ground = ground
        self._looks = looks
        self.phases: Phases = {}

    @contextmanager
    def _phase(self, name: str, role: str, others: dict[int, str] | None = None) -> Iterator[None]:
        """Measure a phase, in which this process plays a role."""
        with spending(self._ground, {os.getpid(): role, **(others or {})}, looks=self._looks) as spent:
            yield
        self.phases[name] = spent

    def batch(self, lines: int) -> None:
        """Lines reversed."""
        self._batch(lines, BenchmarkReverse)

    def work(self, lines: int) -> None:
        """Lines with 10 µs of work each."""
        self._batch(lines, BenchmarkWork)

    def _batch(self, lines: int, cls: type[BatchJob]) -> None:
        source, target = lines_file(self._ground.folder, lines), self._ground.folder / "output-profile.txt"
        with self._ground.fresh_store("profile") as store, ready_server(store) as server:
            job = cls()
            with self._phase("upload", "main"):
                job.upload(source)
            with self._phase("processing", "main"):
                server.start()
                job.save()
                job.wait(1200)
            with self._phase("writing", "main"):
                job.download(target)
        target.unlink()

    def jobs(self, count: int) -> None:
        """Small jobs, stored before."""
        with self._ground.fresh_store("profile") as store, ready_server(store) as server:
            BenchmarkNothing.create_many({} for _ in range(count))
            with self._phase("jobs", "dispatcher"):
                server.start()
                while BenchmarkNothing.query.exists():
                    time.sleep(LOOK_SECONDS)

    def single(self, count: int) -> None:
        """Jobs enqueued one at a time."""
        with self._ground.fresh_store("profile"):
            BenchmarkNothing.create()
            with self._phase("single", "client"):
                for _ in range(count):
                    BenchmarkNothing.create()

    def bulk(self, count: int) -> None:
        """Jobs made, and then enqueued at once."""
        with self._ground.fresh_store("profile"):
            BenchmarkNothing.create()
            with self._phase("made", "client"):
                made = [BenchmarkNothing() for _ in range(count)]
            with self._phase("bulk", "client"):
                BenchmarkNothing.create_many(made)

    def latency(self, count: int) -> None:
        """Jobs that an idle server picks up; the seconds until `save` returned, and until `perform` ran, are sums."""
        with self._ground.fresh_store("profile") as store, server_process(store.url) as pid:
            for _ in range(WARM_UP):
                BenchmarkMoment.create().wait(30)
            saving = starting = 0.0
            with self._phase("latency", "client", {pid: "dispatcher"}):
                for _ in range(count):
                    time.sleep(PAUSE_SECONDS)
                    began = time.time_ns()
                    job = BenchmarkMoment.create()
                    saving += (time.time_ns() - began) / 1e9
                    starting += (job.wait(30).result - began) / 1e9
            self.phases["save"], self.phases["start"] = Spent(saving), Spent(starting)

    def idle(self, seconds: int) -> None:
        """A server that has nothing to do."""
        with self._ground.fresh_store("profile") as store, server_process(store.url) as pid:
            time.sleep(SETTLE_SECONDS)
            with self._phase("idle", "client", {pid: "dispatcher"}):
                time.sleep(seconds)


def main() -> None:
    """Run one part."""
    name, folder, url, count, *how = sys.argv[1:]
    part = Part(Ground(Path(folder), None if url == "-" else url), looks=not how)
    getattr(part, name)(int(count))
    print(json.dumps({phase: asdict(spent) for phase, spent in part.phases.items()}))


if __name__ == "__main__":
    main()
