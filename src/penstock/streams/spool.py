"""Bytes set aside in a temporary file to be read in any order, sealed under a key that only this process has.

What a stream is made of may have been sealed where it came from; on this disk it never stands in clear. The file has
no name, or loses it at once, and its AES-256 key, made for it alone, goes with the process. Counter mode lets any
place be read; nothing is authenticated, as nobody else can open the file.
"""

import importlib
import io
import os
from io import RawIOBase
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from cryptography.hazmat.primitives.ciphers import CipherContext

_BLOCK = 16
_CHUNK = 1 << 18


class Spool(io.RawIOBase):
    """All bytes of a stream, readable from any place."""

    def __init__(self, source: RawIOBase) -> None:
        """Read `source` to its end; it is left open."""
        super().__init__()
        self._key = os.urandom(32)
        self._size = 0
        self._at = 0
        self._file: IO[bytes] = io.BytesIO()  # to be closed, should there be no room for a real one
        # Imported here: it knows all archives, and so their libraries.
        tempfile = importlib.import_module("tempfile")
        self._file = tempfile.TemporaryFile(prefix="penstock-")
        try:
            cipher = self._cipher(0)
            while block := source.read(_CHUNK):
                self._file.write(cipher.update(block))
                self._size += len(block)
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The place that is read next, in bytes from the start."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` from the place that is read next; 0 at the end."""
        view = memoryview(buffer).cast("B")
        skipped = self._at % _BLOCK
        self._file.seek(self._at - skipped)
        sealed = self._file.read(skipped + len(view))
        data = self._cipher(self._at // _BLOCK).update(sealed)[skipped:]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Drop the file."""
        if not self.closed:
            self._file.close()
            super().close()

    def _cipher(self, block: int) -> "CipherContext":
        """What seals and opens from a block on."""
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES256
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        return Cipher(AES256(self._key), CTR(block.to_bytes(_BLOCK, "big"))).encryptor()
