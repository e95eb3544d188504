"""A worker process: runs the user's code. Nothing is claimed here, and settled only what the code did in a transaction
of the store's.

Started by a dispatcher as `python -m penstock.server.worker SOCKET MARKERS`, both numbers of inherited
descriptors. It ends at once when the socket's other end is gone.
"""

import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import TextIOWrapper
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, cast

from penstock import faults
from penstock.config import configure, settings
from penstock.errors import PenstockError
from penstock.functions import destination
from penstock.server import spans
from penstock.server.app import import_app
from penstock.server.channel import Channel
from penstock.server.facts import facts_of_kinds
from penstock.server.garbage import search_less
from penstock.server.inbox import Inbox
from penstock.server.log_keeping import KeptLines
from penstock.server.logs import ProcessLog, options_of
from penstock.server.markers import Markers
from penstock.server.messages import (
    TASKS,
    Dump,
    Dumped,
    ForgetJob,
    JobDone,
    LearnJob,
    Logged,
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
from penstock.server.relay import RUNNING, Relay
from penstock.server.stacks import stacks
from penstock.store.rows import LogLine

if TYPE_CHECKING:
    from penstock.server.loop_lane import LoopLane

GATHER_SECONDS = {RunJob: 0.003, RunHook: 0.0, RunSlice: 0.03}
"""How long results may wait to be sent together. Somebody may wait for a job; nobody does for one slice."""
FLUSH_BYTES = 1 << 19
LEAVE_SECONDS = 1.0
"""How long the end of a worker may wait for its log handlers."""
_FOR_EVER = float("inf")


class Outbox:
    """Gathers the results of one slot into frames."""

    def __init__(self, channel: Channel[ToWorker]) -> None:
        self._channel = channel
        self._replies: list[Reply] = []
        self._size = 0
        self._due = _FOR_EVER
        self._paces: dict[object, float] = {}

    def put(self, task: Task, reply: Reply, size: int, ended: float) -> None:
        """Add the result of a task that has ended just now."""
        self._replies.append(reply)
        self._size += size
        kind = type(task)
        self._paces[_ALIKE[kind](task)] = reply.seconds
        self._due = min(self._due, ended + GATHER_SECONDS[kind])

    def flush_before(self, task: Task) -> None:
        """Send what has gathered, if it is enough or could not wait until this task will have ended.

        A task of a kind not run before may take for ever.
        """
        if not self._replies:
            return
        takes = self._paces.get(_ALIKE[type(task)](task), _FOR_EVER)
        if self._size >= FLUSH_BYTES or time.perf_counter() + takes >= self._due:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        if self._replies:
            self._channel.send(self._replies)
            faults.at("after_send")
            self._replies, self._size, self._due = [], 0, _FOR_EVER


_ALIKE: dict[type, Callable[[Any], object]] = {
    RunJob: attrgetter("row.kind"),
    RunSlice: attrgetter("job_id"),
    RunHook: attrgetter("row.kind", "moment"),
}
"""What tasks have in common that take about the same time."""


def _is_task(message: ToWorker) -> bool:
    return isinstance(message, TASKS)


class Worker:
    """The process: a thread for each slot, and this one for the channel."""

    def __init__(self, channel: Channel[ToWorker], markers: Markers) -> None:
        self._channel = channel
        self._markers = markers
        self._inbox = Inbox()
        self._jobs: dict[object, LearnJob] = {}
        self._log: ProcessLog | None = None
        self._lane: LoopLane | None = None

    def run(self) -> NoReturn:
        """Import the app, say what it can run, and run what comes until the channel closes."""
        setup: Setup | None = None
        while (messages := self._channel.receive()) is not None:
            waiting = messages if self._lane is None else self._lane.take(messages)
            for are_tasks, together in groupby(waiting, key=_is_task):
                if are_tasks:
                    self._inbox.put(*cast("Iterator[Task]", together))
                    continue
                for message in together:
                    if isinstance(message, Setup):
                        setup = message
                        self._start(setup)
                    else:
                        self._handle(message)
        # At once, in the middle of whatever runs: the dispatcher is gone, and its successor runs it again.
        self._leave(0)

    def _leave(self, code: int) -> NoReturn:
        """Exit when what was logged is written. What waits here is not begun meanwhile."""
        self._inbox.recall(None)
        spans.flush()
        if self._log is not None:
            self._log.close(LEAVE_SECONDS)
        os._exit(code)

    def _start(self, setup: Setup) -> None:
        _limit_memory(setup.memory_limit_mb)
        try:
            self._start_log(setup)
            import_app(setup.app)
            self._complete_log()
            spans.set_up(settings().tracing)
            search_less()
        except PenstockError as error:
            self._channel.send([StartFailed(str(error))])
            self._leave(1)
        facts = facts_of_kinds()
        if setup.relays:
            destination.use(Relay(self._channel.send))
        if setup.concurrency:
            # Here, because asyncio is a tenth of what a worker imports, and few need it.
            from penstock.server.loop_lane import LoopLane

            on_loop = frozenset(one.kind for one in facts if one.on_loop)
            self._lane = LoopLane(self._channel.send, Performer(setup.worker, {}, lambda _: None), on_loop)
        self._channel.send([Ready(facts)])
        for slot in range(setup.slots):
            name = f"{setup.worker}:{slot}"
            threading.Thread(target=self._run_slot, args=(slot, name), name=name, daemon=True).start()

    def _start_log(self, setup: Setup) -> None:
        configure(**setup.settings)
        # Handlers of the user's own may need the app, and be named by it: they follow when it is imported.
        options = replace(options_of(settings()), handlers=())
        self._log = ProcessLog(options, worker=setup.worker).start()

    def _complete_log(self) -> None:
        assert self._log is not None
        self._log.attach()
        self._log.add_handlers([*settings().log_handlers, lambda: KeptLines(self._tell_lines)])

    def _tell_lines(self, lines: list[LogLine]) -> None:
        self._channel.send([Logged(lines)])

    def _handle(self, message: ToWorker) -> None:
        match message:
            case LearnJob():
                self._jobs[message.row.id] = message
            case ForgetJob():
                self._jobs.pop(message.job_id, None)
            case Recall():
                self._channel.send([Recalled(self._inbox.recall(message.keys))])
            case Dump():
                self._channel.send([Dumped(stacks())])

    def _run_slot(self, slot: int, name: str) -> None:
        outbox = Outbox(self._channel)
        markers = self._markers
        performer = Performer(name, self._jobs, partial(markers.note_place, slot), partial(markers.note_deadline, slot))
        while True:
            task = self._inbox.take_now()
            if task is None:
                outbox.flush()
                self._markers.clear(slot)
                task = self._inbox.take()
            outbox.flush_before(task)
            self._markers.set(slot, task.key)
            RUNNING.set(task.key)
            began = time.perf_counter()
            reply = performer.run(task)
            ended = time.perf_counter()
            reply.seconds = ended - began
            outbox.put(task, reply, _size(reply), ended)


def _size(reply: Reply) -> int:
    return 64 if isinstance(reply, JobDone) else sum(len(output.payload) for output in reply.outputs)


def _limit_memory(megabytes: int | None) -> None:
    """Have the system refuse this process more memory than that; asking for it then raises `MemoryError`."""
    if megabytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))


def _ignore_signals() -> None:
    """Leave signals that a terminal or a supervisor sends to the whole group to the dispatcher.

    Handlers that do nothing, not SIG_IGN: that would be inherited by programs which user code starts.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


def _print_whole_lines() -> None:
    """Write what user code prints line by line: unbuffered, a log line may come between a text and its end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def main() -> NoReturn:
    """Run a worker on the descriptors named on the command line."""
    _ignore_signals()
    _print_whole_lines()
    faulthandler.enable()
    sock = socket.socket(fileno=int(sys.argv[1]))
    channel: Channel[ToWorker] = Channel(sock, ToWorker)
    Worker(channel, Markers(int(sys.argv[2]))).run()


if __name__ == "__main__":
    main()
