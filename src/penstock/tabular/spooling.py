"""Files that a library must be able to seek in: as they are where that will do, else copied to a temporary file."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

from penstock.errors import InputError
from penstock.streams import open_reader
from penstock.streams.pipelines import pipeline_of
from penstock.streams.places import Place, name_of

_PIECE = 1 << 20


def open_seekable(
    place: Place, owner: ExitStack, *, streams: Sequence[str] | None, spool: bool, format_name: str
) -> IO[bytes]:
    """Open an input so that it can be read from any position.

    Args:
        place: A path, or a binary file object, which is not closed.
        owner: What closes the file in the end.
        streams: As for `open_reader`.
        spool: Whether an input that cannot seek (compressed, a pipe) may be copied to a temporary file without a name.
        format_name: What messages call the format.

    Raises:
        InputError: It cannot be read, or cannot seek and must not be copied.
    """
    if not pipeline_of(place, streams) and (file := _as_it_is(place, owner)) is not None:
        return file
    with open_reader(place, streams=streams) as reader:
        if not spool:
            raise InputError(
                f"{name_of(place)}: to read {format_name} from a compressed file or a pipe takes a copy on disk, and "
                "none is allowed here; decompress the file, and give its path"
            )
        return _copied(reader, owner, name_of(place))


def _as_it_is(place: Place, owner: ExitStack) -> IO[bytes] | None:
    """Return a file that can seek, from its start; None when this is none."""
    if not isinstance(place, str | os.PathLike):
        return place if _seeks(place) and place.tell() == 0 else None
    if not os.path.isfile(place):
        return None
    try:
        return owner.enter_context(open(place, "rb"))
    except OSError:
        return None  # `open_reader` says why.


def _seeks(file: IO[bytes]) -> bool:
    return hasattr(file, "seekable") and file.seekable()


def _copied(reader: IO[bytes], owner: ExitStack, name: str) -> IO[bytes]:
    try:
        copy = owner.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # `owner` closes it
        shutil.copyfileobj(reader, copy, _PIECE)
        copy.seek(0)
    except OSError as error:
        raise InputError(
            f"{name}: a temporary copy of it failed ({error.strerror or error}); set TMPDIR to a folder with room"
        ) from error
    return copy
