"""A look into a watched folder: which files there are, and what is to be done about each."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from penstock.errors import ConfigurationError
from penstock.jobs.entries import entry_of, refuse_folders
from penstock.jobs.places import is_archived, name_in
from penstock.jobs.sights import Sight
from penstock.jobs.targets import refuse_target
from penstock.jobs.upload_file import Starting
from penstock.store.rows import EntryRow
from penstock.streams import Entry, FileSystem, file_system
from penstock.streams.roots import is_local, refuse_outside

START, WAIT, SKIP = "start", "wait", "skip"


class Found(NamedTuple):
    """A file in a watched folder."""

    place: str
    """Its path or URL, in printable text."""
    sight: Sight
    verdict: str
    """`start` it now, `wait` for the next look, or `skip` it."""
    reason: str


def look_at(row: EntryRow, seen: Mapping[str, Sight], starting: Mapping[str, list[Starting]]) -> list[Found]:
    """Return the files of an entry, the oldest first, each with what is to be done.

    Args:
        row: The entry.
        seen: What the look before saw of each file.
        starting: The jobs by which files are being started, or could not be, by the file's place.

    Raises:
        ConfigurationError: the entry is not valid any more.
        UnknownKind: no class for its kind was imported.
        OSError: its folder cannot be read.
    """
    entry = entry_of(row)
    refuse_target(entry.kind, entry.properties, after=entry.after)
    refuse_folders(entry)
    with file_system(entry.pattern) as files:
        there = [each for each in files.children(entry.pattern) if not is_archived(entry.archive, each.place)]
        there.sort(key=lambda each: (each.modified, each.place))
        return [_judged(files, each, seen, starting) for each in there]


def _judged(files: FileSystem, each: Entry, seen: Mapping[str, Sight], starting: Mapping[str, list[Starting]]) -> Found:
    sight = Sight(size=each.size, modified=each.modified)
    for reason in _obstacles(files, each, sight, starting):
        return Found(_shown(each.place), sight, SKIP, reason)
    if files.shows_partial_files and seen.get(each.place) != sight:
        return Found(each.place, sight, WAIT, "it starts when a second look finds it unchanged")
    try:
        files.open_source(each.place).close()
    except OSError as error:
        return Found(each.place, sight, SKIP, f"it cannot be read: {error.strerror or error}")
    return Found(each.place, sight, START, f"{each.size:,} bytes")


def _obstacles(files: FileSystem, each: Entry, sight: Sight, starting: Mapping[str, list[Starting]]) -> Iterator[str]:
    """Yield why a file is not to be started."""
    if _shown(each.place) != each.place:
        yield "its name is not UTF-8; rename it"
    if is_local(each.place):
        yield from _link(files, each.place)
    for job in starting.get(each.place, ()):
        if job.is_about(sight):
            yield job.told


def _link(files: FileSystem, place: str) -> Iterator[str]:
    folder = place.rpartition("/")[0] or "/"
    if files.real_place(place) == f"{files.real_place(folder).rstrip('/')}/{name_in(place)}":
        return
    try:
        refuse_outside(files, place)
    except ConfigurationError:
        yield "it is a link that leads out of allowed_roots"
    yield "it is a link; only files themselves are started"


def _shown(place: str) -> str:
    return place.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
