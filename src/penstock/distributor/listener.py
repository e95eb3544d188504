"""The listener: where nodes dial in, and what they say is passed on to the dispatchers."""

import asyncio
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock import clock
from penstock.distributor import handshake
from penstock.distributor.addresses import Address
from penstock.distributor.branch import Branch
from penstock.distributor.link import Link
from penstock.distributor.wire import (
    VERSION,
    Beat,
    Credentials,
    Give,
    Hello,
    Joined,
    Left,
    Refused,
    Retired,
    Retiring,
    Said,
    ToDistributor,
)
from penstock.errors import ConfigurationError, ProtocolError

log = logging.getLogger("penstock.distributor")

STOP_SECONDS = 2.0
"""How long peers may take to read the last words."""
TURNS_TO_CLOSE = 3
"""Turns of the loop until a connection that was closed is gone: with TLS its transport goes first, then its own."""
MOST_STRANGERS = 128
"""Connections that have not finished the handshake; more are closed at once."""
LONGEST_NAME = 200


@dataclass(eq=False)
class RemoteWorker:
    """A worker process of a node, as its distributor sees it."""

    session: "Session"
    number: int
    name: str
    slots: int
    concurrency: int
    kinds: tuple[str, ...]


@dataclass(eq=False)
class Session:
    """One connection of a node."""

    link: Link
    hello: Hello
    node: str = ""
    instance: bytes = b""
    since: datetime = field(default_factory=clock.now)
    workers: dict[int, RemoteWorker] = field(default_factory=dict)
    leaving: bool = False


