"""age files that a passphrase opens, in constant memory, which the library does for keys only.

Written from the specification (C2SP, age-encryption.org/v1): one scrypt stanza wraps the file key, an HMAC-SHA256
covers the header, the payload is ChaCha20-Poly1305 in the chunks of chunks.py.
"""

import base64
import hashlib
import hmac
import os
import re
from io import RawIOBase
from typing import TYPE_CHECKING

from penstock.errors import InputError
from penstock.streams.chunks import ChunkReader, ChunkWriter, Damaged, Sealing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

WORK_FACTOR = 18
"""Binary logarithm of scrypt's N for files that are written: 256 MB, and most of a second."""
MAX_WORK_FACTOR = 22
"""What a file may ask for: 4 GB."""

_MAGIC = b"age-encryption.org/v1\n"
_HEAD = re.compile(rb"-> scrypt ([\w+/]{22}) ([1-9]\d?)\n([\w+/]{43})\n--- ([\w+/]{43})", re.ASCII)
_LONGEST_HEAD = 1 << 16
_NONCE = 16
_FILE_KEY = 16
_ZEROS = bytes(12)


def writer(sink: RawIOBase, passphrase: bytes) -> ChunkWriter:
    """Seals to `sink` under a passphrase."""
    salt, file_key, nonce = os.urandom(16), os.urandom(_FILE_KEY), os.urandom(_NONCE)
    wrapped = _chacha(_stretched(passphrase, salt, WORK_FACTOR)).encrypt(_ZEROS, file_key, None)
    head = _MAGIC + b"-> scrypt %b %d\n%b\n---" % (_base64(salt), WORK_FACTOR, _base64(wrapped))
    head += b" %b\n%b" % (_base64(_mac(file_key, head)), nonce)
    return ChunkWriter(sink, head, Sealing(_chacha(_derived(file_key, nonce, b"payload"))))


def reader(encoded: RawIOBase, passphrase: bytes, file: str) -> ChunkReader:
    """Opens what a passphrase opens; `file` is what messages call it."""

    def begin(ahead: bytearray) -> Sealing | None:
        if not _MAGIC.startswith(ahead[: len(_MAGIC)]):
            raise Damaged("it is not an age file, or an armored one, which is read with identities only")
        rule = ahead.find(b"\n---")
        end = ahead.find(b"\n", rule + 1) + 1 if rule >= 0 else 0
        if len(ahead) > _LONGEST_HEAD and not end:
            raise Damaged("its header does not end")
        if not end or len(ahead) < end + _NONCE:
            return None
        head, nonce = bytes(ahead[: end - 1]), bytes(ahead[end : end + _NONCE])
        del ahead[: end + _NONCE]
        return Sealing(_chacha(_derived(_file_key(head, passphrase, file), nonce, b"payload")))

    return ChunkReader(encoded, begin)


def _file_key(head: bytes, passphrase: bytes, file: str) -> bytes:
    found = _HEAD.fullmatch(head, len(_MAGIC))
    if found is None:
        if b"\n-> scrypt " not in head:
            raise InputError(f"{file}: it was not sealed with a passphrase; give the option identities instead")
        raise Damaged("its header is not sound")
    salt, factor, wrapped, mac = found.groups()
    if int(factor) > MAX_WORK_FACTOR:
        raise InputError(
            f"{file}: it asks for scrypt with a work factor of {int(factor)}; {MAX_WORK_FACTOR} is the limit"
        )
    from cryptography.exceptions import InvalidTag

    try:
        unwrapping = _chacha(_stretched(passphrase, _bytes(salt), int(factor)))
        file_key = unwrapping.decrypt(_ZEROS, _bytes(wrapped), None)
    except InvalidTag:
        raise InputError(
            f"{file}: the passphrase does not open it; give the right one, or fetch the file again"
        ) from None
    expected = _base64(_mac(file_key, head[: head.rindex(b" ")]))
    if len(file_key) != _FILE_KEY or not hmac.compare_digest(mac, expected):
        raise Damaged("its header is not sound")
    return file_key


def _stretched(passphrase: bytes, salt: bytes, work_factor: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(b"age-encryption.org/v1/scrypt" + salt, length=32, n=1 << work_factor, r=8, p=1).derive(passphrase)


def _derived(file_key: bytes, salt: bytes | None, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _mac(file_key: bytes, head: bytes) -> bytes:
    return hmac.digest(_derived(file_key, None, b"header"), head, hashlib.sha256)


def _chacha(key: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))
