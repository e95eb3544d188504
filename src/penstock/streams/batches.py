"""Blocks of a stream split into whole lines, and what ends a line found out."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from penstock.errors import RecordTooLarge

BLOCK = 1 << 18
"""Bytes read at once. As fast as larger ones, and a block of empty lines still makes a small list."""

# A `\r` that ends what has been read may be half of a `\r\n`.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class Batch(NamedTuple):
    """The lines that end in one block."""

    first_line: int
    """Line number of the first of them in the stream, from 1."""
    lines: list[bytes]
    size: int
    """Upper bound of their bytes, with one byte for each line end."""
    is_ascii: bool
    """`False`: perhaps not."""
    may_nest: bool
    """Whether a line may hold a `\\n` itself."""
    delimiter: bytes
    """What ends a line."""


def batches_of(
    stream: BinaryIO, *, name: str, limit: int, delimiter: bytes | None, quoted: bool = False
) -> Iterator[Batch]:
    """All lines of a stream, split at a delimiter, or at the line end found in it for `None`.

    Args:
        stream: Read to its end, by blocks.
        name: What messages call it.
        limit: Bytes that one line may have at most. No more than that and a block is ever held.
        delimiter: Not empty.
        quoted: Whether a line end inside quotes is none to find.

    Raises:
        RecordTooLarge: On iteration.
    """
    head = b""
    if delimiter is None:
        delimiter, head = _detected(stream, limit, quoted)
    blocks = iter(lambda: stream.read(BLOCK), b"")
    yield from _split(chain([head], blocks), name, limit, delimiter)


def _detected(stream: BinaryIO, limit: int, quoted: bool) -> tuple[bytes, bytes]:
    """The first line end of a stream, and what was read to find it.

    A stream that has none within `limit` bytes is one line, or one that is refused: `\\n` does for both.
    """
    seen = bytearray()
    while len(seen) <= limit + 1 and (block := stream.read(BLOCK)):
        start = max(len(seen) - 1, 0)
        seen += block
        if found := _LINE_END.search(_outside_quotes(seen)) if quoted else _LINE_END.search(seen, start):
            return found[0], bytes(seen)
    return b"\r" if seen.endswith(b"\r") else b"\n", bytes(seen)


def _outside_quotes(text: bytearray) -> bytes:
    """What is not inside quotes, with a quote where something was left out."""
    return b'"'.join(text.split(b'"')[::2])


def _split(blocks: Iterable[bytes], name: str, limit: int, delimiter: bytes) -> Iterator[Batch]:
    held_back = len(delimiter) - 1
    may_nest = delimiter != b"\n"
    next_line = 1
    begun: list[bytes] = []  # pieces of a line whose end has not come
    begun_size = 0
    held = b""  # its last bytes, which may be the start of a delimiter
    is_ascii = True
    for block in blocks:
        data = held + block
        lines = data.split(delimiter)
        rest = lines.pop()
        block_is_ascii = data.isascii()
        is_ascii = is_ascii and block_is_ascii
        if lines:
            if begun:
                lines[0] = b"".join(begun) + lines[0]
            _refuse_long(lines if len(data) > limit else lines[:1], next_line, name, limit)
            yield Batch(next_line, lines, begun_size + len(data), is_ascii, may_nest, delimiter)
            next_line += len(lines)
            begun, begun_size = [], 0
            is_ascii = block_is_ascii
        piece, held = (rest[:-held_back], rest[-held_back:]) if held_back else (rest, b"")
        if piece:
            begun.append(piece)
            begun_size += len(piece)
        if begun_size > limit:
            raise _too_large(name, next_line, limit)
    last = b"".join(begun) + held
    if last:
        _refuse_long([last], next_line, name, limit)
        yield Batch(next_line, [last], len(last) + 1, is_ascii, may_nest, delimiter)


def _refuse_long(lines: list[bytes], first_line: int, name: str, limit: int) -> None:
    for number, line in enumerate(lines, first_line):
        if len(line) > limit:
            raise _too_large(name, number, limit)


def _too_large(name: str, line: int, limit: int) -> RecordTooLarge:
    return RecordTooLarge(
        f"{name}, line {line:,}: longer than {limit:,} bytes; raise max_record, or check the line delimiter"
    )
