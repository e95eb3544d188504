"""Which sink suits a target."""

import errno
import io
import os

from penstock.errors import OutputError
from penstock.streams.new_file import NewFileSink
from penstock.streams.places import Place
from penstock.streams.sinks import BorrowedSink, PlainSink, Sink, told

_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/")
"""Names of files that a process holds open: the shell made them, so they are not ours to replace."""


def sink_for(target: Place) -> Sink:
    """The sink that suits a target, opened.

    Raises:
        OutputError: It cannot be written.
    """
    if not isinstance(target, str | os.PathLike):
        return BorrowedSink(target)
    path = os.fsdecode(target)
    try:
        return PlainSink(path, io.FileIO(path, "w")) if _is_written_in_place(path) else NewFileSink.beside(path)
    except OSError as error:
        raise OutputError(f"{path}: {told(error)}") from error
    except ValueError as error:  # a NUL in the path
        raise OutputError(f"{path!r}: this is not a path ({error})") from error


def _is_written_in_place(path: str) -> bool:
    """Whether it is there and no regular file: a device, a pipe, a descriptor."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    there = os.path.exists(path)
    return there and (not os.path.isfile(path) or os.path.abspath(path).startswith(_OPEN_ALREADY))
