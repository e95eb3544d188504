"""Keys of age: given as text, or as files that hold them."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from penstock.errors import ConfigurationError
from penstock.streams.codecs import library

_LONGEST = 1 << 20


def recipients_of(items: Iterable[Any], file: str) -> list[Any]:
    """Whom to seal to: each item is `age1…`, `ssh-ed25519 …`, `ssh-rsa …`, or a file with one on each line.

    Raises:
        ConfigurationError: An item is none of these, or its file cannot be read.
    """
    return [key for item in items for line in _lines(item, _RECIPIENT, file) for key in [_recipient(line, file)]]


def identities_of(items: Iterable[Any], file: str) -> list[Any]:
    """What opens: each item is `AGE-SECRET-KEY-1…`, a private key of OpenSSH, or a file that holds such.

    Raises:
        ConfigurationError: An item is none of these, or its file cannot be read. Keys are never told.
    """
    return [key for item in items for key in _identities(item, file)]


_SECRET = ("AGE-SECRET-KEY-", "-----BEGIN ")
_RECIPIENT = ("age1", "ssh-")


def _identities(item: Any, file: str) -> list[Any]:
    text = _text(item, _SECRET, file)
    if text.lstrip().startswith("-----BEGIN "):
        return [
            _key(library("pyrage", use="the age codec").ssh.Identity.from_buffer, text.encode(), "an identity", file)
        ]
    x25519 = library("pyrage", use="the age codec").x25519
    return [_key(x25519.Identity.from_str, line, "an identity", file) for line in _meant(text)]


def _recipient(line: str, file: str) -> Any:
    pyrage = library("pyrage", use="the age codec")
    home = pyrage.ssh if line.startswith("ssh-") else pyrage.x25519
    return _key(home.Recipient.from_str, line, "a recipient", file)


def _key(read: Callable[[Any], Any], text: str | bytes, what: str, file: str) -> Any:
    try:
        return read(text)
    except (ValueError, library("pyrage", use="the age codec").RecipientError, _identity_error()):
        # Neither the text nor the library's words: they may show a secret key.
        raise ConfigurationError(f"{file}: {what} of age is no key that is known; see docs/streams.md") from None


def _identity_error() -> type[Exception]:
    error: type[Exception] = library("pyrage", use="the age codec").IdentityError
    return error


def _lines(item: Any, signs: tuple[str, ...], file: str) -> list[str]:
    return _meant(_text(item, signs, file))


def _meant(text: str) -> list[str]:
    """The lines of a file of keys that are no comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _text(item: Any, signs: tuple[str, ...], file: str) -> str:
    """The item itself, when it begins as a key does, or what the file holds that it names."""
    if isinstance(item, str) and item.lstrip().startswith((*signs, "#")):
        return item
    if not isinstance(item, str | os.PathLike):
        raise ConfigurationError(f"{file}: keys of age are text, or paths of files; not {type(item).__name__}")
    try:
        with open(item, encoding="utf-8") as keys:
            return keys.read(_LONGEST)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{file}: the key file {os.fspath(item)} cannot be read: {told}") from None
