"""gzip: by isal when it is installed (3 times faster to read, 8 to write), else by the standard library."""

import importlib
from io import BufferedIOBase, RawIOBase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gzip import GzipFile


class _Library(NamedTuple):
    file: "type[GzipFile]"
    write_level: int
    damage: tuple[type[Exception], ...]


def _library() -> _Library:
    gzip = importlib.import_module("gzip")
    zlib = importlib.import_module("zlib")
    damage = (gzip.BadGzipFile, zlib.error)
    try:
        igzip = importlib.import_module("isal.igzip")
        isal_zlib = importlib.import_module("isal.isal_zlib")
    except ImportError:
        return _Library(gzip.GzipFile, 6, damage)
    return _Library(igzip.IGzipFile, 2, (*damage, isal_zlib.error))


def reader(encoded: RawIOBase) -> BufferedIOBase:
    """Decoded bytes of `encoded`; concatenated members are all read."""
    return _library().file(filename="", mode="rb", fileobj=encoded)


def writer(sink: RawIOBase) -> BufferedIOBase:
    """Writes to `sink`. No name and no time go into the header: same input, same bytes."""
    library = _library()
    return library.file(filename="", mode="wb", compresslevel=library.write_level, fileobj=sink, mtime=0)


def damage() -> tuple[type[Exception], ...]:
    """What reading raises for bytes that are no sound gzip."""
    return _library().damage
