"""What all tables that are read have in common."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self


class OpenTable:
    """A table whose rows are made as they are read. See `formats.Table`."""

    def __init__(
        self, columns: list[str], first_row: int, rows: Callable[[], Iterator[list[Any]]], owner: ExitStack
    ) -> None:
        self.columns = columns
        self.first_row = first_row
        """Number of the first row as people count it in the file, from 1."""
        self._rows = rows
        self._owner = owner

    def __iter__(self) -> Iterator[list[Any]]:
        return self._rows()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.close()
