"""Lines cut into slices: bytes in, runs of whole lines out, as few steps for each line as can be."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from penstock.errors import ConfigurationError
from penstock.streams.batches import Batch, batches_of
from penstock.streams.mending import mended
from penstock.streams.quoting import logical
from penstock.streams.transcoding import refuse_unknown_handling


@dataclass(slots=True)
class LineSlice:
    """A run of whole lines of a file. Exactly one of `text` and `lines` is set."""

    first_line: int
    """Line number in the file, from 1, of the first of them."""
    count: int
    """Records: lines, of which those that go on over a line end inside quotes count as one."""
    text: bytes | None
    """The lines, each followed by one `\\n`, whatever ended it in the file."""
    lines: list[bytes] | None
    """The lines without their ends, when one of them holds a `\\n` itself."""
    line_numbers: list[int] | None = None
    """Where each record begins in the file; `None` when they follow each other line by line."""
    line_count: int = 0
    """Lines of the file that it spans: `count`, or more when there are `line_numbers`."""


def cut_lines(
    stream: BinaryIO,
    *,
    name: str,
    records_per_slice: int,
    max_bytes: int = 4 << 20,
    max_record: int = 16 << 20,
    delimiter: bytes | None = None,
    encoding_errors: str = "refuse",
    quoted: bool = False,
    on_first: Callable[[bytes], None] | None = None,
) -> Iterator[LineSlice]:
    """Cut UTF-8 text into slices of lines, in order, in bounded memory.

    Where a slice ends depends on the lines and these settings only, never on how the stream was read.

    Args:
        stream: Read to its end, not closed.
        name: What messages call the file.
        records_per_slice: Lines in each slice but the last, or fewer where `max_bytes` is reached.
        max_bytes: Limit of a slice's lines with a `\\n` each; one longer line is a slice of its own.
        max_record: Limit of one line, in bytes without its end.
        delimiter: What ends a line, any bytes. `None`: whichever of `\\r\\n`, `\\n` and `\\r` comes first
            in the file; nothing else is a line end. The last line needs none.
        encoding_errors: For bytes that are not UTF-8: `refuse`, `replace` (by U+FFFD), or `clean`
            (drop them, and control characters but for tab, `\\n` and `\\r`).
        quoted: Take a line end inside double quotes for a part of the line, as in csv. A line with an odd
            number of quotes goes on up to the next such line; nothing else is looked at, so that a stray
            quote joins lines that do not belong together. `max_record` holds for the lines together.
        on_first: Called with the first line, if there is one, which is in no slice then: for a header.

    Raises:
        ConfigurationError: At once, when a setting makes no sense.
        RecordTooLarge: On iteration, for a line longer than `max_record`.
        EncodingError: On iteration, for bytes that are refused.
        UnclosedQuote: On iteration, when `quoted`, for a quote that is not closed within `max_record` bytes.
    """
    if records_per_slice < 1 or max_bytes < 1 or max_record < 1:
        raise ConfigurationError("records_per_slice, max_bytes and max_record must be 1 or more")
    if delimiter is not None and not delimiter:
        raise ConfigurationError("a line delimiter must not be empty; leave it out to have it detected")
    refuse_unknown_handling(encoding_errors)
    batches = batches_of(stream, name=name, limit=max_record, delimiter=delimiter, quoted=quoted)
    sound = (mended(batch, name, encoding_errors) for batch in batches)
    whole = logical(sound, name, max_record) if quoted else sound
    rest = whole if on_first is None else _without_first(whole, on_first, quoted)
    return _slices(rest, records_per_slice, max_bytes, quoted)


def _without_first(batches: Iterator[Batch], on_first: Callable[[bytes], None], quoted: bool) -> Iterator[Batch]:
    for batch in batches:
        line, *lines = batch.lines
        on_first(line)
        if lines:
            spanned = 1 + line.count(batch.delimiter) if quoted else 1
            yield batch._replace(first_line=batch.first_line + spanned, lines=lines)
        yield from batches


def _slices(batches: Iterable[Batch], most: int, max_bytes: int, quoted: bool) -> Iterator[LineSlice]:
    """Runs of `most` lines that go on over the borders of batches."""
    first = 0
    inner: bytes | None = None  # the line end that a line may hold inside quotes
    lines: list[bytes] = []
    bound = 0  # the lines left over are at most this many bytes
    for batch in batches:
        first = first if lines else batch.first_line
        inner = batch.delimiter if quoted else None
        lines = lines + batch.lines if lines else batch.lines
        bound += batch.size
        full = range(most, len(lines) + 1, most)
        ends: Iterable[int] = _ends_by_size(lines, most, max_bytes) if bound > max_bytes else full
        start = 0
        for end in ends:
            piece = _line_slice(first, lines[start:end], batch.may_nest, inner)
            yield piece
            first += piece.line_count
            start = end
        if bound > max_bytes:
            bound = sum(map(len, lines[start:])) + len(lines) - start
        elif start:
            bound = batch.size
        lines = lines[start:]
    if lines:
        yield _line_slice(first, lines, True, inner)


def _line_slice(first: int, lines: list[bytes], may_nest: bool, inner: bytes | None) -> LineSlice:
    """`may_nest`: whether a line may hold a newline itself, so that a text of them would be ambiguous."""
    text = b"\n".join(lines) + b"\n"
    count = len(lines)
    numbers, line_count = (None, count) if inner is None else _numbered(first, lines, text, inner)
    if may_nest and text.count(b"\n") != count:
        return LineSlice(first, count, None, lines, numbers, line_count)
    return LineSlice(first, count, text, None, numbers, line_count)


def _numbered(first: int, lines: list[bytes], text: bytes, inner: bytes) -> tuple[list[int] | None, int]:
    """Where each line begins in the file, unless one after the other, and how many lines of the file they span."""
    if text.count(inner) == (len(lines) if inner == b"\n" else 0):
        return None, len(lines)
    spans = [line.count(inner) + 1 for line in lines]
    total = sum(spans)
    return (None if total == len(lines) else list(accumulate(spans[:-1], initial=first))), total


def _ends_by_size(lines: list[bytes], most: int, max_bytes: int) -> Iterator[int]:
    """Where slices end: at `most` lines, or before the line that would make one larger than `max_bytes`.

    The end of a last run that more lines may join is not given.
    """
    totals = list(accumulate(len(line) + 1 for line in lines))
    start = 0
    while start < len(lines):
        before = totals[start - 1] if start else 0
        fitting = max(bisect_right(totals, before + max_bytes, lo=start), start + 1)
        end = min(fitting, start + most)
        if end == len(lines) < start + most:
            return
        yield end
        start = end
