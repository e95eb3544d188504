"""The part of the store protocol that is about the store itself."""

from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

from penstock.store.rows import TableSize


class UpkeepStore(Protocol):
    """The store itself."""

    def fact(self, name: str) -> str | None:
        """Return what was noted under a name, or None."""

    def note_fact(self, name: str, value: str) -> str:
        """Note something for good, unless something is noted under this name; returns what is noted then."""

    def forget_fact(self, name: str) -> None:
        """Take away what was noted under a name."""

    def slice_owners(self) -> Iterator[UUID]:
        """Yield the id of each job that slices, outputs or progress are stored of, whether it is there or not."""

    def table_sizes(self) -> list[TableSize]:
        """Return how large each table is, by name. Counts rows: it may take seconds."""

    def damage(self) -> list[str]:
        """Return what the engine itself finds wrong with what it has stored, a line for each; reads all of it."""
