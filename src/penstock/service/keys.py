"""Keys as people see them: made, listed, changed. What they are is never told."""

from collections.abc import Callable
from typing import Any

from penstock.config import settings
from penstock.errors import ConfigurationError, NoKeyring
from penstock.keyring import Keyring, current_keyring

View = dict[str, Any]
"""A keyring as plain data, ready to be JSON: `file`, the `active` version, and `keys`, oldest first."""


def generate_key_file(file: str | None = None) -> View:
    """Make a key file with one key, which is active: `file`, or the one of the settings.

    Raises:
        KeyringError: there is a file already, or it cannot be written.
    """
    return _view(Keyring.generate().save(_file_in_force(file)))


def list_keys(file: str | None = None) -> View:
    """Return the keys of a file, or of the keyring of the settings.

    Raises:
        KeyringError: there is none, or its file cannot be used.
    """
    return _view(current_keyring(file or settings().keyring))


def rotate_key(file: str | None = None) -> View:
    """Add a key and make it the active one.

    Raises:
        KeyringError: the file cannot be used or written.
    """
    return _changed(file, Keyring.rotate)


def activate_key(version: int, file: str | None = None) -> View:
    """Make a key the active one: new data is sealed under it.

    Raises:
        KeyringError: there is no such key, it is retired, or the file cannot be used or written.
    """
    return _changed(file, lambda keyring: keyring.activate(version))


def retire_key(version: int, file: str | None = None) -> View:
    """Retire a key: what it sealed does not open any more.

    Raises:
        KeyringError: there is no such key, it is the active one, or the file cannot be used or written.
    """
    return _changed(file, lambda keyring: keyring.retire(version))


def _changed(file: str | None, change: Callable[[Keyring], Keyring]) -> View:
    return _view(Keyring.update(_file_in_force(file), change))


def _file_in_force(given: str | None) -> str:
    file = given or settings().keyring
    if isinstance(file, str):
        return file
    if file is None:
        raise NoKeyring("no key file is named: give one with --file, or set PENSTOCK_KEYRING")
    raise ConfigurationError("the `keyring` setting is a function, not a file: give one with --file")


def _view(keyring: Keyring) -> View:
    keys = [
        {"version": key.number, "state": str(key.state), "created_at": key.created.isoformat()}
        for key in keyring.versions
    ]
    return {"file": keyring.name, "active": keyring.active_version, "keys": keys}
