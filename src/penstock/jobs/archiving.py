"""A file is moved to where nobody else writes: at once, or by steps that can be run again."""

import errno
import shutil
from collections.abc import Callable

from penstock.errors import OutputError
from penstock.jobs.sights import Sight
from penstock.streams import FileSystem, file_system, open_reader, open_writer
from penstock.streams.places import name_of
from penstock.streams.roots import refuse_outside

BLOCK = 1 << 20


def bring_in(place: str, archived: str, sight: Sight, *, is_copied: bool, note_copying: Callable[[], None]) -> bool:
    """Move a file to the archive, whatever an earlier attempt has done of it.

    Args:
        place: Where it was found.
        archived: Where it is to be, a place that no other file has.
        sight: How it looked when it was found.
        is_copied: Whether an earlier attempt has begun to copy it, as that cannot be done by a mere rename.
        note_copying: Called before this attempt does, to have that noted durably.

    Returns:
        Whether it is in the archive. If not, it is gone, or somebody has written to it since.

    Raises:
        ConfigurationError: one of the places does not lie in `allowed_roots`.
        OutputError: it cannot be moved; it stays where it is.
    """
    with file_system(place) as files:
        for each in (place, archived):
            refuse_outside(files, each)
        if files.exists(archived):
            # A copy was made and the file not removed; one that was renamed and is there is another file.
            if (is_copied or not files.shows_partial_files) and _is_unchanged(files, place, sight):
                files.delete(place)
            return True
        if not _is_unchanged(files, place, sight):
            return False
        try:
            _move(files, place, archived, note_copying)
        except OSError as error:
            raise OutputError(
                f"{name_of(place)} cannot be moved to {name_of(archived)}: {error.strerror or error}; it stays there"
            ) from error
        return True


def _move(files: FileSystem, place: str, archived: str, note_copying: Callable[[], None]) -> None:
    try:
        files.move(place, archived)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        note_copying()
        with open_reader(place, streams=[]) as reader, open_writer(archived, streams=[]) as writer:
            shutil.copyfileobj(reader, writer, BLOCK)
        files.delete(place)


def _is_unchanged(files: FileSystem, place: str, sight: Sight) -> bool:
    try:
        found = files.entry(place)
    except FileNotFoundError:
        return False
    return Sight(size=found.size, modified=found.modified) == sight
