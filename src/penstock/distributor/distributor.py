"""`Distributor`: jobs pushed to nodes over TCP, and their answers back in the application."""

import asyncio
import socket
import threading
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar, cast, overload
from uuid import UUID

from penstock.distributor.addresses import Address, listening_context, parse_address, refuse_bare
from penstock.distributor.branch import Branch
from penstock.distributor.handshake import checked_secret
from penstock.distributor.listener import Listener, RemoteWorker
from penstock.errors import ConfigurationError, JobNotFound, PenstockError, WaitTimeout
from penstock.functions.feedback import CallbackThread
from penstock.functions.function import Call, JobFunction, P
from penstock.functions.handle import Handle
from penstock.functions.stored import is_periodic_row
from penstock.model.job import Job
from penstock.query import Query
from penstock.states import State
from penstock.store import new_memory_store, open_store

R = TypeVar("R")


class NodeInfo(NamedTuple):
    """A node that is connected."""

    name: str
    address: str
    """Where it dialled from, as `host:port`."""
    workers: int
    """Worker processes that are ready."""
    slots: int
    concurrency: int
    kinds: tuple[str, ...]
    leaving: bool
    """Whether it gets nothing more, because it was told to end."""


class JobInfo(NamedTuple):
    """A job that has not ended, or has failed."""

    id: UUID
    kind: str
    state: State
    waits_for: str | None
    """Why it does not start; None unless something holds it back."""


