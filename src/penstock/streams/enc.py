"""enc: our own sealed file, under a key of the keyring.

Numbers are big-endian:

    C1 50 46 | format 01 | key version, 4 bytes | salt, 32 random bytes | chunks of AES-256-GCM, see chunks.py

Each file has a key of its own: HKDF-SHA256 (RFC 5869) of the version's key, with the salt. The 40 bytes before the
chunks are associated data of each of them. Sealed files are 56 bytes longer than what they hold, and 16 more for
each further 64 KiB. The key that is active is sealed under; any that is not retired is opened with.
"""

import os
import struct
from io import RawIOBase

from penstock.config import settings
from penstock.errors import InputError, SealError
from penstock.keyring import Keyring, current_keyring
from penstock.streams.chunks import ChunkReader, ChunkWriter, Damaged, Sealing
from penstock.streams.codecs import Codec, Layer

MAGIC = b"\xc1PF"
"""How a sealed file begins."""
_FORMAT = 1
_SALT = 32
_HEADER = struct.Struct(f">3sBI{_SALT}s")
_PURPOSE = b"penstock file 1"


def _keyring(layer: Layer) -> Keyring:
    given = layer.options.get("keyring")
    return given if isinstance(given, Keyring) else current_keyring(settings().keyring if given is None else given)


def _sealing(keyring: Keyring, header: bytes) -> Sealing:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    _, _, version, salt = _HEADER.unpack(header)
    return Sealing(AESGCM(keyring.derive(version, _PURPOSE, salt)), header)


def _writer(sink: RawIOBase, layer: Layer) -> ChunkWriter:
    keyring = _keyring(layer)
    header = _HEADER.pack(MAGIC, _FORMAT, keyring.active_version, os.urandom(_SALT))
    return ChunkWriter(sink, header, _sealing(keyring, header))


def _reader(encoded: RawIOBase, layer: Layer) -> ChunkReader:
    keyring = _keyring(layer)

    def begin(ahead: bytearray) -> Sealing | None:
        if not MAGIC.startswith(ahead[: len(MAGIC)]):
            raise Damaged("it is not a sealed file of Penstock")
        if len(ahead) < _HEADER.size:
            return None
        header = bytes(ahead[: _HEADER.size])
        del ahead[: _HEADER.size]
        if header[len(MAGIC)] != _FORMAT:
            raise InputError(
                f"{layer.file}: it is damaged, or sealed in format {header[len(MAGIC)]} by a newer Penstock: upgrade"
            )
        try:
            return _sealing(keyring, header)
        except SealError as error:
            raise type(error)(f"{layer.file}: {error}") from None

    return ChunkReader(encoded, begin)


def _damage() -> tuple[type[Exception], ...]:
    return (Damaged,)


ENC = Codec("enc", ("enc",), _reader, _writer, _damage, ("keyring",))
