"""Payloads as they are stored: compressed, sealed, both, or as they are.

What a payload is its first byte tells: `T` and `L` are records (`penstock.records`), `R` some that come back, `Z` is
one of these compressed with zstd, and `keyring.MAGIC` is any of them sealed. So whoever reads needs no setting, and a
setting may change while a job runs. A sealed payload is bound to its job and its place: elsewhere it does not open.
"""

import importlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.config import settings
from penstock.errors import SealBroken, SealError
from penstock.records import LIST, TEXT

if TYPE_CHECKING:
    from penstock.keyring import Keyring, Sealer

COMPRESSED = b"Z"
SEALED = b"\xc1PS"
"""`keyring.MAGIC`, which is imported only where something is sealed; a test compares them."""
RESUBMITTED = b"R"
"""Records that come back, each with its place: see `penstock.batch.rejects`."""
_KINDS = frozenset({COMPRESSED, RESUBMITTED, LIST, TEXT})
LEVEL = 1
"""Of zstd: higher ones cost five times as much for a tenth of the size."""


def place_of_input(first_record: int) -> str:
    """Return the place of an input slice, named by its first record."""
    return f"input, slice of record {first_record}"


def place_of_output(category: str, number: int, part: int) -> str:
    """Return the place of an output slice, or of the part of it that begins behind `part` records."""
    return f"output {category}, slice {number}, part {part}"


class Payloads:
    """Wraps and opens the payloads of one job."""

    def __init__(self, job_id: UUID) -> None:
        self._job_id = job_id
        self._held: tuple[Keyring, Sealer] | None = None
        self._compressor: Any = None

    def wrap(self, payload: bytes, place: str, *, compress: bool, encrypt: bool) -> bytes:
        """Return a payload as it is to be stored: compressed first, since what is sealed does not shrink.

        Raises:
            KeyringError: it is to be sealed, and there is no keyring.
        """
        if compress:
            payload = self._compressed(payload)
        return bytes(self._sealer().seal(payload, place.encode())) if encrypt else payload

    def open(self, stored: bytes, place: str) -> bytes:
        """Return the payload that was wrapped.

        Raises:
            KeyringError: it is sealed, and there is no keyring.
            SealError: the keyring does not hold the key, or it was changed, or belongs to another place.
        """
        if stored.startswith(SEALED):
            try:
                stored = self._sealer().open(stored, place.encode())
            except SealError as error:
                raise type(error)(f"job {self._job_id}, {place}: {error}") from None
        if stored[:1] not in _KINDS:
            raise SealBroken(f"job {self._job_id}, {place}: it was changed, and is no payload any more")
        if stored[:1] == COMPRESSED:
            return bytes(_zstd().decompress(memoryview(stored)[1:]))
        return stored

    def reseal(self, stored: bytes, place: str) -> bytes | None:
        """Return a payload sealed under the active key; None where it is so already, or is not sealed.

        Raises:
            KeyringError: it is sealed, and there is no keyring.
            SealError: as for `open`.
        """
        if not stored.startswith(SEALED):
            return None
        from penstock.keyring import key_version

        sealer = self._sealer()
        assert self._held is not None
        if key_version(stored) == self._held[0].active_version:
            return None
        try:
            return bytes(sealer.seal(sealer.open(stored, place.encode()), place.encode()))
        except SealError as error:
            raise type(error)(f"job {self._job_id}, {place}: {error}") from None

    def _compressed(self, payload: bytes) -> bytes:
        if self._compressor is None:
            self._compressor = _zstd().ZstdCompressor(level=LEVEL)
        # One that is used again is twice as fast as a new one.
        return COMPRESSED + bytes(self._compressor.compress(payload, self._compressor.FLUSH_FRAME))

    def _sealer(self) -> "Sealer":
        """Return what seals, and opens, under the keyring as it is now: a key may be added while a job runs."""
        from penstock.keyring import current_keyring

        keyring = current_keyring(settings().keyring)
        if self._held is None or self._held[0] is not keyring:
            self._held = (keyring, keyring.sealer(self._job_id.bytes))
        return self._held[1]


@cache
def _zstd() -> Any:
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
