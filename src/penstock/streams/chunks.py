"""Sealed chunks: STREAM, an online authenticated encryption (Hoang, Reyhanitabar, Rogaway and Vizár, 2015).

Text is sealed in chunks of 64 KiB, the last of which may be shorter, and is empty only when all of it is. Each has a
nonce of its own: its number, 11 bytes, big-endian, from 0, and a byte that is 1 for the last chunk and 0 for others.
So none can be changed, left out, moved, doubled or put behind the last, and a file cut short has no last one. The key
must be of this stream alone.
"""

from collections.abc import Callable
from io import RawIOBase
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK = 1 << 16
"""Bytes of text in each chunk but the last."""
TAG = 16
"""Bytes by which a sealed chunk is longer."""

Text = bytes | bytearray | memoryview


class Damaged(Exception):
    """The data is not what was sealed."""


class Cipher(Protocol):
    """An authenticated cipher of `cryptography`, with its key."""

    def encrypt(self, nonce: bytes, data: Text, associated_data: bytes | None, /) -> bytes:
        """Seal."""

    def decrypt(self, nonce: bytes, data: Text, associated_data: bytes | None, /) -> bytes:
        """Open, or raise `InvalidTag`."""


class Sealing(NamedTuple):
    """What the chunks of one stream are sealed under."""

    cipher: Cipher
    associated: bytes | None = None
    """What every chunk is bound to."""


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class ChunkWriter:
    """Seals what it is given, chunk by chunk."""

    def __init__(self, sink: RawIOBase, head: bytes, sealing: Sealing) -> None:
        """`head` goes before the chunks, when the first of them does."""
        self._sink = sink
        self._head = head
        self._sealing = sealing
        self._number = 0
        self._pending = bytearray()  # a full chunk waits as well: it may be the last
        self._closed = False

    def write(self, data: "ReadableBuffer", /) -> None:
        """Take all of `data`."""
        view = memoryview(data).cast("B")
        start = CHUNK - len(self._pending)
        if len(view) <= start:
            self._pending += view
            return
        sealed = [self._seal(self._pending + view[:start], last=False)]
        while len(view) - start > CHUNK:
            sealed.append(self._seal(view[start : start + CHUNK], last=False))
            start += CHUNK
        self._pending = bytearray(view[start:])
        self._put(b"".join(sealed))

    def close(self) -> None:
        """Seal the last chunk, once."""
        if not self._closed:
            self._closed = True
            self._put(self._seal(self._pending, last=True))

    def _seal(self, text: Text, *, last: bool) -> bytes:
        sealed = self._sealing.cipher.encrypt(_nonce(self._number, last=last), text, self._sealing.associated)
        self._number += 1
        return sealed

    def _put(self, sealed: bytes) -> None:
        head, self._head = self._head, b""
        self._sink.write(head + sealed)


class ChunkReader:
    """Opens what was sealed, chunk by chunk; no byte of a chunk is given out that has not been found authentic."""

    def __init__(self, encoded: RawIOBase, begin: Callable[[bytearray], Sealing | None]) -> None:
        """`begin`: takes the head away from what was read so far; `None` when that is not all of the head yet."""
        self._encoded = encoded
        self._begin = begin
        self._sealing: Sealing | None = None
        self._ahead = bytearray()
        self._number = 0
        self._text = memoryview(b"")
        self._source_ended = False
        self._ended = False

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet.

        Raises:
            EOFError: The data is cut short.
            Damaged: It was changed.
        """
        while not self._text and not self._ended:
            if not self._step():
                return None
        data, self._text = self._text[:size], self._text[size:]
        return bytes(data)

    def close(self) -> None:
        """Nothing is held but memory."""

    def _step(self) -> bool:
        """Open the head or a chunk, or read more; `False` when nothing more is there yet."""
        if self._sealing is None:
            self._sealing = self._begin(self._ahead)
            if self._sealing is not None:
                return True
            if self._source_ended:
                raise EOFError
        # One byte more than a chunk tells that it is not the last.
        elif len(self._ahead) > CHUNK + TAG or self._source_ended:
            self._text = memoryview(self._opened(self._sealing))
            return True
        block = self._encoded.read(CHUNK + TAG)
        if block is None:
            return False
        self._source_ended = not block
        self._ahead += block
        return True

    def _opened(self, sealing: Sealing) -> bytes:
        from cryptography.exceptions import InvalidTag

        last = len(self._ahead) <= CHUNK + TAG
        sealed = bytes(self._ahead[: CHUNK + TAG])
        del self._ahead[: CHUNK + TAG]
        if len(sealed) < TAG or (len(sealed) == TAG and self._number):
            raise EOFError
        try:
            text = sealing.cipher.decrypt(_nonce(self._number, last=last), sealed, sealing.associated)
        except InvalidTag:
            raise self._reason(sealed, sealing, last=last) from None
        self._number += 1
        self._ended = last
        return text

    def _reason(self, sealed: bytes, sealing: Sealing, *, last: bool) -> Exception:
        """Why the chunk did not open: a sound one that is not the last, where nothing follows, tells of a cut."""
        from cryptography.exceptions import InvalidTag

        if last:
            try:
                sealing.cipher.decrypt(_nonce(self._number, last=False), sealed, sealing.associated)
                return EOFError()
            except InvalidTag:
                pass
        return Damaged(f"from byte {self._number * CHUNK + 1:,} of the text on it does not open")
