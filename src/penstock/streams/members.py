"""Compressed data as a run of members, read one after the other to the very last byte.

Unlike the file classes of the standard library, which take what follows the last member for nothing.
"""

import io
from collections.abc import Callable
from io import RawIOBase
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BLOCK = 1 << 15
"""Bytes of encoded data that a decompressor gets at once: what is behind the end of a member is copied for each one."""


class Decompressor(Protocol):
    """What `bz2`, `lzma`, `zstd` and `lz4` have in common: it decodes one member."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether it has nothing more to give for what it was given."""

    @property
    def unused_data(self) -> bytes | None:
        """What was given beyond the end of the member."""

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        """At most `max_length` bytes of what was compressed; empty `data` asks for what was left over."""


class Compressor(Protocol):
    """Encodes one member."""

    def compress(self, data: "ReadableBuffer", /) -> bytes:
        """What is ready of it."""

    def flush(self) -> bytes:
        """The rest, and the trailer."""


class MembersReader(io.RawIOBase):
    """The decoded bytes of all members of a stream.

    Raises `EOFError` from reads where the last one is cut short, and whatever the library raises for junk.
    """

    def __init__(self, encoded: RawIOBase, new: Callable[[], Decompressor], *, padding: int = 0) -> None:
        """`padding`: zeros may follow a member, in multiples of so many; 0: none may."""
        super().__init__()
        self._encoded = encoded
        self._new = new
        self._padding = padding
        self._zeros = 0
        self._member = new()
        self._left = b""  # read, and not given to a member yet
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Fill `buffer` with what one step of the decompressor gives; 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._some(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet."""
        return self.readall() if size < 0 else self._some(size)

    def _some(self, size: int) -> bytes | None:
        while size and not self._ended:
            if self._member.eof:
                if not self._next_member():
                    return b"" if self._ended else None
            elif (data := self._step(size)) is None or data:
                return data
        return b""

    def _step(self, size: int) -> bytes | None:
        """What the member gives after one more block, if it needs one; `None` when none is there yet."""
        block = b""
        if self._member.needs_input:
            given = self._left or self._encoded.read(BLOCK)
            if given is None:
                return None
            if not given:
                raise EOFError
            block, self._left = given, b""
        data = self._member.decompress(block, max_length=size)
        if self._member.eof:
            self._left = self._member.unused_data or b""
        return data

    def _next_member(self) -> bool:
        """Begin the member that follows. `False` when there is none, or it is not there yet."""
        self._strip()
        while not self._left:
            block = self._encoded.read(BLOCK)
            if not block:
                self._ended = block == b"" and self._refuse_odd_padding()
                return False
            self._left = block
            self._strip()
        self._refuse_odd_padding()
        self._member = self._new()
        return True

    def _strip(self) -> None:
        if self._padding:
            before = len(self._left)
            self._left = self._left.lstrip(b"\0")
            self._zeros += before - len(self._left)

    def _refuse_odd_padding(self) -> bool:
        if self._padding and self._zeros % self._padding:
            raise EOFError
        self._zeros = 0
        return True


class MemberWriter:
    """Writes one member to a sink."""

    def __init__(self, sink: RawIOBase, compressor: Compressor, head: bytes = b"") -> None:
        """`head`: what the compressor has made already."""
        self._sink = sink
        self._compressor: Compressor | None = compressor
        self._head = head

    def write(self, data: "ReadableBuffer", /) -> None:
        """Write what is ready of `data`."""
        assert self._compressor is not None
        self._put(self._compressor.compress(data))

    def close(self) -> None:
        """Write the rest, once."""
        if self._compressor is not None:
            compressor, self._compressor = self._compressor, None
            self._put(compressor.flush())

    def _put(self, encoded: bytes) -> None:
        if encoded := self._head + encoded:
            self._head = b""
            self._sink.write(encoded)
