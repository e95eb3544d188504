"""Watching the app's source files while it is developed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock import clock

LOOK_SECONDS = 0.5
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


class SourceWatch:
    """Tells when a Python file below the working directory, or below a folder of the app, was changed."""

    def __init__(self, app: Sequence[str], changed: Callable[[], None]) -> None:
        self._folders = {Path.cwd(), *(Path(spec) for spec in app if os.path.isdir(spec))}
        self._changed = changed
        self._seen = self._look()
        self._looked = clock.monotonic()

    def look(self) -> None:
        """Look, no more often than every half second, and call `changed` where something has."""
        if clock.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = clock.monotonic()
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def _look(self) -> dict[str, tuple[int, int]]:
        found = {}
        for folder in self._folders:
            for root, folders, files in os.walk(folder):
                folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
                for name in files:
                    if name.endswith(".py"):
                        path = os.path.join(root, name)
                        found[path] = _stamp(path)
        return found


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
