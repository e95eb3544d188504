"""Where files are put: archive folders, and names that are unlike all others."""

import posixpath
from urllib.parse import quote, unquote
from uuid import UUID

from penstock.streams.places import scheme_in
from penstock.streams.roots import is_local
from penstock.streams.schemes.local import local_path

LONGEST = 255
"""Bytes of a file name, on nearly every file system."""


def archive_folder(archive: str, folder: str) -> str:
    """Return the archive of the files of a folder, both as paths or URLs; with its `/`."""
    if scheme_in(archive) or archive.startswith("/"):
        return f"{archive.rstrip('/')}/"
    below = archive if is_local(folder) and scheme_in(folder) is None else quote(archive)
    return f"{folder.rstrip('/')}/{below.strip('/')}/"


def archived_place(archive: str, place: str, job_id: UUID) -> str:
    """Return where a file is moved to for its job: `<job id>_<name>` in the archive.

    Of a name that would be too long its beginning is left out.
    """
    folder, _, name = place.rpartition("/")
    plain = name_in(place)
    most = LONGEST - len(f"{job_id}_")
    if len(plain.encode()) > most:
        short = plain.encode()[-most:].decode(errors="ignore")
        name = short if scheme_in(place) is None else quote(short)
    return f"{archive_folder(archive, f'{folder}/')}{job_id}_{name}"


def name_in(place: str) -> str:
    """Return the name of a file, without its folders."""
    name = place.rpartition("/")[2]
    return name if scheme_in(place) is None else unquote(name)


def is_archived(archive: str, place: str) -> bool:
    """Tell whether a file lies in an archive: folder by folder, so that `my_archive` is none."""
    path = _path(place)
    if scheme_in(archive) or archive.startswith("/"):
        return path.startswith(f"{_path(archive).rstrip('/')}/")
    inner = posixpath.normpath(archive)
    return inner not in (".", "") and f"/{inner}/" in path.rpartition("/")[0] + "/"


def _path(place: str) -> str:
    return local_path(place) if is_local(place) else unquote(place.partition("://")[2].partition("/")[2])
