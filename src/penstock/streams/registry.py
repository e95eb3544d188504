"""Which stream codecs there are, and which of them a file name asks for."""

import os
from itertools import takewhile

from penstock.errors import ConfigurationError
from penstock.streams.age import AGE
from penstock.streams.codecs import Codec
from penstock.streams.compressors import BZ2, LZ4, XZ, ZST
from penstock.streams.enc import ENC
from penstock.streams.gz import GZ
from penstock.streams.pgp import PGP
from penstock.streams.zips import ZIP

_BY_EXTENSION: dict[str, Codec] = {}


def register_codec(codec: Codec) -> None:
    """Add a codec, for every file that is opened from now on in this process.

    Raises:
        ConfigurationError: Its name is not among its extensions, or another codec has one of them.
    """
    if codec.name not in codec.extensions:
        raise ConfigurationError(f"the name of codec {codec.name!r} must be one of its extensions")
    for extension in codec.extensions:
        if _BY_EXTENSION.get(extension, codec) is not codec:
            raise ConfigurationError(f"files .{extension} belong to codec {_BY_EXTENSION[extension].name}")
    _BY_EXTENSION.update(dict.fromkeys(codec.extensions, codec))


for _codec in (GZ, BZ2, XZ, ZST, LZ4, ZIP, AGE, PGP, ENC):
    register_codec(_codec)


def known_codecs() -> list[Codec]:
    """All codecs, in the order they were registered in."""
    return list(dict.fromkeys(_BY_EXTENSION.values()))


def codec_named(name: str) -> Codec:
    """The codec of a name or extension, with or without the dot, in any case.

    Raises:
        ConfigurationError: There is none.
    """
    codec = _BY_EXTENSION.get(name.lower().removeprefix(".")) if isinstance(name, str) else None
    if codec is None:
        known = ", ".join(codec.name for codec in known_codecs())
        raise ConfigurationError(f"there is no stream {name!r}; known are: {known}")
    return codec


def split_name(path: str) -> tuple[str, list[str]]:
    """A path's base name up to its codecs, and the extensions that name these, outermost last, as they are spelt.

    They end at the first unknown one: `a.gz.csv` has none.
    """
    base = os.path.basename(path)
    _stem, *extensions = base.lstrip(".").split(".")
    known = list(takewhile(lambda extension: extension.lower() in _BY_EXTENSION, reversed(extensions)))[::-1]
    return base.removesuffix("".join(f".{extension}" for extension in known)), known
