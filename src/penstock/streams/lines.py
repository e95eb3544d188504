"""Lines cut into slices: bytes in, runs of whole lines out, as few steps for each line as can be."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from penstock.errors import ConfigurationError
from penstock.streams.batches import Batch, batches_of
from penstock.streams.mending import mended
from penstock.streams.transcoding import refuse_unknown_handling


@dataclass(slots=True)
class LineSlice:
    """A run of whole lines of a file. Exactly one of `text` and `lines` is set."""

    first_line: int
    """Line number in the file, from 1."""
    count: int
    text: bytes | None
    """The lines, each followed by one `\\n`, whatever ended it in the file."""
    lines: list[bytes] | None
    """The lines without their ends, when one of them holds a `\\n` itself."""


def cut_lines(
    stream: BinaryIO,
    *,
    name: str,
    records_per_slice: int,
    max_bytes: int = 4 << 20,
    max_record: int = 16 << 20,
    delimiter: bytes | None = None,
    encoding_errors: str = "refuse",
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

    Raises:
        ConfigurationError: At once, when a setting makes no sense.
        RecordTooLarge: On iteration, for a line longer than `max_record`.
        EncodingError: On iteration, for bytes that are refused.
    """
    if records_per_slice < 1 or max_bytes < 1 or max_record < 1:
        raise ConfigurationError("records_per_slice, max_bytes and max_record must be 1 or more")
    if delimiter is not None and not delimiter:
        raise ConfigurationError("a line delimiter must not be empty; leave it out to have it detected")
    refuse_unknown_handling(encoding_errors)
    batches = batches_of(stream, name=name, limit=max_record, delimiter=delimiter)
    sound = (mended(batch, name, encoding_errors) for batch in batches)
    return _slices(sound, records_per_slice, max_bytes)


def _slices(batches: Iterable[Batch], most: int, max_bytes: int) -> Iterator[LineSlice]:
    """Runs of `most` lines that go on over the borders of batches."""
    first = 1
    lines: list[bytes] = []
    bound = 0  # the lines left over are at most this many bytes
    for batch in batches:
        lines = lines + batch.lines if lines else batch.lines
        bound += batch.size
        full = range(most, len(lines) + 1, most)
        ends: Iterable[int] = _ends_by_size(lines, most, max_bytes) if bound > max_bytes else full
        start = 0
        for end in ends:
            yield _line_slice(first, lines[start:end], batch.may_nest)
            first += end - start
            start = end
        if bound > max_bytes:
            bound = sum(map(len, lines[start:])) + len(lines) - start
        elif start:
            bound = batch.size
        lines = lines[start:]
    if lines:
        yield _line_slice(first, lines, may_nest=True)


def _line_slice(first: int, lines: list[bytes], may_nest: bool) -> LineSlice:
    """`may_nest`: whether a line may hold a newline itself, so that a text of them would be ambiguous."""
    text = b"\n".join(lines) + b"\n"
    count = len(lines)
    if may_nest and text.count(b"\n") != count:
        return LineSlice(first, count, None, lines)
    return LineSlice(first, count, text, None)


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
