"""What a stream is opened on: a path, or a binary file object that somebody else owns."""

import os
from typing import IO

from penstock.errors import ConfigurationError

Place = str | os.PathLike[str] | IO[bytes]


def name_of(place: Place) -> str:
    """What messages call it: the path as given, the name a file object has, or `<stream>`."""
    if isinstance(place, str | os.PathLike):
        return os.fsdecode(place)
    name = getattr(place, "name", None)
    return name if isinstance(name, str) and name else "<stream>"


def refuse_text(place: Place) -> None:
    """Refuse a file object of text.

    Raises:
        ConfigurationError: It was opened in text mode.
    """
    if hasattr(place, "encoding") and not isinstance(place, str | os.PathLike):
        raise ConfigurationError(f"{name_of(place)}: this file is open in text mode; open it in binary mode")
