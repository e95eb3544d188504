"""A store for one test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.config import overridden
from penstock.store import Store, close_store, open_store


@contextmanager
def temporary_store(path: str | os.PathLike[str] | None = None) -> Iterator[Store]:
    """Have all jobs of a `with` block kept in a store of their own.

    Args:
        path: The file of the store, for tests in which other processes use it; it is left there. None keeps it in
            memory, empty at the beginning and gone at the end.
    """
    url = "sqlite://" if path is None else f"sqlite:///{os.fspath(path)}"
    with overridden(store=url):
        close_store(url)
        try:
            yield open_store(url)
        finally:
            close_store(url)
