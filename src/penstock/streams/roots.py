"""Which files the settings let be reached by paths that come from elsewhere."""

import posixpath
from urllib.parse import unquote, urlsplit

from penstock.config import settings
from penstock.errors import ConfigurationError
from penstock.streams import FileSystem
from penstock.streams.places import name_of, scheme_in
from penstock.streams.schemes.local import local_path


def is_local(place: str) -> bool:
    """Tell whether a path or URL is a file of this machine."""
    return scheme_in(place) in (None, "file")


def host_of(place: str) -> tuple[str, str]:
    """Return what tells one place with files from another: the scheme, and the host without the user."""
    if is_local(place):
        return "file", ""
    parts = urlsplit(place)
    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()


def refuse_outside(files: FileSystem, place: str) -> None:
    """Refuse a file or folder that does not really lie in one of the `allowed_roots`, links followed.

    Raises:
        ConfigurationError: it does not, or there are none.
        OSError: it cannot be told.
    """
    roots = settings().allowed_roots
    if not roots:
        raise ConfigurationError(
            f"{name_of(place)}: no folder may be watched until the setting allowed_roots names those that may"
        )
    real = files.real_place(place)
    if not any(_holds(files, root, real) for root in roots):
        raise ConfigurationError(
            f"{name_of(place)}: it does not lie in allowed_roots ({', '.join(map(name_of, roots))})"
        )


def _holds(files: FileSystem, root: str, real: str) -> bool:
    if host_of(root) != host_of(real):
        return False
    top, path = _path(files.real_place(root)).rstrip("/") + "/", _path(real)
    return posixpath.normpath(path) == path.rstrip("/") and f"{path}/".startswith(top)


def _path(place: str) -> str:
    return local_path(place) if is_local(place) else unquote(urlsplit(place).path) or "/"
