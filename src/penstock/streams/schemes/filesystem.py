"""What every place with files can do: the seam that a new scheme is written against."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, NamedTuple, Self

from penstock.errors import ConfigurationError
from penstock.streams.places import without_credentials
from penstock.streams.sinks import Sink


class Entry(NamedTuple):
    """One file that was found."""

    place: str
    """What it is opened by: a path or a URL, with the credentials that it was looked for with."""
    size: int
    """Bytes."""
    modified: datetime
    """When it was last written, in UTC; where the place does not tell, 1970."""


class FileSystem(ABC):
    """Files that are reached in one way; a context manager.

    Each call takes a whole path or URL of this place. What the place refuses is an `OSError`: `FileNotFoundError`
    where there is no such file, with a `strerror` that can be shown to anybody.
    """

    shows_partial_files: bool = True
    """Whether a file can be seen while somebody else is still writing it."""

    @abstractmethod
    def open_source(self, place: str) -> IO[bytes]:
        """A file to be read from its start: something with `read` and `close`, and perhaps `seek` and `tell`."""

    def open_sink(self, place: str) -> Sink:
        """A file to be written, which is there whole once its sink is committed, and never in part."""
        raise _read_only(place)

    @abstractmethod
    def exists(self, place: str) -> bool:
        """Whether there is such a file; a folder is none."""

    @abstractmethod
    def size(self, place: str) -> int:
        """Bytes of a file, as they are there: of `a.gz`, the compressed ones."""

    def entry(self, place: str) -> Entry:
        """A file by its name, whatever that holds: how large it is, and when it was last written."""
        return Entry(place, self.size(place), datetime.fromtimestamp(0, UTC))

    def delete(self, place: str) -> None:
        """Remove a file. That it is gone already is fine."""
        raise _read_only(place)

    def move(self, place: str, target: str) -> None:
        """Give a file another name in the same place; folders are made, what is there is replaced."""
        raise _read_only(place)

    def children(self, pattern: str, *, case_sensitive: bool = False, hidden: bool = False) -> Iterator[Entry]:
        """The files that a pattern fits, in no order that can be relied on.

        Args:
            pattern: `*` stands for anything within a name, `?` for one character, `[a-z]` for one of these and `[!a-z]`
                for any other, `**` for any folders, none as well, and `{a,b}` for one or the other. Without any of
                these it is the file itself.
            case_sensitive: Whether `*.csv` leaves out `A.CSV`.
            hidden: Whether names that begin with a dot count.
        """
        raise ConfigurationError(f"{without_credentials(pattern)}: files of this scheme cannot be listed")

    def real_place(self, place: str) -> str:
        """Where a file or folder really is, links followed; what is not there yet, below what is."""
        return place

    def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Let go of the connection, if there is one. Closing twice does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read_only(place: str) -> ConfigurationError:
    return ConfigurationError(f"{without_credentials(place)}: files of this scheme can only be read")
