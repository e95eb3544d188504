"""Files of this machine: paths, and `file:` URLs."""

import errno
import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from penstock.streams.new_file import NewFileSink
from penstock.streams.places import scheme_in
from penstock.streams.schemes.filesystem import Entry, FileSystem
from penstock.streams.schemes.globs import glob_of
from penstock.streams.sinks import PlainSink, Sink

_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/")
"""Names of files that a process holds open: the shell made them, so they are not ours to replace."""


def local_path(place: str) -> str:
    """The path that a `file:` URL names, or the path itself."""
    if scheme_in(place) != "file":
        return place
    parts = urlsplit(place)
    if parts.netloc not in ("", "localhost"):
        raise OSError(errno.EINVAL, "a file: URL of another machine; write three slashes: file:///folder/name")
    return unquote(parts.path)


class LocalFiles(FileSystem):
    """The file system of the operating system."""

    def open_source(self, place: str) -> io.FileIO:
        """The file, unbuffered; it can seek."""
        return io.FileIO(local_path(place))

    def open_sink(self, place: str) -> Sink:
        """A new file beside it, or itself where it is a device or a pipe."""
        path = local_path(place)
        return PlainSink(path, io.FileIO(path, "w")) if _is_written_in_place(path) else NewFileSink.beside(path)

    def exists(self, place: str) -> bool:
        """Whether there is a regular file, links followed."""
        return os.path.isfile(local_path(place))

    def size(self, place: str) -> int:
        """As the system tells it."""
        return os.stat(local_path(place)).st_size

    def entry(self, place: str) -> Entry:
        """As the system tells it."""
        status = os.stat(local_path(place))
        return Entry(place, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, place: str) -> None:
        """Remove the name."""
        try:
            os.unlink(local_path(place))
        except FileNotFoundError:
            return

    def move(self, place: str, target: str) -> None:
        """Renamed, so at once, within one file system only."""
        path = local_path(target)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        os.replace(local_path(place), path)

    def real_place(self, place: str) -> str:
        """An absolute path."""
        return os.path.realpath(local_path(place))

    def children(self, pattern: str, *, case_sensitive: bool = False, hidden: bool = False) -> Iterator[Entry]:
        """Folders are walked; links to folders are not followed."""
        glob = glob_of(local_path(pattern), case_sensitive=case_sensitive, hidden=hidden)
        folders = [(glob.folder, 0)]
        while folders:
            folder, depth = folders.pop()
            for each in _listed(folder or "."):
                path = folder + each.name
                if each.is_dir(follow_symlinks=False):
                    if glob.depth is None or depth < glob.depth:
                        folders.append((path + "/", depth + 1))
                elif each.is_file() and glob.fits(path):
                    status = each.stat()
                    yield Entry(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_written_in_place(path: str) -> bool:
    """Whether it is there and no regular file: a device, a pipe, a descriptor."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    there = os.path.exists(path)
    return there and (not os.path.isfile(path) or os.path.abspath(path).startswith(_OPEN_ALREADY))
