"""Frames of messages, without any socket: bytes in, messages out.

A frame is four bytes of length, big-endian, and a msgpack list of messages. Anything else is a `ProtocolError`.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from penstock.errors import ProtocolError

M = TypeVar("M")

MAX_FRAME = 1 << 29
"""Bytes of the longest frame: a slice holds 4 MiB, or one record of `max_record`, and its results may be longer."""
HEADER = 4
_NO_LENGTH = bytes(HEADER)
_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")


def append_frame(messages: Sequence[Any], buffer: bytearray) -> None:
    """Write messages as one frame behind what is in a buffer."""
    start = len(buffer)
    # In place: slices are large, and each copy of them is seen in the figures.
    buffer += _NO_LENGTH
    _encoder.encode_into(messages, buffer, start + HEADER)
    buffer[start : start + HEADER] = (len(buffer) - start - HEADER).to_bytes(HEADER)


class Decoder(Generic[M]):
    """Takes bytes as they come, in pieces of any size, and gives the messages of the frames that are whole.

    It holds no more than one frame that is not whole and what came with it.
    """

    def __init__(self, incoming: Any, *, most: int = MAX_FRAME) -> None:
        """Make it for a union of message types; `most` is the longest frame that is accepted, in bytes."""
        self._decoder: msgspec.msgpack.Decoder[list[M]] = msgspec.msgpack.Decoder(list[incoming])
        self._most = most
        self._received = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """Take bytes; returns messages, in their order.

        Raises:
            ProtocolError: what came is not a frame of ours. Nothing that follows can be read.
        """
        self._received += data
        messages: list[M] = []
        while (length := self._next_length()) is not None:
            with memoryview(self._received) as view:
                messages += self._decoded(view[HEADER : HEADER + length])
            del self._received[: HEADER + length]
        return messages

    def rest(self) -> bytes:
        """Return, and let go of, what came behind the last whole frame."""
        rest, self._received = bytes(self._received), bytearray()
        return rest

    def _next_length(self) -> int | None:
        """Return the length of the next frame, or None when it is not whole yet."""
        received = self._received
        if len(received) < HEADER:
            return None
        length = int.from_bytes(received[:HEADER])
        if length > self._most:
            raise ProtocolError(f"a frame of {length:,} bytes was announced; the most is {self._most:,}")
        return length if len(received) >= HEADER + length else None

    def _decoded(self, frame: memoryview) -> list[M]:
        try:
            with frame:
                return self._decoder.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"a frame is no list of messages: {error}") from None
