"""A link: one TCP connection that carries frames, on the event loop of its side."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from penstock.distributor.wire import MOST_OF_HANDSHAKE, Beat
from penstock.errors import ProtocolError
from penstock.server.frames import MAX_FRAME, Decoder, append_frame

log = logging.getLogger("penstock.distributor")

HANDSHAKE_SECONDS = 5.0
"""How long the whole handshake may take, however busily the peer sends."""
BEAT_SECONDS = 5.0
SILENCE_SECONDS = 20.0
"""A peer from which nothing came for so long is gone, though the connection does not say so."""


class Link(asyncio.Protocol):
    """One end. `send` may be called from any thread; all else happens on the loop."""

    def __init__(
        self,
        incoming: Any,
        received: Callable[["Link", list[Any]], None],
        lost: Callable[["Link", str], None],
        made: Callable[["Link"], None] = lambda _: None,
    ) -> None:
        """Make it; `received` may raise `ProtocolError`, and `lost` is told why the link ended."""
        self._incoming = incoming
        self._received = received
        self._lost = lost
        self._made = made
        self._decoder: Decoder[Any] = Decoder(incoming, most=MOST_OF_HANDSHAKE)
        self._loop = asyncio.get_running_loop()
        self._unsent: list[Any] = []
        self._sending = threading.Lock()
        self._transport: asyncio.Transport | None = None
        self._trusted = False
        self._reason = ""
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._timer = self._loop.call_later(HANDSHAKE_SECONDS, self.end, "it did not finish the handshake in time")
        self._made(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; hostile ones end this link, and nothing else."""
        self._heard = self._loop.time()
        if self._reason:
            return
        try:
            messages = self._decoder.feed(data)
            if messages:
                self._received(self, messages)
        except ProtocolError as error:
            self.end(str(error))
        except Exception as error:
            # A defect of ours must not take the other links along.
            log.exception("a message of %s could not be handled", self.peer)
            self.end(f"{type(error).__name__}: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self, self._reason or (str(error) if error else "the other side closed it"))

    # For its owner -------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """Who is at the other end, as `host:port`."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "somebody"

    def trust(self) -> None:
        """Take longer frames from now on: the peer has shown that it holds the secret."""
        rest = self._decoder.rest()
        self._decoder = Decoder(self._incoming, most=MAX_FRAME)
        self._trusted = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)
        if rest:
            self.data_received(rest)

    def send(self, messages: Sequence[Any]) -> None:
        """Send messages, in order, from any thread. To a link that has ended nothing is sent."""
        with self._sending:
            first = not self._unsent
            self._unsent += messages
        if first:
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:
                with self._sending:
                    self._unsent.clear()  # The loop is closed, and with it the link.

    def send_now(self, messages: Sequence[Any]) -> None:
        """Send messages from the loop itself."""
        if self._transport is not None and not self._transport.is_closing():
            buffer = bytearray()
            append_frame(messages, buffer)
            self._transport.write(buffer)

    def end(self, reason: str, *messages: Any) -> None:
        """Close it, after the last words; `reason` is told to the owner."""
        self._reason = self._reason or reason
        if messages:
            self.send_now(messages)
        if self._transport is not None:
            if messages or not self._trusted:
                self._transport.close()
            else:
                self._flush()
                self._transport.close()
            # A peer that reads nothing would keep it open for ever.
            self._loop.call_later(HANDSHAKE_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Close it at once, whatever was not sent."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        with self._sending:
            unsent, self._unsent = self._unsent, []
        if unsent:
            self.send_now(unsent)

    def _beat(self) -> None:
        if self._loop.time() - self._heard > SILENCE_SECONDS:
            self._reason = f"nothing was heard for {SILENCE_SECONDS:g} s"
            if self._transport is not None:
                self._transport.abort()
            return
        self.send_now([Beat()])
        self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)
