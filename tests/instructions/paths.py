"""The hot paths whose instructions are counted: each is prepared once, and then runs so many units of its work."""

import io
from collections import deque
from collections.abc import Callable
from typing import Any

from penstock import clock
from penstock.batch.perform import SliceWork, perform_slice
from penstock.bench.kinds import BenchmarkNothing, BenchmarkReverse
from penstock.ids import new_id
from penstock.model.storing import prepare_new
from penstock.records import encode_records, encode_text
from penstock.server.dispatcher import Dispatcher
from penstock.server.facts import facts_of_kinds
from penstock.server.frames import Decoder, append_frame
from penstock.server.messages import FromWorker, JobDone, RunJob, RunSlice, SliceDone, ToWorker
from penstock.server.performing import Performer
from penstock.store import new_memory_store
from penstock.store.rows import JobRow, NewOutput, NewSlice, ServerRow
from penstock.streams import cut_lines

Run = Callable[[int], object]
"""Does so many units of work."""
LINE = "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWX"
PER_SLICE = 1000
PER_FRAME = 50


def line_cut() -> Run:
    """A line of a file, cut into a slice of 1000."""
    data = f"{LINE}\n".encode()

    def run(lines: int) -> None:
        deque(cut_lines(io.BytesIO(data * lines), name="lines", records_per_slice=PER_SLICE), maxlen=0)

    return run


def record_performed() -> Run:
    """A record of a slice of 1000, through a `perform` that reverses it."""
    job = BenchmarkReverse()
    payload = encode_text(f"{LINE}\n".encode() * PER_SLICE)

    def run(records: int) -> None:
        for number in range(records // PER_SLICE):
            perform_slice(job, SliceWork(number, 1, 0, payload))

    return run


def job_made() -> Run:
    """A job, checked and made into a row for the store."""

    def run(jobs: int) -> None:
        for _ in range(jobs):
            prepare_new(BenchmarkNothing())

    return run


def job_performed() -> Run:
    """A job that does nothing, in a worker, from message to message."""
    performer = Performer("worker", {}, lambda _: None)
    row = prepare_new(BenchmarkNothing())

    def run(jobs: int) -> None:
        for key in range(jobs):
            performer.run(RunJob(key, 50, row))

    return run


def job_on_channel() -> Run:
    """A job's message to a worker and the one back, in frames of 50."""
    row = prepare_new(BenchmarkNothing())
    there = [RunJob(key, 50, row) for key in range(PER_FRAME)]
    back = [JobDone(key, 0.001, None, None, {}, {}) for key in range(PER_FRAME)]
    to_worker: Decoder[Any] = Decoder(ToWorker)
    from_worker: Decoder[Any] = Decoder(FromWorker)

    def run(jobs: int) -> None:
        for _ in range(jobs // PER_FRAME):
            _pass(there, to_worker)
            _pass(back, from_worker)

    return run


def _pass(messages: list[Any], decoder: Decoder[Any]) -> None:
    frame = bytearray()
    append_frame(messages, frame)
    decoder.feed(bytes(frame))


class Served:
    """A dispatcher over a store in memory, whose one worker is played: it has done all it is handed at once."""

    def __init__(self) -> None:
        self.store = new_memory_store()
        self.dispatcher = Dispatcher(self.store, "server", lambda _, messages: self._handed.extend(messages))
        self._handed: list[Any] = []
        self.store.register_server(ServerRow("server", "here", 1, "running", clock.now(), 0, 1, 1))
        self.dispatcher.worker_ready("worker", 1, facts_of_kinds())

    def work_off(self, replying: Callable[[Any], Any], kind: type) -> int:
        """Take turns until nothing is handed out any more; returns how many pieces were."""
        count = 0
        while replies := self._replies(replying, kind):
            count += len(replies)
            self.dispatcher.worker_returned("worker", replies)
        return count

    def _replies(self, replying: Callable[[Any], Any], kind: type) -> list[Any]:
        self.dispatcher._woken = False
        self.dispatcher._turn()
        handed, self._handed[:] = list(self._handed), []
        return [replying(task) for task in handed if isinstance(task, kind)]


def job_dispatched() -> Run:
    """A job that is stored in memory: claimed, handed out, settled."""
    served = Served()

    def run(jobs: int) -> None:
        served.store.insert_jobs([prepare_new(BenchmarkNothing()) for _ in range(jobs)])
        done = served.work_off(lambda task: JobDone(task.key, 0.0002, None, None, {}, {}), RunJob)
        assert done == jobs, done

    return run


def slice_dispatched() -> Run:
    """A slice of 100 records that is stored in memory: claimed, handed out, settled with its output."""
    served = Served()
    payload = encode_records([LINE] * 100)
    output = [NewOutput("main", 100, payload)]

    def run(slices: int) -> None:
        row = JobRow(new_id(), "BenchmarkReverse", True, clock.now(), record_count=100 * slices)
        served.store.insert_jobs([row])
        served.store.append_slices(row.id, "main", [NewSlice(1 + 100 * n, 100, payload) for n in range(slices)])
        done = served.work_off(lambda task: SliceDone(task.key, 0.002, 100, output, None), RunSlice)
        assert done == slices, done

    return run


PATHS: dict[str, tuple[Callable[[], Run], int]] = {
    "line cut": (line_cut, 20_000),
    "record performed": (record_performed, 50_000),
    "job made": (job_made, 300),
    "job performed": (job_performed, 300),
    "job on a channel": (job_on_channel, 2_000),
    "job dispatched": (job_dispatched, 400),
    "slice dispatched": (slice_dispatched, 200),
}
"""How each is prepared, and how many units of its work are counted."""
