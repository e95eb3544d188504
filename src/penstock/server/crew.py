"""The crew of a server or node: its worker processes, kept at their number, and what they say passed on.

To whom it is passed on is all that a server and a node differ in: a server has its dispatcher beside it, a node has
those of the applications it dialled.
"""

from collections.abc import Callable, Collection
from typing import Any, Protocol

from penstock import events
from penstock.errors import AppImportError, PenstockError, StoreUnavailable
from penstock.server.dumps import Dumps, resident_mb
from penstock.server.messages import (
    REPLIES,
    Dumped,
    FromWorker,
    KindFacts,
    Logged,
    Ready,
    Recalled,
    Reply,
    Said,
    StartFailed,
)
from penstock.server.options import ServerOptions
from penstock.server.pool import Pool, WorkerProcess
from penstock.store.rows import LogLine

MOST_STILLBORN = 3
"""Workers in a row that may die before they are ready, until the server gives up."""


class Boss(Protocol):
    """Who gives workers their work. A dispatcher is one; its methods tell what each means."""

    def worker_ready(
        self, worker: Any, slots: int, kinds: list[KindFacts], *, concurrency: int = 0, heavy: bool = False
    ) -> None:
        """Take a worker on."""

    def worker_returned(self, worker: Any, replies: list[Reply]) -> None:
        """Take results."""

    def worker_recalled(self, worker: Any, keys: list[int]) -> None:
        """Take back pieces that were not started."""

    def worker_died(
        self, worker: Any, name: str, evidence: str, working_on: dict[int, int] | None, overdue: Collection[int] = ()
    ) -> None:
        """Take back what a dead worker held."""

    def worker_said(self, worker: Any, message: Said) -> None:
        """Take what the work of a worker says while it runs."""

    def retire(self, worker: Any) -> bool:
        """Give a worker nothing more; tells whether it holds nothing now."""


class Crew:
    """Starts the workers, replaces those that are spent or have died, and passes on what they say."""

    def __init__(
        self,
        name: str,
        options: ServerOptions,
        settings: dict[str, Any],
        give_up: Callable[[PenstockError], None],
        *,
        relays: bool = False,
    ) -> None:
        """Make it; `boss` must be set before the workers start. `give_up` is told why they cannot go on."""
        self._options = options
        self._give_up = give_up
        self.pool = Pool(
            name,
            app=options.app,
            settings=settings,
            memory_limit_mb=options.memory_limit_mb,
            relays=relays,
            listener=self,
        )
        self.dumps = Dumps(self.pool)
        self.boss: Boss
        self.on_lines: Callable[[list[LogLine]], None] = lambda _: None
        """Takes lines that jobs logged; nobody does where no store keeps them."""
        self.on_look: Callable[[], None] = lambda: None
        """Called now and then."""
        self.closed = False
        """Set when deaths of workers mean nothing any more."""
        self._stillborn = 0

    def start(self) -> None:
        """Start the worker processes."""
        options = self._options
        self.pool.start(options.process_count, options.workers, options.concurrency, options.heavy)

    def reload(self) -> None:
        """Replace all workers by new ones, which import the app anew. What runs is finished first."""
        for worker in list(self.pool.workers):
            if not worker.retired:
                self._replace(worker)

    # What workers say, in the pool's thread -------------------------------------------------------

    def received(self, worker: WorkerProcess, messages: list[FromWorker]) -> None:
        """Pass on what a worker says."""
        replies = [message for message in messages if isinstance(message, REPLIES)]
        others = [message for message in messages if not isinstance(message, REPLIES)]
        for message in others:
            if isinstance(message, Said):  # Before the results: what a job said belongs to it as long as it runs.
                self.boss.worker_said(worker, message)
        if replies:
            worker.finished += len(replies)
            self.boss.worker_returned(worker, replies)
            # One that met a kind which a newer worker knows has imported what is no longer deployed.
            if worker.retired or self._is_spent(worker) or any(reply.unknown for reply in replies):
                self._replace(worker)
        for message in others:
            match message:
                case Ready():
                    self._stillborn = 0
                    worker.ready = True
                    self.boss.worker_ready(
                        worker, worker.slots, message.kinds, concurrency=worker.concurrency, heavy=worker.heavy
                    )
                    kinds = tuple(sorted(facts.kind for facts in message.kinds))
                    events.publish(events.WorkerReady(worker.name, kinds))
                case Recalled():
                    self.boss.worker_recalled(worker, message.keys)
                    if worker.retired:
                        self._replace(worker)
                case Dumped():
                    self.dumps.take(worker, message.text)
                case Logged():
                    self.on_lines(message.lines)
                case StartFailed():
                    self._give_up(AppImportError(message.error))

    def died(self, worker: WorkerProcess) -> None:
        """Have a dead worker's work queued again, and another worker started."""
        if self.closed:
            return
        if worker.retired and self.boss.retire(worker):
            self.boss.worker_died(worker, worker.name, worker.evidence, {})
            events.publish(events.WorkerRecycled(worker.name, worker.finished))
            return  # Its successor was started when it retired.
        events.publish(events.WorkerDied(worker.name, worker.evidence))
        self.boss.worker_died(worker, worker.name, worker.evidence, worker.markers.working_on(), overdue=worker.overdue)
        if worker.retired:
            return
        if not worker.ready:
            self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN:
            self._give_up(StoreUnavailable(f"workers die before they are ready; the last one: {worker.evidence}"))
        else:
            self.pool.start_worker(worker.slots, worker.concurrency, heavy=worker.heavy)

    def broke(self, error: Exception) -> None:
        """Give up: nothing will be heard of any worker any more."""
        self._give_up(PenstockError(f"the server broke: {type(error).__name__}: {error}"))

    def looked(self) -> None:
        """Replace workers that have grown too large."""
        self.on_look()
        if self._options.recycle_mb is not None:
            for worker in list(self.pool.workers):
                if not worker.retired and resident_mb(worker.process.pid) > self._options.recycle_mb:
                    self._replace(worker)

    def _is_spent(self, worker: WorkerProcess) -> bool:
        most = self._options.recycle_jobs
        return most is not None and worker.finished >= most

    def _replace(self, worker: WorkerProcess) -> None:
        """Start a successor once, give the worker nothing more, and let it go when it holds nothing."""
        if not worker.retired:
            worker.retired = True
            self.pool.start_worker(worker.slots, worker.concurrency, heavy=worker.heavy)
        if self.boss.retire(worker):
            self.pool.dismiss(worker)
