"""What a stream is opened on: a path, a URL, or a binary file object that somebody else owns."""

import os
import re
from typing import IO
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigurationError

Place = str | os.PathLike[str] | IO[bytes]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|(file):", re.IGNORECASE)


def scheme_in(place: Place) -> str | None:
    """The scheme of a URL, in lower case; `None` for all else. A `Path` is never a URL."""
    found = _URL.match(place) if isinstance(place, str) else None
    return (found[1] or found[2]).lower() if found else None


def path_in(place: Place) -> str:
    """The path of a URL, decoded, or the path given; empty for a file object."""
    if scheme_in(place):
        assert isinstance(place, str)
        return unquote(_parts(place)[1])
    return os.fsdecode(place) if isinstance(place, str | os.PathLike) else ""


def name_of(place: Place) -> str:
    """What messages call it: the path, a URL without credentials, the name a file object has, or `<stream>`."""
    if scheme_in(place):
        assert isinstance(place, str)
        return without_credentials(place)
    if isinstance(place, str | os.PathLike):
        return os.fsdecode(place)
    name = getattr(place, "name", None)
    return name if isinstance(name, str) and name else "<stream>"


def whole_name(place: str | os.PathLike[str]) -> str:
    """What a path or URL is called wherever it is looked for: absolute, and without credentials."""
    return name_of(place) if scheme_in(place) else os.path.abspath(os.fsdecode(place))


def without_credentials(url: str) -> str:
    """A URL without user, password, query and fragment: any of them may hold a secret."""
    before, path = _parts(url)
    scheme, slashes, host = before.partition("://")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{path}"


def _parts(url: str) -> tuple[str, str]:
    """What stands before the path of a URL, and the path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Half an address of IPv6, say: whoever opens it will tell.
        return url.partition("://")[0] + "://", ""
    slashes = "://" if "://" in url[: len(parts.scheme) + 3] else ":"
    return f"{parts.scheme}{slashes}{parts.netloc}", parts.path


def refuse_text(place: Place) -> None:
    """Refuse a file object of text.

    Raises:
        ConfigurationError: It was opened in text mode.
    """
    if hasattr(place, "encoding") and not isinstance(place, str | os.PathLike):
        raise ConfigurationError(f"{name_of(place)}: this file is open in text mode; open it in binary mode")
