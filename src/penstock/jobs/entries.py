"""Entries for watched folders: what may be in one, and how its state changes."""

import json
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from penstock import clock
from penstock.errors import ConfigurationError, EntryNotFound, InvalidMove
from penstock.jobs.places import archive_folder
from penstock.jobs.targets import refuse_target
from penstock.store import Store
from penstock.store.rows import EntryRow
from penstock.streams import file_system
from penstock.streams.places import name_of
from penstock.streams.roots import host_of, is_local, refuse_outside
from penstock.streams.schemes.globs import folder_of_pattern

MOVES = {
    "enable": (("pending", "disabled", "failed"), "enabled"),
    "disable": (("enabled", "failed"), "disabled"),
    "fail": (("enabled",), "failed"),
}
"""From which states each move leads, and to which."""


class Entry(BaseModel):
    """What a person says of a watched folder."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str
    """What people call it."""
    pattern: str
    """Which files: an absolute path or URL with `*`, `?`, `[a-z]`, `{a,b}` and `**`. Upper and lower case are the same,
    and hidden files are left out."""
    kind: str
    """The kind of the job that each file becomes."""
    properties: dict[str, Any] = {}
    """Fields of that job."""
    archive: str = "archive"
    """The folder that a file is moved to before it is read: below the file's own folder, unless it is absolute."""
    after: Literal["archive", "delete"] = "archive"
    """What becomes of the file once its records are stored."""

    @field_validator("name", "pattern", "kind", "archive")
    @classmethod
    def _refuse_blank(cls, text: str) -> str:
        if not text:
            raise ValueError("must not be blank")
        if not text.isprintable():
            raise ValueError("must not hold control characters")
        return text

    @field_validator("pattern")
    @classmethod
    def _refuse_unclear_pattern(cls, pattern: str) -> str:
        if is_local(pattern) and not pattern.startswith(("/", "file:")):
            raise ValueError("must be an absolute path or a URL: servers may run in any folder")
        _refuse_secrets(pattern)
        if host_of(pattern)[0] in ("http", "https"):
            raise ValueError("is of a web server, whose files can be neither listed nor moved")
        if pattern.endswith("/"):
            raise ValueError("ends in a slash: add which files in the folder, as *")
        return pattern

    @field_validator("archive")
    @classmethod
    def _refuse_secrets_in_archive(cls, archive: str) -> str:
        _refuse_secrets(archive)
        return archive

    def to_row(self) -> EntryRow:
        """Return the entry as a new one is stored."""
        properties = json.dumps(self.properties)
        told = (self.name, self.pattern, self.kind, properties, self.archive, self.after)
        return EntryRow(*told, "pending", None, clock.now())


def entry_of(row: EntryRow) -> Entry:
    """Return what a person said of a stored entry."""
    told = {name: getattr(row, name) for name in Entry.model_fields}
    return Entry.model_validate({**told, "properties": json.loads(row.properties)})


def check_entry(values: dict[str, Any]) -> Entry:
    """Return an entry that is valid, as far as that can be told without looking into its folder.

    Raises:
        ConfigurationError: a value does not fit, and its field is named; a folder does not lie in `allowed_roots`.
        UnknownKind: no class for its kind was imported.
    """
    try:
        entry = Entry.model_validate(values)
    except ValidationError as error:
        told = [(".".join(map(str, part["loc"])), part["msg"]) for part in error.errors(include_input=False)]
        raise ConfigurationError("; ".join(f"{name}: {text}" for name, text in told)) from None
    refuse_target(entry.kind, entry.properties, after=entry.after)
    refuse_folders(entry)
    return entry


def refuse_folders(entry: Entry) -> None:
    """Refuse an entry whose folder, or whose archive, lies outside `allowed_roots`.

    Raises:
        ConfigurationError: it does; or the archive is in another place than the files.
    """
    folder = folder_of_pattern(entry.pattern)
    archive = archive_folder(entry.archive, folder)
    if host_of(archive) != host_of(folder):
        raise ConfigurationError(
            f"archive: {name_of(archive)} is in another place than the files; files are moved within theirs only"
        )
    try:
        with file_system(folder) as files:
            for place in (folder, archive):
                refuse_outside(files, place)
    except OSError as error:
        raise ConfigurationError(f"{name_of(folder)}: {error.strerror or error}") from None


def move_entry(store: Store, name: str, move: str, *, error: str | None = None) -> EntryRow:
    """Change the state of an entry.

    Args:
        store: The store.
        name: Its name.
        move: One of `MOVES`.
        error: Why it failed.

    Raises:
        EntryNotFound: there is none of the name.
        InvalidMove: the move does not lead on from its state.
    """
    origins, target = MOVES[move]
    row = find_entry(store, name)
    moved = row.state in origins
    if not (moved and store.update_entry(name, {"state": target, "error": error}, expect={"state": row.state})):
        raise InvalidMove(f"entry {name} is {row.state}: {move} applies to one that is {' or '.join(origins)}")
    return row._replace(state=target, error=error)


def find_entry(store: Store, name: str) -> EntryRow:
    """Return a stored entry.

    Raises:
        EntryNotFound: there is none of the name.
    """
    row = store.entry(name)
    if row is None:
        raise EntryNotFound(f"there is no entry {name!r}; `penstock dirmon list` shows those that there are")
    return row


def _refuse_secrets(place: str) -> None:
    if not is_local(place) and urlsplit(place).password:
        raise ValueError("holds a password, which anybody could read; let the server have a key instead")
