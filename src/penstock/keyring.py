"""Keys with versions, and data sealed under them.

A key file is TOML, for its owner only; `docs/keys.md` shows one. It is replaced whole or not at all.

Sealed data is 36 bytes longer than what it holds. Numbers are big-endian; the first 8 bytes are associated data too:

    C1 50 53 | format 01 | key version, 4 bytes | nonce, 12 random bytes | AES-256-GCM ciphertext | tag, 16 bytes

Each context, as a job, has a key of its own: HKDF-SHA256 (RFC 5869) of the version's key, with the context as info.
So random nonces suffice: they do for 2^32 seals under one key (NIST SP 800-38D, 8.3).
"""

import base64
import fcntl
import hashlib
import os
import re
import shlex
import stat
import struct
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from io import FileIO
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from penstock.errors import (
    KeyringChanged,
    KeyringError,
    NoKeyring,
    NotSealed,
    RetiredKey,
    SealBroken,
    UnknownKey,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"\xc1PS"
"""How sealed data begins. Neither text in UTF-8 nor msgpack ever has the byte C1."""
OVERHEAD = 36
"""Bytes by which sealed data is longer than what was sealed."""

_HEADER = struct.Struct(">3sBI")
_FORMAT = 1
_NONCE = 12
_KEY = 32
_MAX_VERSION = 2**32 - 1
_MAX_FILE = 1 << 20
_HEAD = "# Keys of Penstock. What they sealed opens with them alone: keep a backup, and keep it secret.\nformat = 1\n"
_ENTRY = '\n[[key]]\nversion = {}\nstate = "{}"\ncreated = {}\nmaterial = "{}"\n'
_loaded: "dict[str, tuple[tuple[int, ...], Keyring]]" = {}
_signature = attrgetter("st_dev", "st_ino", "st_mtime_ns", "st_size", "st_mode")  # The mode may no longer do.
_REPAIR = "put it right, or restore the file from its backup"


class KeyState(StrEnum):
    """What a key is for."""

    ACTIVE = "active"
    USABLE = "usable"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """What may be told of a key: its number, from 1, its state, and when it was made."""

    number: int
    state: KeyState
    created: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Keys by version, in order; a value that never changes. Made by `generate`, `load` and `parse`."""

    versions: tuple[KeyVersion, ...]
    _material: Mapping[int, bytes] = field(hash=False)
    name: str = field(default="in memory", compare=False)
    """Where it was read: the file, for errors."""
    _digest: bytes | None = field(default=None, compare=False)
    """Of the content that was read or written last; None when there was none."""

    def __repr__(self) -> str:
        return f"Keyring(versions {', '.join(str(key.number) for key in self.versions)}; active {self.active_version})"

    @classmethod
    def generate(cls) -> "Keyring":
        """Return a keyring with one new key, which is active."""
        return cls((), {}).rotate()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Keyring":
        """Read a key file.

        Raises:
            NoKeyring: there is no such file.
            KeyringError: others than its owner may read or write it, or it is not a key file.
        """
        return _load(os.fspath(path))[1]

    @classmethod
    def parse(cls, content: bytes, name: str) -> "Keyring":
        """Read the content of a key file, kept elsewhere: in a secret manager, say. Errors call it `name`.

        Raises `KeyringError` when it is not one.
        """
        entries = sorted(_entries(content, name), key=lambda entry: entry["version"])
        versions = tuple(KeyVersion(e["version"], KeyState(e["state"]), e["created"]) for e in entries)
        for before, key in pairwise(versions):
            if before.number == key.number:
                raise KeyringError(f"{name}: version {key.number} is there more than once; {_REPAIR}")
        active = [key.number for key in versions if key.state is KeyState.ACTIVE]
        if len(active) != 1:
            raise KeyringError(f"{name}: exactly one key must be active, not {len(active)}; {_REPAIR}")
        material = {entry["version"]: base64.urlsafe_b64decode(entry["material"]) for entry in entries}
        return cls(versions, material, name, hashlib.sha256(content).digest())

    @classmethod
    def update(cls, path: str | os.PathLike[str], change: Callable[["Keyring"], "Keyring"]) -> "Keyring":
        """Read a key file, change it and write it back, while other writers wait. Return what was written.

        Raises `KeyringError` as `load`, `save` and `change` do; then the file is as it was.
        """
        path = os.fspath(path)
        with _locked(path) as content:
            return change(cls.parse(content, path))._put(path, os.replace)

    def save(self, path: str | os.PathLike[str]) -> "Keyring":
        """Write a new key file, or the one this keyring came from. Return the keyring as it is there.

        Raises:
            KeyringChanged: there is a file that this keyring is not an update of.
            KeyringError: it cannot be written, or others than its owner may read it.
        """

        def follow(current: Keyring) -> Keyring:
            if current._digest != self._digest:
                raise _not_ours(os.fspath(path))
            return self

        try:
            return Keyring.update(path, follow)
        except NoKeyring:
            return self._put(os.fspath(path), os.link)  # Unlike a rename, it never replaces what is there.

    @property
    def active_version(self) -> int:
        """The key that new data is sealed under."""
        return next(key.number for key in self.versions if key.state is KeyState.ACTIVE)

    def rotate(self) -> "Keyring":
        """Return a keyring with one more key, which is the active one. The others still open what they sealed.

        Raises `KeyringError` when the highest number is taken.
        """
        number = max((key.number for key in self.versions), default=0) + 1
        if number > _MAX_VERSION:
            raise KeyringError(f"the keyring {self.name} has a key {_MAX_VERSION}: there is no number above")
        new = KeyVersion(number, KeyState.USABLE, datetime.now(UTC).replace(microsecond=0))
        material = {**self._material, number: os.urandom(_KEY)}
        return replace(self, versions=(*self.versions, new), _material=material).activate(number)

    def activate(self, version: int) -> "Keyring":
        """Return a keyring that seals under this key; the one that was active still opens what it sealed.

        Raises `KeyringError` when there is no such key, or it is retired.
        """
        if self._state(version) is KeyState.RETIRED:
            raise KeyringError(
                f"key {version} of the keyring {self.name} is retired; for a new one: penstock keys rotate"
            )
        states = {key.number: KeyState.USABLE for key in self.versions if key.state is KeyState.ACTIVE}
        return self._with_states({**states, version: KeyState.ACTIVE})

    def retire(self, version: int) -> "Keyring":
        """Return a keyring that does not open what this key sealed. Its number is not used again.

        Raises `KeyringError` when there is no such key, or it is the active one.
        """
        if self._state(version) is KeyState.ACTIVE:
            raise KeyringError(f"key {version} of the keyring {self.name} is active; first: penstock keys rotate")
        return self._with_states({version: KeyState.RETIRED})

    def sealer(self, context: bytes) -> "Sealer":
        """Return what seals and opens the data of one context, as a job's id. Keep it: it keeps its ciphers."""
        return Sealer(self, context)

    def derive(self, version: int, purpose: bytes, salt: bytes | None = None) -> bytes:
        """Return 32 bytes that only who holds this key can make, others for each purpose and salt.

        Raises:
            UnknownKey: the keyring does not hold the key.
            RetiredKey: it is retired.
        """
        states = {key.number: key.state for key in self.versions}
        if version not in states:
            raise UnknownKey(
                f"sealed under key {version}, which the keyring {self.name} does not hold; copy the newest here"
            )
        if states[version] is KeyState.RETIRED:
            raise RetiredKey(
                f"sealed under key {version}, which is retired; to open it, make the key usable in {self.name}"
            )
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), length=_KEY, salt=salt, info=purpose).derive(self._material[version])

    def _state(self, version: int) -> KeyState:
        states = {key.number: key.state for key in self.versions}
        if version in states:
            return states[version]
        raise KeyringError(f"the keyring {self.name} has no key {version}; it has {', '.join(map(str, states))}")

    def _with_states(self, states: Mapping[int, KeyState]) -> "Keyring":
        changed = (replace(key, state=states.get(key.number, key.state)) for key in self.versions)
        return replace(self, versions=tuple(changed))

    def _put(self, path: str, publish: Callable[[str, str], None]) -> "Keyring":
        content = (_HEAD + "".join(map(self._entry, self.versions))).encode()
        _write(path, content, publish)
        return replace(self, name=path, _digest=hashlib.sha256(content).digest())

    def _entry(self, key: KeyVersion) -> str:
        material = base64.urlsafe_b64encode(self._material[key.number]).decode()
        return _ENTRY.format(key.number, key.state, key.created.isoformat().replace("+00:00", "Z"), material)


