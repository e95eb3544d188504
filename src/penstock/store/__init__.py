"""Stores: one protocol, one engine for each kind of URL, opened on first use.

`model` and all above it know the protocol only; engines are found by the scheme of the URL.
"""

import atexit
import importlib
import os
import socket
import threading

from penstock.config import settings
from penstock.errors import ConfigurationError
from penstock.store.protocol import Presence, Store, Topic

__all__ = ["Store", "Topic", "close_stores", "current_store", "open_store", "presence_name", "process_name"]

ENGINES = {"sqlite": "penstock.store.sqlite"}
"""The module of each engine; it offers `open_store(url, settings)`."""

_open: dict[tuple[str, int], Store] = {}
_presences: dict[tuple[str, int], Presence] = {}
_lock = threading.Lock()


def open_store(url: str) -> Store:
    """Return the store at `url`, opened and set up once for this process.

    Raises:
        ConfigurationError: the URL is not of a kind we know.
        StoreUnavailable: it cannot be opened, or not be written.
        StoreVersionError: its schema is not one this version can use.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        raise ConfigurationError(f"store {url!r}: the URL must start with {known} as in sqlite:///penstock.db")
    # A connection must not cross a fork: a child opens its own.
    key = (absolute(url), os.getpid())
    with _lock:
        if key not in _open:
            _open[key] = importlib.import_module(ENGINES[scheme]).open_store(key[0], settings())
        return _open[key]


def current_store() -> Store:
    """Return the store that the settings name."""
    return open_store(settings().store)


def presence_name(store: Store) -> str:
    """Return the name under which this process shows a sign of life at `store`; it lasts as long as the process."""
    key = (store.url, os.getpid())
    with _lock:
        if key not in _presences:
            _presences[key] = store.appear(process_name())
        return _presences[key].name


def process_name() -> str:
    """Return a name for this process that no other has or had: host, process id and four random digits."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(2).hex()}"


def close_stores() -> None:
    """Close every store this process opened, and take its signs of life away."""
    with _lock:
        for (_, pid), presence in list(_presences.items()):
            if pid == os.getpid():
                presence.close()
        _presences.clear()
        for (_, pid), store in list(_open.items()):
            if pid == os.getpid():
                store.close()
        _open.clear()


atexit.register(close_stores)


def absolute(url: str) -> str:
    """Return `url` with a relative SQLite path made absolute, so that it means the same in every process."""
    scheme, _, path = url.partition("://")
    if scheme != "sqlite" or not path.strip("/"):
        return url
    return f"sqlite:///{os.path.abspath(path.removeprefix('/'))}"
