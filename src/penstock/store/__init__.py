"""Stores: one protocol, one engine for each kind of URL, opened on first use.

`model` and all above it know the protocol only; engines are found by the scheme of the URL.
"""

import atexit
import importlib
import os
import re
import socket
import threading
from typing import Any, cast

from penstock.config import settings
from penstock.errors import ConfigurationError
from penstock.store.protocol import Presence, Store, Topic

__all__ = [
    "Store", "Topic", "close_stores", "current_store", "new_memory_store", "open_store", "presence_name",
    "process_name", "without_password",
]  # fmt: skip

ENGINES = {
    "sqlite": "penstock.store.sqlite",
    "postgresql": "penstock.store.postgres",
    "postgres": "penstock.store.postgres",
}
"""The module of each engine; it offers `open_store(url, settings)`."""
TWO_STORES = "penstock.store.split"
"""The module of the store that keeps slices in another; it offers `split(jobs, slices)` and `refuse_half(store)`."""

_open: dict[tuple[str, int], Store] = {}
_presences: dict[tuple[str, int], Presence] = {}
_lock = threading.Lock()


def open_store(url: str, *, upgrade: bool = False) -> Store:
    """Return the store at `url`, opened and set up once for this process.

    An older store is refused, unless it is to be brought up to date with `upgrade`. The one that the settings name has
    its slices in `slices_store`, where they name that too.

    Raises:
        ConfigurationError: the URL is not of a kind we know, or the store is one of two and not with the other.
        StoreUnavailable: it cannot be opened, or not be written.
        StoreVersionError: its schema is not one this version can use.
    """
    _engine_of(url)
    chosen = settings()
    # A connection must not cross a fork: a child opens its own.
    key = (absolute(url), os.getpid())
    with _lock:
        if key not in _open:
            second = chosen.slices_store if key[0] == absolute(chosen.store) else None
            _open[key] = _opened(key[0], second, upgrade=upgrade)
        return _open[key]


def _opened(url: str, second: str | None, *, upgrade: bool) -> Store:
    """Open a store, with the one of its slices where that is another."""
    two = importlib.import_module(TWO_STORES)
    store: Store = _engine_of(url).open_store(url, settings(), upgrade=upgrade)
    try:
        if second is None:
            two.refuse_half(store)
            return store
        return _with_slices_in(store, absolute(second), upgrade=upgrade)
    except BaseException:
        store.close()
        raise


def _with_slices_in(jobs: Store, url: str, *, upgrade: bool) -> Store:
    if url == jobs.url:
        raise ConfigurationError(f"slices_store {without_password(url)!r} is the store itself; name another, or none")
    slices: Store = _engine_of(url).open_store(url, settings(), upgrade=upgrade)
    try:
        return cast("Store", importlib.import_module(TWO_STORES).split(jobs, slices))
    except BaseException:
        slices.close()
        raise


def _engine_of(url: str) -> Any:
    """Return the module of the engine for a URL."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        raise ConfigurationError(
            f"store {without_password(url)!r}: the URL must start with {known} as in sqlite:///penstock.db"
        )
    return importlib.import_module(ENGINES[scheme])


def new_memory_store() -> Store:
    """Return an empty store in memory that nobody else has; whoever takes it closes it."""
    return cast("Store", importlib.import_module(ENGINES["sqlite"]).open_store("sqlite://", settings()))


def without_password(url: str) -> str:
    """Return the URL of a store as it may be shown: without its password, which libpq also takes from elsewhere."""
    without = re.sub(r"(://[^/@:]*):[^/@]*@", r"\1@", url)
    return re.sub(r"(?i)(?<=[?&])(?:ssl)?password=[^&]*&?", "", without).rstrip("?&")


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


def close_store(url: str) -> None:
    """Close the store at `url`, if this process has opened it; one in memory is gone then."""
    key = (absolute(url), os.getpid())
    with _lock:
        presence = _presences.pop(key, None)
        store = _open.pop(key, None)
    if presence is not None:
        presence.close()
    if store is not None:
        store.close()


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
