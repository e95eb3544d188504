"""The worker processes of a server, and the thread that reads what they say."""

import contextlib
import logging
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock import clock, events
from penstock.errors import ProtocolError
from penstock.server.channel import Channel
from penstock.server.log_formats import LONGEST_LINE
from penstock.server.markers import Markers, new_descriptor
from penstock.server.messages import FromWorker, Setup

log = logging.getLogger("penstock")

LOG_LINES = 20
"""Lines of a worker's output that are kept as evidence."""
CHECK_SECONDS = 1.0
"""How often time-outs and the size of workers are looked at."""
EXIT_SECONDS = 5.0
"""How long a worker whose channel is closed may take to end before it is killed."""


class Listener(Protocol):
    """Who wants to know what workers say; called from the pool's thread."""

    def received(self, worker: "WorkerProcess", messages: list[FromWorker]) -> None:
        """Take messages of a worker."""

    def died(self, worker: "WorkerProcess") -> None:
        """Note that a worker has ended."""

    def broke(self, error: Exception) -> None:
        """Note that nothing will be heard of any worker any more."""

    def looked(self) -> None:
        """Use the moment, which comes about once a second, to see to the workers."""


@dataclass(eq=False)
class WorkerProcess:
    """A worker process as its server sees it."""

    name: str
    slots: int
    concurrency: int
    process: subprocess.Popen[bytes]
    channel: Channel[FromWorker]
    markers: Markers
    output: int
    """The descriptor from which its standard output and error are read."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    partial: bytes = b""
    ready: bool = False
    started: float = field(default_factory=clock.monotonic)
    heavy: bool = False
    """Whether it does heavy work, one piece at a time, and nothing else."""
    finished: int = 0
    """Pieces of work it is through with."""
    retired: bool = False
    """It is to end once it holds nothing, and another has been started in its place."""
    overdue: list[int] = field(default_factory=list)
    """The keys of the pieces for whose time-out it was killed."""

    @property
    def evidence(self) -> str:
        """How it ended, with the last lines it wrote."""
        code = self.process.returncode
        if code is None:
            how = "its channel broke"
        elif code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        else:
            how = f"exited with code {code}"
        return "\n".join([f"worker process {self.process.pid} {how}", *self.lines])


class Pool:
    """Starts worker processes, relays their messages and output, and starts new ones for those that die."""

    def __init__(
        self,
        server: str,
        *,
        app: Sequence[str],
        settings: dict[str, Any],
        listener: Listener,
        memory_limit_mb: int | None = None,
        relays: bool = False,
    ) -> None:
        self._server = server
        self._relays = relays
        self._app = list(app)
        self._settings = settings
        self._memory_limit_mb = memory_limit_mb
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = os.pipe()
        os.set_blocking(self._wake_receiver, False)
        os.set_blocking(self._wake_sender, False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, self._drain)
        self._serial = 0
        self._blocked: set[WorkerProcess] = set()
        self._closing = False
        """No worker is to be started any more."""
        self._ended = False
        """Nothing is to be read any more."""
        self._checked = time.monotonic()
        self.workers: list[WorkerProcess] = []
        self._thread = threading.Thread(target=self._run, name="penstock-channels", daemon=True)

    def start(self, processes: int, slots: int, concurrency: int = 0, heavy: int = 0) -> None:
        """Start `processes` workers that share `slots` slots, and what runs on loops, as evenly as can be.

        Besides so many that are for `heavy` work.
        """
        for index in range(processes):
            self.start_worker(_share(slots, processes, index), _share(concurrency, processes, index))
        for _ in range(heavy):
            self.start_worker(1, heavy=True)
        self._thread.start()

    def start_worker(self, slots: int, concurrency: int = 0, *, heavy: bool = False) -> None:
        """Start one worker process."""
        self._serial += 1
        worker = self._spawn(f"{self._server}:{self._serial}", slots, concurrency)
        worker.heavy = heavy
        self.workers.append(worker)
        self._selector.register(worker.channel.socket, selectors.EVENT_READ, lambda: self._read(worker))
        self._selector.register(worker.output, selectors.EVENT_READ, lambda: self._read_output(worker))
        setup = Setup(worker.name, self._app, slots, self._settings, self._memory_limit_mb, concurrency, self._relays)
        self.send(worker, [setup])
        self._wake()
        if self._closing:  # Since it was asked whether a dead worker needs a successor.
            worker.process.kill()
            worker.process.wait()

    def send(self, worker: WorkerProcess, messages: Sequence[Any]) -> None:
        """Send messages to a worker, from any thread. Never blocks."""
        if not worker.channel.send(messages):
            self._blocked.add(worker)
            self._wake()

    def dismiss(self, worker: WorkerProcess) -> None:
        """Let a worker that holds nothing end; its death is no accident."""
        worker.retired = True
        with contextlib.suppress(OSError):
            worker.channel.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """End all workers and the pool's thread. What workers still hold is theirs no more."""
        self._closing = True
        for worker in list(self.workers):
            # Their end of the channel sees this and exits.
            with contextlib.suppress(OSError):
                worker.channel.socket.shutdown(socket.SHUT_RDWR)
        deadline = clock.monotonic() + EXIT_SECONDS
        for worker in list(self.workers):
            # Our thread reads meanwhile what they have yet to say.
            _await_exit(worker, max(0.0, deadline - clock.monotonic()))
        self._ended = True
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(EXIT_SECONDS)
        for worker in list(self.workers):
            # One may have been started when we had begun to stop.
            _await_exit(worker, 0.0)
            self._read_rest(worker)
            self._release(worker)
        self._selector.close()
        for descriptor in (self._wake_receiver, self._wake_sender):
            os.close(descriptor)

    def kill(self) -> None:
        """Kill all workers at once."""
        self._closing = True
        for worker in list(self.workers):
            worker.process.kill()

    def _spawn(self, name: str, slots: int, concurrency: int) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        markers = new_descriptor()
        output, their_output = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock.server.worker", str(theirs.fileno()), str(markers)],
                pass_fds=(theirs.fileno(), markers),
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                # Lines must be out before a crash to be evidence of it.
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            ours.setblocking(False)
            os.set_blocking(output, False)
            channel: Channel[FromWorker] = Channel(ours, FromWorker)
            return WorkerProcess(name, slots, concurrency, process, channel, Markers(markers), output)
        finally:
            theirs.close()
            os.close(markers)
            os.close(their_output)

    # In the pool's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended:
                self._take_round()
        except Exception as error:
            # A defect of ours: without this thread no result would ever come back.
            log.exception("the thread that listens to workers broke")
            self._listener.broke(error)

    def _take_round(self) -> None:
        for key, _ in self._selector.select(CHECK_SECONDS):
            # What came before in this round may have let go of it, as the end of a worker does of its output.
            present = self._selector.get_map().get(key.fd)
            if present is not None and present.data is key.data:
                key.data()
        for worker in list(self._blocked):
            if worker.channel.flush():
                self._blocked.discard(worker)
                self._watch(worker, selectors.EVENT_READ)
            else:
                self._watch(worker, selectors.EVENT_READ | selectors.EVENT_WRITE)
        if time.monotonic() - self._checked >= CHECK_SECONDS:
            self._checked = time.monotonic()
            self._kill_overdue(self._checked)
            if not self._closing:
                self._listener.looked()

    def _kill_overdue(self, now: float) -> None:
        """Kill workers that hold a piece which was told to end and has not; by real time, as its deadline is."""
        for worker in self.workers:
            worker.overdue = worker.overdue or worker.markers.overdue(now)
            if worker.overdue:
                worker.process.kill()

    def _watch(self, worker: WorkerProcess, what: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            key = self._selector.get_key(worker.channel.socket)
            if key.events != what:
                self._selector.modify(worker.channel.socket, what, key.data)

    def _read(self, worker: WorkerProcess) -> None:
        try:
            messages = worker.channel.receive()
        except BlockingIOError:
            return
        except ProtocolError as error:
            worker.lines.append(str(error))
            messages = None
        if messages is None:
            self._bury(worker)
        elif messages and not self._closing:
            self._listener.received(worker, messages)

    def _read_output(self, worker: WorkerProcess) -> bool:
        """Read some output and tell its lines; False when there is nothing now."""
        try:
            data = os.read(worker.output, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.output)
            return False
        *lines, worker.partial = (worker.partial + data).split(b"\n")
        if len(worker.partial) > LONGEST_LINE:
            lines, worker.partial = [*lines, worker.partial], b""
        for line in lines:
            self._tell(worker, line)
        return True

    def _see_out(self, worker: WorkerProcess) -> None:
        """Wait for the end of a worker, and read meanwhile what it has yet to say."""
        deadline = clock.monotonic() + EXIT_SECONDS
        while worker.process.poll() is None and clock.monotonic() < deadline:
            if select.select([worker.output], [], [], 0.01)[0] and not self._read_output(worker):
                break
        _await_exit(worker, max(0.0, deadline - clock.monotonic()))

    def _read_rest(self, worker: WorkerProcess) -> None:
        """Read what a worker that has ended left to be read."""
        while self._read_output(worker):
            pass
        if worker.partial:
            self._tell(worker, worker.partial)
            worker.partial = b""

    def _tell(self, worker: WorkerProcess, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        worker.lines.append(text)
        events.publish(events.WorkerOutput(worker.name, text))

    def _bury(self, worker: WorkerProcess) -> None:
        """Let go of a worker that has ended, and tell the listener."""
        self._selector.unregister(worker.channel.socket)
        if self._closing:
            return
        self._see_out(worker)
        self._read_rest(worker)
        self.workers.remove(worker)
        self._blocked.discard(worker)
        self._listener.died(worker)
        self._release(worker)

    def _release(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.output)
        worker.channel.close()
        worker.markers.close()
        os.close(worker.output)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_receiver, 1024)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_sender, b"!")


def _share(number: int, parts: int, index: int) -> int:
    return number // parts + (index < number % parts)


def _await_exit(worker: WorkerProcess, seconds: float) -> None:
    try:
        worker.process.wait(seconds)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()
