"""A channel: frames of messages over a stream socket.

A frame is four bytes of length, big-endian, and a msgpack list of messages. Anything else on the socket
is a `ProtocolError`, and ends the channel and nothing more.
"""

import socket
import threading
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from penstock.errors import ProtocolError

M = TypeVar("M")

MAX_FRAME = 1 << 29
"""Bytes of the longest frame: a slice holds 4 MiB, or one record of `max_record`, and its results may be longer."""
HEADER = 4
_NO_LENGTH = bytes(HEADER)
READ = 1 << 18
BUFFER = 1 << 20


class Channel(Generic[M]):
    """One end. `send` may be called from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        """Take over `sock`; `incoming` is the union of the message types that may come."""
        self.socket = sock
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self._decoder: msgspec.msgpack.Decoder[list[M]] = msgspec.msgpack.Decoder(list[incoming])
        self._encoder = msgspec.msgpack.Encoder()
        self._received = bytearray()
        self._unsent = bytearray()
        self._sending = threading.Lock()

    def send(self, messages: Sequence[Any]) -> bool:
        """Send messages as one frame; what the socket does not take now waits for `flush`.

        Returns:
            False when something is left to be flushed. A channel whose other end is gone takes everything.
        """
        with self._sending:
            unsent, start = self._unsent, len(self._unsent)
            # In place: slices are large, and each copy of them is seen in the figures.
            unsent += _NO_LENGTH
            self._encoder.encode_into(messages, unsent, start + HEADER)
            unsent[start : start + HEADER] = (len(unsent) - start - HEADER).to_bytes(HEADER)
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
        self._received += data
        messages: list[M] = []
        while (length := self._next_length()) is not None:
            with memoryview(self._received) as view:
                messages += self._decoded(view[HEADER : HEADER + length])
            del self._received[: HEADER + length]
        return messages

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _next_length(self) -> int | None:
        """Return the length of the next frame, or None when it is not whole yet."""
        received = self._received
        if len(received) < HEADER:
            return None
        length = int.from_bytes(received[:HEADER])
        if length > MAX_FRAME:
            raise ProtocolError(f"a frame of {length:,} bytes was announced; the most is {MAX_FRAME:,}")
        return length if len(received) >= HEADER + length else None

    def _decoded(self, frame: memoryview) -> list[M]:
        try:
            with frame:
                return self._decoder.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"a frame is no list of messages: {error}") from None

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
