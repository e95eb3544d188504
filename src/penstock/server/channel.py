"""A channel: frames of messages over a stream socket.

Anything else on the socket is a `ProtocolError`, and ends the channel and nothing more.
"""

import socket
import threading
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from penstock.server.frames import Decoder, append_frame

M = TypeVar("M")

READ = 1 << 18
BUFFER = 1 << 20


class Channel(Generic[M]):
    """One end. `send` may be called from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        """Take over `sock`; `incoming` is the union of the message types that may come."""
        self.socket = sock
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self._decoder: Decoder[M] = Decoder(incoming)
        self._unsent = bytearray()
        self._sending = threading.Lock()

    def send(self, messages: Sequence[Any]) -> bool:
        """Send messages as one frame; what the socket does not take now waits for `flush`.

        Returns:
            False when something is left to be flushed. A channel whose other end is gone takes everything.
        """
        with self._sending:
            unsent, start = self._unsent, len(self._unsent)
            append_frame(messages, unsent)
            return self._push() if start == 0 else False

    def flush(self) -> bool:
        """Send what is left; False when there is still something."""
        with self._sending:
            return self._push()

    def receive(self) -> list[M] | None:
        """Read once and return the messages of the frames that are whole; None at the end of the stream.

        Raises:
            ProtocolError: what came is not a frame of ours.
            BlockingIOError: nothing is there, and the socket does not block.
        """
        try:
            data = self.socket.recv(READ)
        except ConnectionResetError:
            return None
        if not data:
            return None
        return self._decoder.feed(data)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _push(self) -> bool:
        try:
            while self._unsent:
                with memoryview(self._unsent) as view:
                    sent = self.socket.send(view)
                del self._unsent[:sent]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()  # Nobody is there any more: its end will be seen by who reads.
        return True