class Distributor:
    """Takes jobs and pushes them to the nodes that dial in. A context manager: leaving waits for the answers due.

    Any number may run in one process; each has a port of its own.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:0",
        *,
        secret: str | None = None,
        store: str | None = None,
        durable_store: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        ca: str | None = None,
        insecure: bool = False,
        advertise: str | None = None,
        grace: float = 30.0,
    ) -> None:
        """Make it; `start` begins to listen.

        Args:
            address: Where to listen, as `host:port`; port 0 takes a free one.
            secret: What nodes must hold too, 8 characters at least; None takes it from `PENSTOCK_SECRET`.
            store: The URL of the store that keeps its jobs; None keeps them in memory, as long as it runs.
            durable_store: The URL of a store for jobs with `options(durable=True)`.
            cert: A file with a certificate, for TLS.
            key: A file with its private key.
            ca: A file with the certificate that those of nodes must be signed with; without it they need none.
            insecure: Whether an address beyond this machine may do without TLS.
            advertise: The address that nodes are to use, where it is another one than it listens at.
            grace: Seconds that running jobs get to finish when it stops.

        Raises:
            ConfigurationError: an argument means nothing, or there is no secret.
        """
        self._where = parse_address(address)
        self._secret = checked_secret(secret)
        self._tls = listening_context(cert, key, ca)
        refuse_bare(self._where, self._tls, insecure=insecure)
        self._advertise = advertise
        self._grace = grace
        self._urls = (store, durable_store) if durable_store is not None else (store,)
        self._callbacks = CallbackThread("penstock-callbacks")
        self._branches: list[Branch] = []
        self._listener: Listener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    # Life ----------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen for nodes, and take up what is unfinished in a durable store.

        Raises:
            ConfigurationError: the address cannot be had.
            StoreError: a store cannot be opened.
        """
        if self._thread is not None:
            raise PenstockError("the distributor runs already")
        self._branches = [self._new_branch(desk, url) for desk, url in enumerate(self._urls)]
        self._listener = Listener(self._branches, self._secret, self._advertise or "")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-distributor", daemon=True)
        self._thread.start()
        try:
            listening = self._listener.start(self._where, self._tls)
            self._port = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
            for branch in self._branches:
                branch.begin()
        except BaseException:
            asyncio.run_coroutine_threadsafe(self._listener.stop(), self._loop).result()
            self._end_loop()
            raise
        return self

    def stop(self, *, wait: bool = False, timeout: float | None = None) -> None:
        """Stop; running jobs get `grace` seconds to finish. Afterwards it may be started again.

        Args:
            wait: Whether all answers are waited for first, those of periodic jobs left out.
            timeout: Seconds for that; None waits for ever.

        Raises:
            WaitTimeout: some have no answer in time. It is stopped all the same.
        """
        if self._thread is None or self._listener is None or self._loop is None:
            return
        complete = not wait or all(branch.wait(timeout) for branch in self._branches)
        for branch in self._branches:
            branch.end(self._grace)
        asyncio.run_coroutine_threadsafe(self._listener.stop(), self._loop).result()
        self._end_loop()
        self._callbacks.stop()
        for branch in self._branches:
            if not branch.durable:
                branch.store.close()
        if not complete:
            raise WaitTimeout(f"some jobs have no answer after {timeout:g} s")

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Stop, after all answers that are due; where the block has raised, without waiting for them."""
        self.stop(wait=error is None)

    async def __aenter__(self) -> Self:
        """Start, without holding up the event loop."""
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Stop, without holding up the event loop."""
        await asyncio.to_thread(self.stop, wait=error is None)

    # Jobs ----------------------------------------------------------------------------------------

    @overload
    def enqueue(self, function: Job) -> Handle[Any]: ...
    @overload
    def enqueue(self, function: JobFunction[P, R] | Call[P, R], *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    def enqueue(self, function: Any, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Have a call of a job function run by a node; or a new job of any regular class.

        Raises:
            TypeError: it is neither, or the function cannot be called so.
            pydantic.ValidationError: an argument does not fit its annotation.
            PenstockError: the distributor does not run.
        """
        if isinstance(function, JobFunction):
            function = Call(function, {})
        if isinstance(function, Call):
            branch = self._branch(durable=function.durable)
            return branch.enqueue(function.made(args, kwargs), function.feedback)
        if not isinstance(function, Job) or function.batch or args or kwargs:
            raise TypeError("enqueue() takes a function made by @job with its arguments, or a new regular job")
        return self._branch(durable=False).enqueue(function, None)

    async def aenqueue(self, function: JobFunction[P, R] | Call[P, R], *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do as `enqueue`, without holding up the event loop."""
        return await asyncio.to_thread(lambda: self.enqueue(function, *args, **kwargs))

    def handle(self, job_id: UUID) -> Handle[Any]:
        """Return a handle of a job that is here, perhaps since before a restart.

        Raises:
            JobNotFound: there is none.
        """
        for branch in self._branches:
            row = branch.row(job_id)
            if row is not None:
                return Handle(job_id, row.kind, branch, periodic=is_periodic_row(row))
        raise JobNotFound(f"there is no job {job_id}")

    # To be looked at -----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where nodes dial in, as `host:port`: the address to advertise, where one was given."""
        if self._advertise is None:
            host = socket.gethostname() if self._where.host in ("0.0.0.0", "::") else self._where.host  # noqa: S104
            return str(Address(host, self._port or self._where.port))
        told = parse_address(self._advertise)
        return str(told if told.port else Address(told.host, self._port))

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes that are connected."""
        sessions = self._listener.nodes() if self._listener is not None else []
        return [_info(one.node, one.link.peer, list(one.workers.values()), one.leaving) for one in sessions]

    @property
    def jobs(self) -> list[JobInfo]:
        """The jobs that are here: those that wait or run, and those that have failed."""
        found = {}
        for branch in self._branches:
            stored = {row.id: row for row in branch.store.find_jobs(Query())}
            rows = {due.row.id: due.row for due in branch.waiting()} | stored
            found.update({row.id: JobInfo(row.id, row.kind, row.state, row.throttled_by) for row in rows.values()})
        return list(found.values())

    @property
    def feedbacks(self) -> list[Handle[Any]]:
        """The handles of the jobs whose `on_success` or `on_error` is still to be called."""
        dues = [due for branch in self._branches for due in branch.waiting()]
        return [due.handle for due in dues if due.handle is not None and due.feedback is not None]

    # ----------------------------------------------------------------------------------------------

    def _new_branch(self, desk: int, url: str | None) -> Branch:
        store = new_memory_store() if url is None else open_store(url)
        return Branch(store, partial(self._give, desk), self._callbacks, self._nodes_told, durable=url is not None)

    def _nodes_told(self) -> list[dict[str, object]]:
        """Return the nodes as those see them who look at the store; one in memory nobody looks at."""
        return [info._asdict() for info in self.nodes]

    def _give(self, desk: int, worker: RemoteWorker, messages: list[Any]) -> None:
        cast("Listener", self._listener).give(desk, worker, messages)

    def _branch(self, *, durable: bool) -> Branch:
        if self._thread is None:
            raise PenstockError("the distributor does not run: use it in a `with` block, or call start()")
        if durable and not self._branches[-1].durable:
            raise ConfigurationError("durable=True: the distributor has no durable store; give it durable_store=")
        return self._branches[-1 if durable else 0]

    def _end_loop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._listener = None


def _info(name: str, peer: str, workers: list[RemoteWorker], leaving: bool) -> NodeInfo:
    slots, concurrency = sum(one.slots for one in workers), sum(one.concurrency for one in workers)
    kinds = sorted({kind for one in workers for kind in one.kinds})
    return NodeInfo(name, peer, len(workers), slots, concurrency, tuple(kinds), leaving)
