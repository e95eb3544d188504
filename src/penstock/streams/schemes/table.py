"""Which schemes there are, and the one that a path or URL asks for."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigurationError
from penstock.streams.places import name_of, scheme_in
from penstock.streams.schemes.filesystem import FileSystem
from penstock.streams.schemes.local import LocalFiles
from penstock.streams.schemes.s3 import S3_OPTIONS, S3Files
from penstock.streams.schemes.sftp import SFTP_OPTIONS, SftpFiles
from penstock.streams.schemes.web import WEB_OPTIONS, WebFiles

SchemeOptions = Mapping[str, Any]
"""Options of the scheme of a URL: credentials, endpoints and the like."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to reach files."""

    name: str
    """What URLs begin with, in lower case, without `://`."""
    connect: Callable[[str, Mapping[str, Any]], FileSystem]
    """Given a URL and options, all of which it has, returns what reaches the URL's place. Libraries are imported
    here."""
    options: tuple[str, ...] = ()
    """What can be set, by name."""


_SCHEMES: dict[str, Scheme] = {}


def register_scheme(scheme: Scheme) -> None:
    """Add a scheme, for every URL that is opened from now on in this process; or replace the one of its name."""
    _SCHEMES[scheme.name] = scheme


register_scheme(Scheme("file", lambda _place, _options: LocalFiles()))
register_scheme(Scheme("http", WebFiles, WEB_OPTIONS))
register_scheme(Scheme("https", WebFiles, WEB_OPTIONS))
register_scheme(Scheme("s3", S3Files, S3_OPTIONS))
register_scheme(Scheme("sftp", SftpFiles, SFTP_OPTIONS))


def file_system(place: str | os.PathLike[str], scheme_options: SchemeOptions | None = None) -> FileSystem:
    """What reaches a path or URL, and other files of the same place.

    Args:
        place: A path, or a URL; of a URL, the scheme, the host and the user count.
        scheme_options: As for `open_reader`. `None`: none.

    Raises:
        ConfigurationError: There is no such scheme, or it has no such option, or a value that makes no sense.
        MissingExtra: A library is not installed; the message says how to install it.
        OSError: The place cannot be reached.
    """
    name = scheme_in(place) or "file"
    scheme = _SCHEMES.get(name)
    if scheme is None:
        raise ConfigurationError(f"{name_of(place)}: there is no scheme {name!r}; known are: {', '.join(_SCHEMES)}")
    refuse_options(name_of(place), scheme_options, name, scheme.options)
    return scheme.connect(os.fsdecode(place), dict(scheme_options or {}))


def refuse_options(
    name: str, scheme_options: SchemeOptions | None, what: str = "an open file", known: tuple[str, ...] = ()
) -> None:
    """Refuse options that a scheme has not.

    Raises:
        ConfigurationError: One of them is not among those `known`.
    """
    for option in scheme_options or {}:
        if option not in known:
            options = ", ".join(known) or "none"
            raise ConfigurationError(f"{name}: {what} has no option {option!r}; known are: {options}")
