"""Lines whose quotes are open at their end, joined with those that follow: logical lines, without parsing any."""

from collections.abc import Iterator
from itertools import repeat

from penstock.errors import UnclosedQuote
from penstock.streams.batches import Batch

QUOTE = b'"'


def logical(batches: Iterator[Batch], name: str, limit: int) -> Iterator[Batch]:
    """The batches, with lines that go on over a line end inside quotes as one, which holds the line ends.

    What counts is whether the quotes of a line are even in number: doubled ones are, and change nothing.

    Args:
        batches: Lines as they stand.
        name: What messages call the file.
        limit: Bytes that a logical line may have.

    Raises:
        UnclosedQuote: On iteration, for a quote that is not closed before the end, or within `limit`.
    """
    begun = _Begun(name, limit)
    for batch in batches:
        odd = _odd_lines(batch)
        if not odd and not begun.lines:
            yield batch
            continue
        first_line = begun.first_line if begun.lines else batch.first_line
        lines = _joined(batch, odd, begun)
        if lines:
            size = sum(map(len, lines)) + len(lines)
            yield batch._replace(first_line=first_line, lines=lines, size=size, may_nest=True)
    if begun.lines:
        raise begun.refusal("is never closed; close it, or double quotes inside fields")


class _Begun:
    """The lines since a quote was opened; none while none is open."""

    def __init__(self, name: str, limit: int) -> None:
        self.lines: list[bytes] = []
        self.first_line = 0
        self._name = name
        self._limit = limit
        self._size = 0

    def add(self, lines: list[bytes], delimiter: bytes) -> None:
        self._size += sum(map(len, lines)) + len(lines) * len(delimiter)
        self.lines += lines
        if self._size - len(delimiter) > self._limit:
            near = f"is not closed within {self._limit:,} bytes"
            raise self.refusal(f"{near}; close it, double quotes inside fields, or raise max_record")

    def end(self, delimiter: bytes) -> bytes:
        whole = delimiter.join(self.lines)
        self.lines = []
        self._size = 0
        return whole

    def refusal(self, why: str) -> UnclosedQuote:
        return UnclosedQuote(f"{self._name}, line {self.first_line:,}: a quote that opens in this line {why}")


def _joined(batch: Batch, odd: list[int], begun: _Begun) -> list[bytes]:
    """The logical lines that end in a batch; an odd line opens quotes, or closes those that are open."""
    whole: list[bytes] = []
    at = 0
    for index in odd:
        if begun.lines:
            begun.add(batch.lines[at : index + 1], batch.delimiter)
            whole.append(begun.end(batch.delimiter))
        else:
            whole += batch.lines[at:index]
            begun.first_line = batch.first_line + index
            begun.add(batch.lines[index : index + 1], batch.delimiter)
        at = index + 1
    if begun.lines:
        begun.add(batch.lines[at:], batch.delimiter)
    else:
        whole += batch.lines[at:]
    return whole


def _odd_lines(batch: Batch) -> list[int]:
    """Which lines hold an odd number of quotes."""
    if QUOTE not in b"".join(batch.lines):
        return []
    counts = map(bytes.count, batch.lines, repeat(QUOTE))
    return [index for index, count in enumerate(counts) if count & 1]
