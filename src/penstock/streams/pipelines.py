"""The codecs between a file and its text, each with its options."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from penstock.errors import ConfigurationError
from penstock.streams.codecs import Codec, Layer
from penstock.streams.places import Place, name_of, path_in
from penstock.streams.registry import codec_named, split_name

StreamOptions = Mapping[str, Mapping[str, Any]]
"""Options by the name of a codec: `{"zip": {"entry": "a.csv"}}`."""
Stream = str | tuple[str, Mapping[str, Any]] | StreamOptions
"""A codec by its name, alone or with options: `"gz"`, `("gz", {"level": 9})` or `{"gz": {"level": 9}}`."""
Streams = str | Sequence[Stream]
"""Codecs, outermost last."""


class Step(NamedTuple):
    """A codec, and where it is used."""

    codec: Codec
    layer: Layer


def pipeline_of(place: Place, streams: Streams | None, stream_options: StreamOptions | None = None) -> list[Step]:
    """The codecs between a file and its text, outermost last.

    Args:
        place: A path or URL, or an open file. An open file's name is not looked at: it may be decoded already.
        streams: Codecs, outermost last; overrides the file name. `[]` means raw bytes, `None` that the name
            decides.
        stream_options: Options of codecs that are there, whoever asked for them. `None`: none.

    Raises:
        ConfigurationError: A codec is named that there is not, or an option that it has not; options are given
            for a codec that is not used here, or the same one is given twice.
    """
    name, path = name_of(place), path_in(place)
    base, extensions = split_name(path) if path else ("", [])
    items: Iterable[Stream] = extensions
    if streams is not None:
        items = [streams] if isinstance(streams, str) else streams
    chosen = [_codec_and_options(item, name) for item in items]
    _add_options(chosen, stream_options or {}, name)
    steps = []
    for position, (codec, options) in enumerate(chosen):
        inside = tuple(other.name for other, _ in chosen[:position])
        content = _content(base, extensions, [*inside, codec.name]) if path else "file"
        steps.append(Step(codec, Layer(name, content, inside, options)))
    return steps


def _codec_and_options(item: Stream, name: str) -> tuple[Codec, dict[str, Any]]:
    if isinstance(item, str):
        return codec_named(item), {}
    pairs = list(item.items()) if isinstance(item, Mapping) else [item]
    if len(pairs) != 1 or not isinstance(pairs[0], Sequence) or len(pairs[0]) != 2:
        raise ConfigurationError(f'{name}: an item of streams is a name, or a pair as ("zip", {{"entry": "a.csv"}})')
    codec, options = codec_named(pairs[0][0]), pairs[0][1]
    return codec, _known_options(codec, options, name)


def _add_options(chosen: list[tuple[Codec, dict[str, Any]]], stream_options: StreamOptions, name: str) -> None:
    for key, given in stream_options.items():
        wanted = codec_named(key)
        options = _known_options(wanted, given, name)
        fitting = [own for codec, own in chosen if codec is wanted]
        if not fitting:
            there = ", ".join(codec.name for codec, _ in chosen) or "none"
            raise ConfigurationError(
                f"{name}: options are given for {wanted.name}, which is not among its streams ({there})"
            )
        for own in fitting:
            if twice := own.keys() & options.keys():
                raise ConfigurationError(f"{name}: {min(twice)} of {wanted.name} is given twice; leave one of them out")
            own.update(options)


def _known_options(codec: Codec, options: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{name}: options of {codec.name} are a mapping of names and values")
    for option in options:
        if option not in codec.options:
            known = ", ".join(codec.options) or "none"
            raise ConfigurationError(f"{name}: {codec.name} has no option {option!r}; known are: {known}")
    return dict(options)


def _content(base: str, extensions: list[str], codecs: list[str]) -> str:
    """What a file's name would be without its codecs from the last of `codecs` on outwards.

    Where streams were given that the name does not show, the name stays whole.
    """
    shown = [codec_named(extension).name for extension in extensions]
    kept = extensions[: len(codecs) - 1] if shown[: len(codecs)] == codecs else extensions
    return ".".join([base, *kept])
