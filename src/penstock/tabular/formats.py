"""What a format can do: lines of text that are rows, and files that are tables by themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from penstock.streams.places import Place

Row = dict[str, Any]
"""A record of a table: values by column name."""


@runtime_checkable
class TextFormat(Protocol):
    """A format in which one logical line of text is one record.

    A logical line is what lies between two line ends of the file; where `quotes_line_ends`, those inside quotes do not
    count.
    """

    @property
    def name(self) -> str:
        """What `format=` and messages call it."""
        ...

    @property
    def has_header(self) -> bool:
        """Whether the first line of a file names its columns, unless they are preset."""
        ...

    @property
    def quotes_line_ends(self) -> bool:
        """Whether a record may go on over a line end inside quotes."""
        ...

    def names(self, line: str) -> list[str]:
        """Return the column names of a header line as they stand there; a byte order mark before them is dropped.

        Raises:
            BadHeader: The line cannot be read, or the format has no header.
        """
        ...

    def parse(self, lines: Sequence[str], columns: Sequence[str | None] | None) -> Iterator[Row | None]:
        """Yield the row of each line, in order; None for a blank line.

        Args:
            lines: Logical lines without their ends.
            columns: The name of each field, in the order of the file; a field named None is left out.
                None where each record names its own fields.

        Raises:
            BadRow: On iteration, at the line that is wrong: what came out before it counts.
        """
        ...

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one record without its line end; None becomes a blank line.

        Args:
            rows: Mappings, sequences, dataclasses, models, named tuples.
            columns: What is written of a mapping, in this order: others are ignored, missing ones are empty. The
                values of a sequence belong to them in order. None: what each row has, where that is enough.

        Raises:
            BadRow: A row cannot be written; `position` says which.
        """
        ...

    def header(self, columns: Sequence[str]) -> str | None:
        """Return the header line without its end; None where the format has none."""
        ...


class Table(Protocol):
    """The rows of an opened file, in order; a context manager. It is read once."""

    columns: list[str]
    """The names as they stand in the file, empty for a column without one; none for an empty table."""
    first_row: int
    """Number of the first row as people count it in the file, from 1: 2 in a sheet whose first row is the header."""

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the values of each row, with their types: as many as there are columns, None where nothing is.

        Raises:
            InputError: On iteration, when the file is damaged.
        """
        ...

    def __enter__(self) -> Self:
        """Return the table itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        ...


class TableWriter(Protocol):
    """A table under way. `with` puts it in place on a clean exit, and leaves nothing behind on an exception."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows: values in the order of the columns.

        Raises:
            BadRow: A value has a type that its column cannot take; `position` is that of the row in the table, from 0.
                It may be one of an earlier call: rows are kept until there are many.
            OutputError: It cannot be written.
        """
        ...

    def __enter__(self) -> Self:
        """Return the writer itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the table in place, or drop it when an exception passes."""
        ...


@runtime_checkable
class TableFormat(Protocol):
    """A format in which a file is a table by itself."""

    @property
    def name(self) -> str:
        """What `format=` and messages call it."""
        ...

    @property
    def writable(self) -> bool:
        """Whether tables can be written, and not only read."""
        ...

    def read(self, source: "Place", *, options: Mapping[str, Any] | None = None) -> Table:
        """Open a table in bounded memory; `options` are those of the format.

        Raises:
            InputError: The file is missing or is no such table.
            MissingExtra: The library for it is not installed.
            ConfigurationError: An option is unknown or wrong.
        """
        ...

    def write(
        self, target: "Place", columns: Sequence[str], *, options: Mapping[str, Any] | None = None
    ) -> TableWriter:
        """Begin a table, which is in place at once and whole, or not at all; `options` are those of the format.

        Raises:
            OutputError: It cannot be written.
            MissingExtra: The library for it is not installed.
            ConfigurationError: An option is unknown or wrong, or the format is only read.
        """
        ...
