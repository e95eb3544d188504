"""Dialling: a node's connections to its distributors, made again whenever they are lost."""

import asyncio
import logging
import random
import ssl
import threading
from collections.abc import Sequence
from typing import Any

from penstock.distributor import handshake
from penstock.distributor.addresses import Address, told
from penstock.distributor.link import Link
from penstock.distributor.listener import new_instance
from penstock.distributor.node import Node
from penstock.distributor.wire import Beat, Credentials, Give, Hello, Refused, Retired, ToNode, Welcome
from penstock.errors import ProtocolError

log = logging.getLogger("penstock.node")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
CONNECT_SECONDS = 10.0


class Dialler:
    """Keeps the connection to one distributor."""

    def __init__(
        self, node: Node, address: Address, secret: bytes, tls: ssl.SSLContext | None, instance: bytes
    ) -> None:
        self._node = node
        self._address = address
        self._secret = secret
        self._tls = tls
        self._instance = instance
        self._hello: Hello | None = None
        self._mine: Credentials | None = None
        self._link: Link | None = None
        self._welcome = False
        self._over: asyncio.Event = asyncio.Event()
        self._said = ""
        self._ended = False

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost: after longer and longer pauses, with a random part."""
        pause = FIRST_PAUSE
        while True:
            if await self._connect():
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)

    def end(self) -> None:
        """Close the connection."""
        self._ended = True
        if self._link is not None:
            self._link.end("the node ends")

    async def _connect(self) -> bool:
        """Hold a connection as long as it lasts; tells whether the handshake succeeded."""
        self._hello = self._mine = self._link = None
        self._welcome = False
        self._over.clear()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(
                    lambda: Link(ToNode, self._received, self._lost),
                    self._address.host,
                    self._address.port,
                    ssl=self._tls,
                    server_hostname=self._address.host if self._tls is not None else None,
                )
        except TimeoutError:
            self._tell("it does not answer")
            return False
        except OSError as error:
            self._tell(told(error))
            return False
        await self._over.wait()
        return self._welcome

    def _received(self, link: Link, messages: list[Any]) -> None:
        self._link = link
        for message in messages:
            match message:
                case Give() if self._welcome:
                    self._node.give(link, message)
                case Beat() if self._welcome:
                    pass
                case Retired() if self._welcome:
                    self._node.retired(link, message.workers)
                case Hello() if self._hello is None:
                    self._answer(link, message)
                case Welcome() if self._mine is not None and not self._welcome:
                    self._begin(link, message)
                case Refused():
                    raise ProtocolError(f"it refuses this node: {message.reason}")
                case _:
                    raise ProtocolError(f"{type(message).__name__} came out of turn")

    def _answer(self, link: Link, hello: Hello) -> None:
        self._hello = hello
        self._mine = handshake.credentials(self._secret, self._node.name, hello, handshake.new_nonce(), self._instance)
        link.send_now([self._mine])

    def _begin(self, link: Link, given: Welcome) -> None:
        assert self._hello is not None
        assert self._mine is not None
        if not handshake.is_welcome(self._secret, self._hello, self._mine, given):
            raise ProtocolError("it does not hold the secret, so nothing is taken from it")
        self._welcome = True
        self._said = ""
        link.trust()
        log.info("connected to %s", self._address)
        self._node.connected(link)

    def _lost(self, link: Link, reason: str) -> None:
        if self._welcome:
            self._node.disconnected(link)
        if not self._ended:
            self._tell(reason)
        self._over.set()

    def _tell(self, reason: str) -> None:
        """Say why there is no connection; once, as long as it is the same reason."""
        if reason != self._said:
            log.warning("%s: %s; it is tried again", self._address, reason)
            self._said = reason


class Switchboard:
    """The event loop, in a thread of its own, on which a node dials all its distributors."""

    def __init__(self, node: Node, addresses: Sequence[Address], secret: bytes, tls: ssl.SSLContext | None) -> None:
        self._arguments = (node, addresses, secret, tls)
        self._diallers: list[Dialler] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="penstock-dialling", daemon=True)

    def start(self) -> None:
        """Start dialling."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, after what is still to be sent."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        node, addresses, secret, tls = self._arguments
        instance = new_instance()
        self._loop.call_soon(self._dial, node, addresses, secret, tls, instance)
        self._loop.run_forever()

    def _dial(
        self, node: Node, addresses: Sequence[Address], secret: bytes, tls: ssl.SSLContext | None, instance: bytes
    ) -> None:
        self._diallers = [Dialler(node, address, secret, tls, instance) for address in addresses]
        # The loop holds its tasks weakly.
        self._tasks = [self._loop.create_task(dialler.run()) for dialler in self._diallers]

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for dialler in self._diallers:
            dialler.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # What is written goes out before the loop ends.
