"""zip: one file out of an archive, and archives of one file.

The directory of an archive stands at its end, so a source that cannot seek is spooled first (`spool.py`: sealed).
"""

import importlib
import io
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, InputError
from penstock.streams.codecs import Codec, Layer, level_of
from penstock.streams.spool import Spool

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_END = b"PK\5\6"
_END_SIZE = 22  # without the comment behind it
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_BUFFER = 1 << 17


class _Entry:
    """One file of an archive, which is opened when it is first read."""

    def __init__(self, encoded: RawIOBase, layer: Layer) -> None:
        self._encoded = encoded
        self._file = layer.file
        self._wanted = layer.options.get("entry")
        self._spool: Spool | None = None
        self._archive: Any = None
        self._entry: IO[bytes] | None = None
        if self._wanted is not None and not isinstance(self._wanted, str):
            raise ConfigurationError(f"{layer.file}: entry of zip is the name of a file in the archive, as text")

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes of the file; empty at the end."""
        if self._entry is None:
            self._entry = self._opened()
        return self._entry.read(size)

    def close(self) -> None:
        """Close the entry, and the spool when there is one."""
        for each in (self._entry, self._archive, self._spool):
            if each is not None:
                each.close()

    def _opened(self) -> IO[bytes]:
        source: RawIOBase = self._encoded
        if not source.seekable():
            source = self._spool = Spool(source)
        if not source.read(1):
            raise EOFError
        buffered = io.BufferedReader(_Borrowed(source), _BUFFER)
        self._archive = importlib.import_module("zipfile").ZipFile(buffered)
        _refuse_junk(buffered, self._archive.comment)
        entry = self._archive.getinfo(self._name())
        # The library holds all of what bzip2 or lzma make of a block, whatever its size.
        if entry.compress_type not in (_STORED, _DEFLATED) or entry.flag_bits & _ENCRYPTED:
            raise InputError(f"{self._file}: {entry.filename!r} is encrypted, or not deflated; pack it anew with zip")
        opened: IO[bytes] = self._archive.open(entry)
        return opened

    def _name(self) -> str:
        names = [info.filename for info in self._archive.infolist() if not info.is_dir()]
        if self._wanted is None and names:
            return str(names[0])
        if self._wanted in names:
            return str(self._wanted)
        if not names:
            raise InputError(f"{self._file}: the zip archive holds no file; make it anew")
        raise InputError(f"{self._file}: the zip archive holds no {self._wanted!r}; it holds {_listed(names)}")


class _Borrowed(io.RawIOBase):
    """A stream that stays open when its buffer is dropped."""

    def __init__(self, source: RawIOBase) -> None:
        super().__init__()
        self.readinto = source.readinto  # type: ignore[method-assign]
        self.seek = source.seek  # type: ignore[method-assign]
        self.tell = source.tell  # type: ignore[method-assign]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _refuse_junk(archive: io.BufferedIOBase, comment: bytes) -> None:
    """Refuse what stands behind the archive, which the library looks past."""
    archive.seek(-_END_SIZE - len(comment), io.SEEK_END)
    if not archive.read(_END_SIZE).startswith(_END):
        raise ValueError("something follows the archive")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown


class _Archive:
    """An archive of one file, written without seeking. No time goes into it: same input, same bytes."""

    def __init__(self, sink: RawIOBase, layer: Layer) -> None:
        zipfile = importlib.import_module("zipfile")
        self._archive = zipfile.ZipFile(sink, "w", _DEFLATED, compresslevel=level_of(layer, "zip", 1, 9, 6))
        self._entry = self._archive.open(layer.options.get("entry") or layer.content, "w", force_zip64=True)

    def write(self, data: "ReadableBuffer", /) -> None:
        """Write all of `data`."""
        self._entry.write(data)

    def close(self) -> None:
        """Write the directory, once."""
        try:
            self._entry.close()
        finally:
            self._archive.close()


def _damage() -> tuple[type[Exception], ...]:
    zipfile, zlib = importlib.import_module("zipfile"), importlib.import_module("zlib")
    # RuntimeError: it needs a newer zip, or is encrypted after all.
    # OverflowError, ValueError: the directory points to where nothing can be.
    return (zipfile.BadZipFile, zlib.error, RuntimeError, OverflowError, ValueError)


ZIP = Codec("zip", ("zip",), _Entry, _Archive, _damage, ("entry", "level"))
