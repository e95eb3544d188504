"""What the tests of the included jobs share.

- `driver`: a server without processes on `configured_store`, with the manual clock.
- `box`: a folder under `allowed_roots`.
- `watch`: stores an enabled entry; `files_in`: the names of the files in a folder, at any depth.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.driver import Driver

import penstock
from penstock.jobs.entries import check_entry, move_entry
from penstock.keyring import Keyring
from penstock.store import Store


@pytest.fixture
def driver(configured_store: Store, clock: Any) -> Driver:
    """Return a server whose worker is the test."""
    return Driver(configured_store)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return an empty folder that may be watched."""
    folder = tmp_path / "box"
    folder.mkdir()
    penstock.configure(allowed_roots=[str(folder)])
    return folder


@pytest.fixture
def watch(configured_store: Store) -> Callable[..., None]:
    """Return a function that stores an enabled entry."""

    def add(pattern: str | Path, kind: str, name: str = "orders", **values: Any) -> None:
        entry = check_entry({"name": name, "pattern": str(pattern), "kind": kind, **values})
        configured_store.insert_entry(entry.to_row())
        move_entry(configured_store, name, "enable")

    return add


def files_in(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, in it."""
    return sorted(os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return the path of a key file in force."""
    path = tmp_path / "keys.toml"
    Keyring.generate().save(path)
    penstock.configure(keyring=str(path))
    return path