class Sealer:
    """Seals and opens the data of one context under the keys of one keyring. Threads may share it."""

    def __init__(self, keyring: Keyring, context: bytes) -> None:
        self._keyring = keyring
        self._active = keyring.active_version
        self._context = context
        self._ciphers: dict[int, AESGCM] = {}

    def seal(self, data: bytes, associated: bytes) -> bytes:
        """Return `data` sealed under the active key. To open it, the same `associated` must be given: its place."""
        header = _HEADER.pack(MAGIC, _FORMAT, self._active)
        nonce = os.urandom(_NONCE)
        return b"".join((header, nonce, self._cipher(self._active).encrypt(nonce, data, header + associated)))

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            NotSealed: it was not.
            UnknownKey: the keyring does not hold its key.
            RetiredKey: its key is retired.
            SealBroken: it was changed, or sealed with another context or `associated`.
        """
        version = key_version(sealed)
        cipher = self._cipher(version)
        from cryptography.exceptions import InvalidTag

        header, rest = sealed[: _HEADER.size], memoryview(sealed)[_HEADER.size :]
        try:
            return cipher.decrypt(rest[:_NONCE], rest[_NONCE:], header + associated)
        except InvalidTag:
            wrong = "it was changed, or belongs to another place or another key file"
            raise SealBroken(f"does not open under key {version} of {self._keyring.name}: {wrong}") from None

    def _cipher(self, version: int) -> "AESGCM":
        if version not in self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            purpose = b"penstock seal 1\0" + self._context
            self._ciphers[version] = AESGCM(self._keyring.derive(version, purpose))
        return self._ciphers[version]


def key_version(sealed: bytes) -> int:
    """Return the version of the key that data was sealed under; no key is needed.

    Raises:
        NotSealed: it was not sealed.
        SealBroken: it is cut short, or of a format that is not known.
    """
    if sealed[: len(MAGIC)] != MAGIC:
        raise NotSealed("these bytes are not sealed data")
    if len(sealed) < OVERHEAD:
        raise SealBroken("does not open: it was cut short")
    _, form, version = _HEADER.unpack_from(sealed)
    if form != _FORMAT:
        raise SealBroken(f"does not open: it was changed, or sealed in format {form} by a newer Penstock: upgrade")
    return int(version)


def current_keyring(source: str | Callable[[], Keyring] | None) -> Keyring:
    """Return the keyring of the `keyring` setting. A file is read again when it has changed; a function is called.

    Raises:
        NoKeyring: there is none.
        KeyringError: the file cannot be used, or the function gave something else.
    """
    if source is None:
        make, use = "penstock keys generate --file keys.toml", "PENSTOCK_KEYRING=keys.toml"
        raise NoKeyring(f"no keyring is set; make a key file: {make}; then set {use}")
    if callable(source):
        given: object = source()
        if not isinstance(given, Keyring):
            raise KeyringError(f"the function of the `keyring` setting gave a {type(given).__name__}, not a Keyring")
        return given
    held = _loaded.get(source)
    with suppress(OSError):  # To load it again tells why.
        if held and held[0] == _signature(os.stat(source)):
            return held[1]
    _loaded[source] = _load(source)
    return _loaded[source][1]


def _entries(content: bytes, name: str) -> list[dict[str, Any]]:
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        # The parser's own words may quote the file.
        place = re.search(r"at line \d+", str(error))
        raise KeyringError(f"{name}: it is not TOML{f' {place[0]}' if place else ''}; {_REPAIR}") from None
    if table.pop("format", None) != _FORMAT:
        raise KeyringError(f"{name}: not a key file with `format = {_FORMAT}`, which is what this Penstock reads")
    entries = table.pop("key", None)
    if table or not isinstance(entries, list):
        raise KeyringError(f"{name}: there must be `format` and entries [[key]], and nothing else; {_REPAIR}")
    for position, entry in enumerate(entries, 1):
        where = f"{name}: [[key]] entry {position}"
        if not isinstance(entry, dict) or entry.keys() != _FIELDS.keys():
            raise KeyringError(f"{where}: it must have {', '.join(_FIELDS)}, and nothing else; {_REPAIR}")
        for part, (fits, expected) in _FIELDS.items():
            if not fits(entry[part]):
                raise KeyringError(f"{where}: {part} must be {expected}; {_REPAIR}")
    return entries


_MATERIAL = re.compile(r"[\w-]{42}[AEIMQUYcgkosw048]=", re.ASCII)
"""32 bytes in base64url: 42 letters of six bits, one whose last two bits are 0, and padding."""
_FIELDS: Mapping[str, tuple[Callable[[Any], object], str]] = {
    "version": (lambda it: type(it) is int and 1 <= it <= _MAX_VERSION, f"a whole number from 1 to {_MAX_VERSION}"),
    "state": (lambda it: it in list(KeyState), f"one of {', '.join(KeyState)}"),
    "created": (lambda it: isinstance(it, datetime) and it.tzinfo, "a moment with its zone: 2026-01-31T12:00:00Z"),
    "material": (lambda it: isinstance(it, str) and _MATERIAL.fullmatch(it), "32 bytes in base64url, with padding"),
}


def _load(path: str) -> tuple[tuple[int, ...], Keyring]:
    with _opened(path, "rb") as file:
        # Asked for before it is read: a change in between is then seen by the next who asks.
        signature = _signature(os.fstat(file.fileno()))
        with _telling(path, "read"):
            content = file.read()
    return signature, Keyring.parse(content, path)


@contextmanager
def _telling(path: str, what: str) -> Iterator[None]:
    """Say errors of the system in one line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and what != "written":
            make = f"penstock keys generate --file {shlex.quote(path)}"
            raise NoKeyring(f"there is no key file {path}; restore it from its backup, or make one: {make}") from error
        raise KeyringError(f"{path} cannot be {what}: {error.strerror}") from error