class Listener:
    """Accepts nodes. All of it happens on one event loop, but for `give`."""

    def __init__(self, branches: Sequence[Branch], secret: bytes, advertised: str) -> None:
        self._branches = branches
        self._secret = secret
        self._advertised = advertised
        self._sessions: dict[Link, Session] = {}
        self._server: asyncio.Server | None = None
        self._closing = False

    async def start(self, address: Address, tls: ssl.SSLContext | None) -> int:
        """Listen; returns the port.

        Raises:
            ConfigurationError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        # Of a handshake that is never finished TLS itself must let go too.
        handshake_seconds, shutdown_seconds = (5.0, 2.0) if tls is not None else (None, None)
        try:
            self._server = await loop.create_server(
                lambda: Link(ToDistributor, self._received, self._lost, self._greet),
                address.host,
                address.port,
                ssl=tls,
                backlog=1024,
                ssl_handshake_timeout=handshake_seconds,
                ssl_shutdown_timeout=shutdown_seconds,
            )
        except OSError as error:
            raise ConfigurationError(f"{address}: {error.strerror or error}; choose another address") from None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close all connections; those whose peers do not read what is left to say after `STOP_SECONDS`."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        for link in list(self._sessions):
            link.end("the distributor stops")
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        while self._sessions and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        for link in list(self._sessions):
            link.abort()
        # Connections that are in the midst of TLS's own handshake.
        begun = asyncio.all_tasks() - {asyncio.current_task()}
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        for _ in range(TURNS_TO_CLOSE):
            await asyncio.sleep(0)

    def nodes(self) -> list[Session]:
        """Return the nodes that are connected."""
        return [session for session in list(self._sessions.values()) if session.node]

    def give(self, desk: int, worker: RemoteWorker, messages: list[Any]) -> None:
        """Send messages of a dispatcher to a worker, from any thread."""
        worker.session.link.send([Give(worker.number, desk, messages)])

    # On the loop ---------------------------------------------------------------------------------

    def _greet(self, link: Link) -> None:
        session = self._sessions[link] = Session(link, Hello(VERSION, handshake.new_nonce()))
        if sum(not other.node for other in self._sessions.values()) > MOST_STRANGERS:
            link.end("too many connections that have not finished the handshake")
        else:
            link.send_now([session.hello])

    def _received(self, link: Link, messages: list[Any]) -> None:
        session = self._sessions[link]
        for message in messages:
            if isinstance(message, Credentials):
                self._admit(session, message)
            elif not session.node:
                raise ProtocolError(f"{type(message).__name__} came before the handshake was finished")
            else:
                self._take(session, message)

    def _admit(self, session: Session, given: Credentials) -> None:
        if session.node:
            raise ProtocolError("credentials came twice")
        reason = self._reason_against(session, given)
        if reason is not None:
            log.warning("a node at %s was refused: %s", session.link.peer, reason)
            session.link.end(reason, Refused(reason))
            return
        session.node, session.instance = given.node, given.instance
        session.link.trust()
        session.link.send_now([handshake.welcome(self._secret, session.hello, given, self._advertised)])
        log.info("node %s is connected from %s", session.node, session.link.peer)

    def _reason_against(self, session: Session, given: Credentials) -> str | None:
        if given.version != VERSION:
            return f"it speaks version {given.version} of the protocol, the distributor {VERSION}"
        if not handshake.are_good(self._secret, session.hello, given):
            return "its secret is not the one of the distributor"
        if not given.node or len(given.node) > LONGEST_NAME:
            return f"a node has a name of 1 to {LONGEST_NAME} characters"
        for other in list(self._sessions.values()):
            if other.node == given.node:
                if other.instance != given.instance:
                    return f"another node is called {given.node!r}"
                other.link.end("it has connected again")
                self._forget(other, "it has connected again")
        return None

    def _take(self, session: Session, message: Any) -> None:
        match message:
            case Said():
                worker = session.workers.get(message.worker)
                if worker is not None:
                    self._branch(message.desk).take(worker, message.messages)
            case Joined():
                self._join(session, message)
            case Left():
                self._part(session, message)
            case Retiring():
                self._retire(session, message.workers)
            case Beat():
                pass

    def _branch(self, desk: int) -> Branch:
        if not 0 <= desk < len(self._branches):
            raise ProtocolError(f"there is no dispatcher {desk} here")
        return self._branches[desk]

    def _join(self, session: Session, told: Joined) -> None:
        if told.worker in session.workers or told.slots < 0 or told.concurrency < 0:
            raise ProtocolError(f"worker {told.worker} cannot join so")
        kinds = tuple(sorted(facts.kind for facts in told.kinds))
        worker = RemoteWorker(session, told.worker, told.name, told.slots, told.concurrency, kinds)
        session.workers[told.worker] = worker
        for branch in self._branches:
            branch.dispatcher.worker_ready(
                worker, told.slots, told.kinds, concurrency=told.concurrency, node=session.node, heavy=told.heavy
            )

    def _part(self, session: Session, told: Left) -> None:
        worker = session.workers.pop(told.worker, None)
        if worker is None:
            return
        for desk, branch in enumerate(self._branches):
            branch.dispatcher.worker_died(
                worker, worker.name, told.evidence, told.working_on.get(desk, {}), told.overdue.get(desk, ())
            )

    def _retire(self, session: Session, numbers: list[int] | None) -> None:
        session.leaving = session.leaving or numbers is None
        for worker in list(session.workers.values()):
            if numbers is None or worker.number in numbers:
                for branch in self._branches:
                    branch.dispatcher.retire(worker)
        session.link.send([Retired(numbers)])

    def _lost(self, link: Link, reason: str) -> None:
        session = self._sessions.pop(link, None)
        if session is None:
            return
        if not session.node:
            log.warning("a connection from %s ended before the handshake was finished: %s", link.peer, reason)
            return
        if session.leaving:
            log.info("node %s has left", session.node)
        elif not self._closing:
            log.warning("node %s is lost: %s", session.node, reason)
        self._forget(session, reason)

    def _forget(self, session: Session, reason: str) -> None:
        """Have what a node held done by others."""
        workers, session.workers = session.workers, {}
        for worker in workers.values():
            for branch in self._branches:
                branch.dispatcher.worker_died(worker, worker.name, f"node {session.node} is lost: {reason}", None)
        session.node = ""


def new_instance() -> bytes:
    """Return what tells one run of a node from another of the same name."""
    return os.urandom(16)
