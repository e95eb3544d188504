"""Lines that are not sound UTF-8: refused, or mended, a batch at a time."""

import re
from collections.abc import Callable

from penstock.errors import EncodingError
from penstock.streams.batches import Batch

# Unicode category Cc less tab and the line ends.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_ASCII_CONTROLS = bytes(byte for byte in range(128) if _CONTROL.match(chr(byte)))


def mended(batch: Batch, name: str, encoding_errors: str) -> Batch:
    """The batch with its undecodable bytes treated; the batch itself when there is nothing to do.

    Args:
        batch: Lines as they were read.
        name: What messages call the file.
        encoding_errors: A key of `transcoding.HANDLERS`.

    Raises:
        EncodingError: There are such bytes, and they are refused.
    """
    if batch.is_ascii and encoding_errors != "clean":
        return batch
    # A line end cannot be part of a broken sequence, so lines are mended alike together or alone.
    joined = b"\n".join(batch.lines)
    if encoding_errors == "refuse":
        _refuse_undecodable(joined, batch, name)
        return batch
    mend = _MENDERS[encoding_errors]
    better = mend(joined)
    if better == joined:
        return batch
    nested = joined.count(b"\n") != len(batch.lines) - 1
    lines = [mend(line) for line in batch.lines] if nested else better.split(b"\n")
    return batch._replace(lines=lines, size=len(better) + 1)


def _replaced(text: bytes) -> bytes:
    return text.decode(errors="replace").encode()


def _cleaned(text: bytes) -> bytes:
    if text.isascii():
        return text.translate(None, _ASCII_CONTROLS)
    return _CONTROL.sub("", text.decode(errors="ignore")).encode()


_MENDERS: dict[str, Callable[[bytes], bytes]] = {"replace": _replaced, "clean": _cleaned}


def _refuse_undecodable(joined: bytes, batch: Batch, name: str) -> None:
    try:
        joined.decode()
    except UnicodeDecodeError:
        for number, line in enumerate(batch.lines, batch.first_line):
            _refuse_undecodable_line(line, f"{name}, line {number:,}")


def _refuse_undecodable_line(line: bytes, where: str) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise EncodingError(
            f"{where}, byte {error.start + 1:,}: 0x{line[error.start]:02x} is not UTF-8; name the true "
            "encoding with encoding=..., or set encoding_errors to 'replace' or 'clean'"
        ) from error
