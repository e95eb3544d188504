"""The books of a round with servers: every record, job and tick is looked up when all has come to its end."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from tests.faults.scene import CREATED_AT_ONCE, LINES, Scene

from penstock.query import Query
from penstock.states import State
from penstock.store import Store, open_store
from penstock.store.rows import JobRow

ALIVE = (State.QUEUED, State.RUNNING, State.PAUSED)


@dataclass
class Books:
    """See the module."""

    scene: Scene
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = open_store(self.scene.lab.url)

    def rows(self, kind: str) -> list[JobRow]:
        """Return the jobs of a kind that are there."""
        return [row for row in self.store.find_jobs(Query(kinds=(kind,))) if not row.draft]

    def is_at_rest(self) -> bool:
        """Tell whether all jobs but the one that ticks have ended, their hooks have run, and the dead are forgotten."""
        return not list(self.left())

    def left(self) -> Iterator[str]:
        """Yield the jobs that have not come to their end, and the dead whose work nobody has taken over."""
        for row in self.rows("Small") + self.rows("Turned"):
            if row.state in ALIVE or row.pending_hooks is not None or row.server is not None:
                held = f"held by {row.server}, hooks {row.pending_hooks} by {row.hooks_server}"
                yield f"{row.kind} {row.id} is {row.state} {row.sub_state}, {held}, {self.store.slice_counts(row.id)}"
        running = self.scene.running()
        yield from (
            f"{server.name} is dead and registered" for server in self.store.servers() if server.pid not in running
        )

    def acknowledged(self, word: str) -> list[list[str]]:
        """Return what the client was told is stored."""
        said = b"".join(client.out for client in self.scene.clients).decode()
        lines = [line.split() for line in said.splitlines()]
        return [line[1:] for line in lines if line[0] == word]

    def notes(self, word: str) -> list[list[str]]:
        """Return what jobs noted."""
        log = self.scene.lab.path("log.txt")
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return [line[1:] for line in lines if line and line[0] == word]

    def wrong(self) -> Iterator[str]:
        """Yield all that is not as it must be."""
        yield from self.unaccounted()
        yield from self._ticking()
        yield from self._held()

    def unaccounted(self) -> Iterator[str]:
        """Yield what is wrong with jobs that have come to their end; servers may go on."""
        yield from self._small()
        yield from self._turned()

    def _small(self) -> Iterator[str]:
        rows = {str(row.id): row for row in self.rows("Small")}
        for job_id, n in self.acknowledged("small"):
            row = rows.get(job_id)
            if row is None:
                yield f"job {job_id} was stored and is gone"
            elif self.store.job(row.id).result is None:  # type: ignore[union-attr]
                yield f"job {job_id} is {row.state} without a result"
            elif json.loads(row.fields)["n"] != int(n):
                yield f"job {job_id} is another than was stored"
        yield from (f"job {job_id} is {row.state}" for job_id, row in rows.items() if row.state is not State.COMPLETED)
        if len(rows) % CREATED_AT_ONCE:
            yield f"{len(rows)} jobs, though {CREATED_AT_ONCE} are stored at once or none"
        performed, told = ({job_id for (job_id,) in self.notes(word)} for word in ("small", "told"))
        yield from (f"job {job_id} is completed and was not performed" for job_id in rows.keys() - performed)
        yield from (f"job {job_id} is completed and its hook did not run" for job_id in rows.keys() - told)
        if not self.scene.suspended:
            yield from (f"job {job_id} ran twice at the same time" for (job_id,) in self.notes("twice"))

    def _turned(self) -> Iterator[str]:
        rows = {str(row.id): row for row in self.rows("Turned")}
        yield from (
            f"batch job {one} was stored and is gone" for (one,) in self.acknowledged("turned") if one not in rows
        )
        expected = [line[::-1] for line in self.scene.lab.path("in.txt").read_text("utf-8").splitlines()]
        for job_id, row in rows.items():
            if row.state is not State.COMPLETED:
                yield f"batch job {job_id} is {row.state}: {row.exception}"
                continue
            if (job_id,) not in {tuple(note) for note in self.notes("after")}:
                yield f"batch job {job_id} is completed and its after_batch did not run"
            checked = self.scene.lab.run("check", job_id, "--json", command="jobs")
            if checked.code:
                yield f"jobs check exits {checked.code}: {checked.err}{checked.out.decode()}"
            if self._output(row.id) != expected:
                yield f"the output of batch job {job_id} is not what a bare loop over {LINES} lines gives"

    def _output(self, job_id: UUID) -> list[str]:
        text = b"".join(self._text(output.payload) for output in self.store.outputs(job_id, "main"))
        return text.decode().splitlines()

    def _text(self, payload: bytes) -> bytes:
        from penstock.records import decode_records

        return b"".join(f"{record}\n".encode() for record in decode_records(payload))

    def _ticking(self) -> Iterator[str]:
        rows = self.rows("Ticking")
        to_come = sum(row.state in ALIVE for row in rows)
        due = sum(
            row.state not in ALIVE and row.pending_hooks is not None and not json.loads(row.fields).get("succeeded_by")
            for row in rows
        )
        if self.acknowledged("ticking") and to_come + due != 1:
            yield f"{to_come} instances of the schedule are to come and {due} due, and it must be one"
        times = Counter(at for _, at in set(map(tuple, self.notes("tick"))))
        yield from (f"the time {at} came as {count} jobs" for at, count in times.items() if count > 1)

    def _held(self) -> Iterator[str]:
        """Servers have stopped: nobody holds anything, and none is registered."""
        yield from (f"server {server.name} is still registered" for server in self.store.servers())
        for kind in ("Small", "Turned", "Ticking"):
            for row in self.rows(kind):
                if row.state is State.RUNNING or row.server is not None:
                    yield f"{kind} {row.id} is {row.state}, held by {row.server}"
        for row in self.rows("Turned"):
            left = self.store.slice_counts(row.id)
            if left:
                yield f"slices of batch job {row.id} are left: {left}"
