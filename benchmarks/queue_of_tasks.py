"""What a job queue is to the measurement that puts several beside each other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

POSTGRES, REDIS, FILES = "BENCHMARK_POSTGRES", "BENCHMARK_REDIS", "BENCHMARK_FILES"
"""Environment variables with the URLs, and the folder for files."""

IsLeft = Callable[[], bool]
Left = Callable[[], AbstractContextManager[IsLeft]]
"""Gives what tells whether work is left, over a connection of its own."""


class Queue(NamedTuple):
    """A job queue."""

    packages: tuple[str, ...]
    settings: str
    """Where it stores, and what differs from its defaults, and why."""
    worker: list[str]
    """The command, after `python -m`."""
    processes: int
    """How many of that command make two worker processes."""
    prepare: Callable[[], None]
    enqueue: Callable[[int], None]
    left: Left
    most: int = 1_000_000
    """Jobs in one run at most: of a slow one fewer say the same."""
    needs_redis: bool = False
    store: Callable[[], str] = str
    """The URL of the store, of Penstock."""

    def missing(self) -> list[str]:
        """Return the packages that are not installed."""
        return [name for name in self.packages if _version(name) is None]

    def versions(self) -> dict[str, str | None]:
        """Return the versions of its packages."""
        return {name: _version(name) for name in self.packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
