"""A server: one dispatcher, its worker processes, and signs of life, from start to stop."""

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from penstock import clock, events
from penstock.config import settings
from penstock.errors import AppImportError, ConfigurationError, PenstockError, StoreError, StoreUnavailable
from penstock.server.dispatcher import Dispatcher
from penstock.server.markers import MOST_SLOTS
from penstock.server.messages import FromWorker, JobDone, Ready, Recalled, SliceDone, StartFailed
from penstock.server.pool import Pool, WorkerProcess
from penstock.server.rescue import Rescuer, Sweeper
from penstock.store import process_name
from penstock.store.protocol import Store, Topic
from penstock.store.rows import ServerRow

MOST_STILLBORN = 3
"""Workers in a row that may die before they are ready, until the server gives up."""


def cores() -> int:
    """Return the processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server runs."""

    app: Sequence[str]
    """The modules its workers import."""
    workers: int = 10
    """Slots: pieces of work that run at once."""
    processes: int | None = None
    """Worker processes that share the slots. None: one for each core, but no more than slots."""
    only: UUID | None = None
    """Work on this one job and nothing else."""

    def __post_init__(self) -> None:
        if self.workers > MOST_SLOTS * self.process_count:
            raise ConfigurationError(
                f"{self.workers} workers are too many for --processes {self.process_count}: "
                f"each has {MOST_SLOTS} at most; "
                "give more processes or fewer workers"
            )

    @property
    def process_count(self) -> int:
        """The number of worker processes."""
        return min(self.processes or cores(), self.workers)


class Server:
    """A running server. `start`, then `stop`; `failed` tells what made it end by itself."""

    def __init__(self, store: Store, options: ServerOptions) -> None:
        self.name = process_name()
        self.failed: PenstockError | None = None
        self.ended = threading.Event()
        """Set when the server cannot go on, or has stopped."""
        self._store = store
        self._options = options
        chosen = settings()
        self._pool = Pool(
            self.name,
            app=options.app,
            settings={
                "store": store.url,
                "durability": chosen.durability,
                "timezone": chosen.timezone,
                "max_record": chosen.max_record,
                "max_slice": chosen.max_slice,
            },
            listener=self,
        )
        self.dispatcher = Dispatcher(store, self.name, self._pool.send, only=options.only)
        self.dispatcher.on_lost = self._give_up
        self._rescuer = Rescuer(store, self.name)
        self._sweeper = Sweeper(store, self._rescuer)
        self.dispatcher.destroy = self._sweeper.destroy
        self._stillborn = 0
        self._started = False

    def start_workers(self) -> None:
        """Start the worker processes. They import the app while the caller may still upload."""
        self._pool.start(self._options.process_count, self._options.workers)

    def start(self) -> None:
        """Appear, take over what the dead of this host left, and take work."""
        self._presence = self._store.appear(self.name)
        self._rescuer.look()
        self._store.register_server(
            ServerRow(
                name=self.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                state="starting",
                started_at=clock.now(),
                heartbeat=0,
                processes=self._options.process_count,
                slots=self._options.workers,
            )
        )
        self._listening = self._store.listen(Topic.WORK, self.dispatcher.wake)
        self._sweeper.start()
        self.dispatcher.start()
        self._started = True
        events.publish(events.ServerStarted(self.name, self._options.process_count, self._options.workers))

    def stop(self, grace: float = 30.0) -> None:
        """Claim nothing more, let what runs finish within `grace` seconds, and hand the rest back without blame.

        Of a server that was never started only the workers end.
        """
        if not self._started:
            self._pool.kill()
            self._pool.stop()
            return
        self.dispatcher.drain(grace)
        # Workers first: what is handed back may run elsewhere at once.
        self._pool.kill()
        self._pool.stop()
        self.dispatcher.close()
        self._sweeper.stop()
        self._listening.close()
        with suppress(StoreError):
            # When the store refuses, the next server on this host finds us gone and does it.
            self._store.release_server(self.name)
        self._presence.close()
        self.ended.set()
        events.publish(events.ServerStopped(self.name))

    def kill(self) -> None:
        """Kill the workers at once. What they held is taken over by the next server on this host."""
        self._pool.kill()

    # What workers say, in the pool's thread -------------------------------------------------------

    def received(self, worker: WorkerProcess, messages: list[FromWorker]) -> None:
        """Pass on what a worker says."""
        replies = [message for message in messages if isinstance(message, JobDone | SliceDone)]
        if replies:
            self.dispatcher.worker_returned(worker, replies)
        for message in messages:
            match message:
                case Ready():
                    self._stillborn = 0
                    worker.ready = True
                    self.dispatcher.worker_ready(worker, worker.slots, message.kinds)
                    kinds = tuple(sorted(facts.kind for facts in message.kinds))
                    events.publish(events.WorkerReady(worker.name, kinds))
                case Recalled():
                    self.dispatcher.worker_recalled(worker, message.keys)
                case StartFailed():
                    self._give_up(AppImportError(message.error))

    def died(self, worker: WorkerProcess) -> None:
        """Have a dead worker's work queued again, and another worker started."""
        if self.ended.is_set():
            return
        events.publish(events.WorkerDied(worker.name, worker.evidence))
        self.dispatcher.worker_died(worker, worker.name, worker.evidence, worker.markers.working_on())
        if not worker.ready:
            self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN:
            self._give_up(StoreUnavailable(f"workers die before they are ready; the last one: {worker.evidence}"))
        else:
            self._pool.start_worker(worker.slots)

    def broke(self, error: Exception) -> None:
        """Give up: nothing will be heard of any worker any more."""
        self._give_up(PenstockError(f"the server broke: {type(error).__name__}: {error}"))

    def _give_up(self, error: PenstockError) -> None:
        self.failed = self.failed or error
        self.ended.set()
