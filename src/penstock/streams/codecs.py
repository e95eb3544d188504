"""What a codec is: one reversible step between the bytes of a file and the bytes of its text."""

import importlib
import io
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import RawIOBase
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from penstock.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a codec is used: in which file, around what, with which options."""

    file: str = "<stream>"
    """What messages call the file."""
    content: str = "file"
    """The file's base name without this codec's extension and those outside of it."""
    inside: tuple[str, ...] = ()
    """The names of the codecs between this one and the text, outermost last."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Only names that the codec has; not shown, since there are secrets among them."""


class Decoder(Protocol):
    """Gives decoded bytes."""

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet."""

    def close(self) -> None:
        """Let go of everything but the stream beneath. Closing twice does nothing."""


class Encoder(Protocol):
    """Takes bytes and writes them encoded to the sink beneath."""

    def write(self, data: "ReadableBuffer", /) -> object:
        """Take all of `data`."""

    def close(self) -> None:
        """Write the trailer; the sink stays open. Closing twice does nothing."""


class Abandonable(io.RawIOBase):
    """An encoder that holds a thread or another program, and so must be told when its output is not wanted."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of everything without writing a trailer. What is written after that goes nowhere. Must not raise."""

    def writable(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Codec:
    """One reversible step between the bytes of a file and the bytes of its text.

    Every entry is a function, so that the library behind it is imported on use only.
    """

    name: str
    extensions: tuple[str, ...]
    """Lower case, without the dot; the name is among them."""
    reader: Callable[[RawIOBase, Layer], Decoder]
    """Wraps encoded bytes; reading it gives decoded bytes. Closing it leaves the wrapped stream open.

    What cannot be known to be wrong before bytes are read is left to the first read."""
    writer: Callable[[RawIOBase, Layer], Encoder]
    """Wraps a sink; closing it writes the trailer and leaves the sink open."""
    damage: Callable[[], tuple[type[Exception], ...]]
    """The errors that reading raises for bytes that are not whole and sound (`EOFError` besides)."""
    options: tuple[str, ...] = ()
    """What can be set, by name."""


def library(name: str, *, use: str, extra: str = "files") -> ModuleType:
    """Import an optional library.

    Args:
        name: The module.
        use: What it is needed for, as `the lz4 codec`.
        extra: The extra of Penstock that brings it.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtra(use, extra) from None


def level_of(layer: Layer, codec: str, lowest: int, highest: int, default: int) -> int:
    """The option `level`.

    Raises:
        ConfigurationError: It is no whole number from `lowest` to `highest`.
    """
    level = layer.options.get("level")
    if level is None:
        return default
    if type(level) is not int or not lowest <= level <= highest:
        raise ConfigurationError(f"{layer.file}: level of {codec} is a whole number from {lowest} to {highest}")
    return level
