"""Which stream codecs there are, and which of them a file name asks for."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedIOBase, RawIOBase
from itertools import takewhile

from penstock.errors import ConfigurationError
from penstock.streams import gz


@dataclass(frozen=True, slots=True)
class Codec:
    """One reversible step between the bytes of a file and the bytes of its text.

    Every entry is a function, so that the library behind it is imported on use only.
    """

    name: str
    extensions: tuple[str, ...]
    """Lower case, without the dot; the name is among them."""
    reader: Callable[[RawIOBase], BufferedIOBase]
    """Wraps encoded bytes; reading it gives decoded bytes. Closing it leaves the wrapped stream open."""
    writer: Callable[[RawIOBase], BufferedIOBase]
    """Wraps a sink; closing it writes the trailer and leaves the sink open."""
    damage: Callable[[], tuple[type[Exception], ...]]
    """The errors that reading raises for bytes that are not whole and sound (`EOFError` besides)."""


CODECS: tuple[Codec, ...] = (Codec("gz", ("gz", "gzip"), gz.reader, gz.writer, gz.damage),)

_BY_EXTENSION = {extension: codec for codec in CODECS for extension in codec.extensions}


def pipeline_of(place: object, streams: Sequence[str] | None) -> list[Codec]:
    """The codecs between a file and its text, outermost last.

    Args:
        place: A path, or an open file. An open file's name is not looked at: it may be decoded already.
        streams: Names of codecs, outermost last; overrides the file name. `[]` means raw bytes,
            `None` that the name decides.

    Raises:
        ConfigurationError: `streams` names a codec that there is not.
    """
    if streams is not None:
        return [_codec_named(name) for name in ([streams] if isinstance(streams, str) else streams)]
    if isinstance(place, str | os.PathLike):
        return _codecs_in(os.fsdecode(place))
    return []


def _codecs_in(path: str) -> list[Codec]:
    """The known extensions at the end of a name, up to the first unknown one: `a.gz.csv` has none."""
    _stem, *extensions = os.path.basename(path).lstrip(".").lower().split(".")
    known = takewhile(_BY_EXTENSION.__contains__, reversed(extensions))
    return [_BY_EXTENSION[extension] for extension in known][::-1]


def _codec_named(name: str) -> Codec:
    codec = _BY_EXTENSION.get(name.lower().removeprefix("."))
    if codec is None:
        known = ", ".join(codec.name for codec in CODECS)
        raise ConfigurationError(f"there is no stream {name!r}; known are: {known}")
    return codec