@contextmanager
def _opened(path: str, how: str) -> Iterator[FileIO]:
    """Open a key file that is for its owner only, whoever asks: root is allowed too much to try."""
    with _telling(path, "opened for writing" if "+" in how else "read"):
        # A pipe that nobody writes must not hold us up.
        file = FileIO(path, how, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE:
            raise KeyringError(f"{path} is not a key file; make one: penstock keys generate --file FILE")
        if status.st_mode & 0o077:
            mode = f"{stat.S_IMODE(status.st_mode):04o}, must be 0600"
            raise KeyringError(f"{path} is open to others than its owner (mode {mode}): chmod 600 {shlex.quote(path)}")
        yield file


@contextmanager
def _locked(path: str) -> Iterator[bytes]:
    """Keep other writers out and yield the content of the file."""
    while True:
        with _opened(path, "r+b") as file:
            with _telling(path, "locked"):
                fcntl.flock(file, fcntl.LOCK_EX)
                # Another writer may have put a new file in its place while we waited.
                current = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
                content = file.read()
            if current:
                yield content
                return


def _write(path: str, content: bytes, publish: Callable[[str, str], None]) -> None:
    """Put a file in place, whole and durable, or leave everything as it was."""
    target = os.path.realpath(path)  # A link keeps pointing where it does.
    folder, base = os.path.split(target)
    part = os.path.join(folder, f".{base}.{os.urandom(6).hex()}.part")
    with _telling(path, "written"):
        try:
            with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            publish(part, target)
        except FileExistsError:
            raise _not_ours(path) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
        # The file is in place: a folder that cannot be synced is no failure.
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _not_ours(path: str) -> KeyringChanged:
    rotate = f"penstock keys rotate --file {shlex.quote(path)}"
    return KeyringChanged(f"{path} is there already, or changed since it was read; to add a key to it: {rotate}")
