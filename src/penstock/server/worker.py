"""A worker process: runs the user's code, and nothing claims or settles here.

Started by a dispatcher as `python -m penstock.server.worker SOCKET MARKERS`, both numbers of inherited
descriptors. It ends at once when the socket's other end is gone.
"""

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

from penstock.config import configure
from penstock.errors import PenstockError
from penstock.model.kinds import known_kinds
from penstock.server.app import import_app
from penstock.server.channel import Channel
from penstock.server.inbox import Inbox
from penstock.server.markers import Markers
from penstock.server.messages import (
    ForgetJob,
    KindFacts,
    LearnJob,
    Ready,
    Recall,
    Recalled,
    Reply,
    RunHook,
    RunJob,
    RunSlice,
    Setup,
    StartFailed,
    Task,
    ToWorker,
)
from penstock.server.performing import Performer

GATHER_SECONDS = {RunJob: 0.003, RunHook: 0.0, RunSlice: 0.03}
"""How long results may wait to be sent together. Somebody may wait for a job; nobody does for one slice."""
FLUSH_BYTES = 1 << 19


class Outbox:
    """Gathers the results of one slot into frames."""

    def __init__(self, channel: Channel[ToWorker]) -> None:
        self._channel = channel
        self._replies: list[Reply] = []
        self._size = 0
        self._due = float("inf")
        self._paces: dict[object, float] = {}

    def put(self, task: Task, reply: Reply, size: int) -> None:
        """Add the result of a task that has ended just now."""
        self._replies.append(reply)
        self._size += size
        self._paces[_alike(task)] = reply.seconds
        self._due = min(self._due, time.perf_counter() + GATHER_SECONDS[type(task)])

    def flush_before(self, task: Task) -> None:
        """Send what has gathered, if it is enough or could not wait until this task will have ended.

        A task of a kind not run before may take for ever.
        """
        ended = time.perf_counter() + self._paces.get(_alike(task), float("inf"))
        if self._size >= FLUSH_BYTES or ended >= self._due:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        if self._replies:
            self._channel.send(self._replies)
            self._replies, self._size, self._due = [], 0, float("inf")


def _alike(task: Task) -> object:
    """Return what tasks have in common that take about the same time."""
    match task:
        case RunSlice():
            return task.job_id
        case RunHook():
            return task.row.kind, task.moment
        case RunJob():
            return task.row.kind


class Worker:
    """The process: a thread for each slot, and this one for the channel."""

    def __init__(self, channel: Channel[ToWorker], markers: Markers) -> None:
        self._channel = channel
        self._markers = markers
        self._inbox = Inbox()
        self._jobs: dict[object, LearnJob] = {}

    def run(self) -> NoReturn:
        """Import the app, say what it can run, and run what comes until the channel closes."""
        setup: Setup | None = None
        while (messages := self._channel.receive()) is not None:
            for message in messages:
                if isinstance(message, Setup):
                    setup = message
                    self._start(setup)
                else:
                    self._handle(message)
        # At once, in the middle of whatever runs: the dispatcher is gone, and its successor runs it again.
        os._exit(0)

    def _start(self, setup: Setup) -> None:
        configure(**setup.settings)
        try:
            import_app(setup.app)
        except PenstockError as error:
            self._channel.send([StartFailed(str(error))])
            os._exit(1)
        self._channel.send([Ready([*map(_facts, known_kinds().items())])])
        for slot in range(setup.slots):
            name = f"{setup.worker}:{slot}"
            threading.Thread(target=self._run_slot, args=(slot, name), name=name, daemon=True).start()

    def _handle(self, message: ToWorker) -> None:
        match message:
            case RunJob() | RunHook() | RunSlice():
                self._inbox.put(message)
            case LearnJob():
                self._jobs[message.row.id] = message
            case ForgetJob():
                self._jobs.pop(message.job_id, None)
            case Recall():
                self._channel.send([Recalled(self._inbox.recall(message.keys))])

    def _run_slot(self, slot: int, name: str) -> None:
        outbox = Outbox(self._channel)
        performer = Performer(name, self._jobs, lambda place: self._markers.note_place(slot, place))
        while True:
            task = self._inbox.take_now()
            if task is None:
                outbox.flush()
                self._markers.clear(slot)
                task = self._inbox.take()
            outbox.flush_before(task)
            self._markers.set(slot, task.key)
            began = time.perf_counter()
            reply, size = _perform(performer, task)
            reply.seconds = time.perf_counter() - began
            outbox.put(task, reply, size)


def _perform(performer: Performer, task: Task) -> tuple[Reply, int]:
    if isinstance(task, RunSlice):
        done = performer.run_slice(task)
        return done, sum(len(output.payload) for output in done.outputs)
    return (performer.run_hook(task) if isinstance(task, RunHook) else performer.run_job(task)), 64


def _facts(item: tuple[str, type]) -> KindFacts:
    kind, cls = item
    return KindFacts(kind, cls.batch, sorted(cls.hooks))  # type: ignore[attr-defined]


def _ignore_signals() -> None:
    """Leave signals that a terminal or a supervisor sends to the whole group to the dispatcher.

    Handlers that do nothing, not SIG_IGN: that would be inherited by programs which user code starts.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


def main() -> NoReturn:
    """Run a worker on the descriptors named on the command line."""
    _ignore_signals()
    faulthandler.enable()
    sock = socket.socket(fileno=int(sys.argv[1]))
    channel: Channel[ToWorker] = Channel(sock, ToWorker)
    Worker(channel, Markers(int(sys.argv[2]))).run()


if __name__ == "__main__":
    main()
