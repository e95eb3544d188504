"""Which formats there are, and which of them a file name asks for."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from penstock.errors import ConfigurationError
from penstock.tabular.formats import TableFormat, TextFormat

Format = TextFormat | TableFormat


class _Entry(NamedTuple):
    make: Callable[..., Format]
    """Takes the options of the format by name."""
    extensions: tuple[str, ...]


def _csv(**options: Any) -> Format:
    from penstock.tabular.quoted import Csv

    return Csv(**options)


def _tsv(**options: Any) -> Format:
    from penstock.tabular.quoted import Tsv

    return Tsv(**options)


def _psv(**options: Any) -> Format:
    from penstock.tabular.delimited import Psv

    return Psv(**options)


def _jsonl(**options: Any) -> Format:
    from penstock.tabular.jsonl import Jsonl

    return Jsonl(**options)


def _fixed(**options: Any) -> Format:
    from penstock.tabular.fixed import Fixed

    return Fixed(**options)


def _xlsx(**options: Any) -> Format:
    from penstock.tabular.xlsx import Xlsx

    return Xlsx(**options)


def _parquet(**options: Any) -> Format:
    from penstock.tabular.parquet import Parquet

    return Parquet(**options)


_BUILT_IN: dict[str, _Entry] = {
    "csv": _Entry(_csv, ("csv",)),
    "tsv": _Entry(_tsv, ("tsv", "tab")),
    "psv": _Entry(_psv, ("psv",)),
    "jsonl": _Entry(_jsonl, ("jsonl", "ndjson")),
    "fixed": _Entry(_fixed, ()),
    "parquet": _Entry(_parquet, ("parquet", "pq")),
    "xlsx": _Entry(_xlsx, ("xlsx", "xlsm")),
}
_own: dict[str, _Entry] = {}


def register_format(name: str, make: Callable[..., Format], *, extensions: Sequence[str] = ()) -> None:
    """Add a format of your own; under a name that was added before, in the place of that.

    Args:
        name: What `format=` calls it.
        make: Returns the format; called with the format's options as keyword arguments.
        extensions: Of file names, without the dot.

    Raises:
        ConfigurationError: The name is that of a format of Penstock's.
    """
    if name in _BUILT_IN:
        raise ConfigurationError(f"the format {name!r} is there already; give yours another name")
    _own[name] = _Entry(make, tuple(extension.lower().removeprefix(".") for extension in extensions))


def format_named(name: str, options: Mapping[str, Any] | None = None) -> Format:
    """Return a format, set up with its options.

    Raises:
        ConfigurationError: There is no such format, or an option is unknown, missing or wrong.
    """
    entry = _own.get(name) or _BUILT_IN.get(name)
    if entry is None:
        known = ", ".join([*_BUILT_IN, *_own])
        raise ConfigurationError(f"there is no format {name!r}; known are: {known}")
    try:
        return entry.make(**options or {})
    except TypeError as error:
        raise ConfigurationError(f"the options of the format {name} do not fit: {error}") from None


def format_of(path: str | os.PathLike[str]) -> str | None:
    """Return the name of the format that a file name asks for, None when it asks for none.

    It is found anywhere among the extensions, as in `users.csv.gz`; the last counts where there are several.
    """
    _stem, *extensions = os.path.basename(os.fsdecode(path)).lstrip(".").lower().split(".")
    by_extension = {
        extension: name for name, entry in [*_BUILT_IN.items(), *_own.items()] for extension in entry.extensions
    }
    return next((by_extension[extension] for extension in reversed(extensions) if extension in by_extension), None)
