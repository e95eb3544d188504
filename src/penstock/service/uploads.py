"""Files that come as they are sent: read once, and never set aside in clear; and what is in one, in advance."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from penstock.config import settings
from penstock.errors import ConfigurationError, InputError, PenstockError
from penstock.service.escapes import escaped
from penstock.service.jobs import View
from penstock.streams import file_system, open_reader
from penstock.streams.registry import codec_named, split_name
from penstock.streams.roots import refuse_outside
from penstock.streams.spool import Spool
from penstock.tabular import TableFormat, TextFormat, format_named, format_of

PREVIEWED = 20
"""Records of a preview."""
PREVIEW_BYTES = 256 * 1024
"""Bytes of the beginning of a file that a preview looks at, packed and unpacked."""
LONGEST = 500
"""Characters of a record in a preview."""


@contextmanager
def opened_upload(source: "str | IO[bytes]", file_name: str | None) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give what `BatchJob.upload` takes for a path, or for an open file with the name it has where it came from.

    A format that must be read from any place is set aside sealed, under a key that nobody else has.
    """
    if isinstance(source, str):
        yield source, {}
        return
    name = base_name(file_name)
    options = {"file_name": name, "streams": streams_of(name)}
    if name is None or not _is_table(name):
        yield source, options
        return
    with open_reader(source, streams=streams_of(name)) as plain, Spool(plain) as spool:  # type: ignore[arg-type]
        yield io.BufferedReader(spool), {**options, "streams": []}


def base_name(file_name: str | None) -> str | None:
    """Return the name of a file without any folder, whatever system wrote it."""
    name = (file_name or "").replace("\\", "/").rpartition("/")[2].strip()
    return "".join(char for char in name if char.isprintable())[:200] or None


def streams_of(name: str | None) -> list[str]:
    """Return the codecs that a name asks for, outermost last."""
    return [codec_named(extension).name for extension in split_name(name)[1]] if name else []


def refuse_path(path: str) -> None:
    """Refuse a path or URL that does not lie in `allowed_roots`: what is sent by a program may read nothing else.

    Raises:
        ConfigurationError: it does not, or there are none.
    """
    try:
        with file_system(path) as files:
            refuse_outside(files, path)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None


def preview_upload(beginning: bytes, file_name: str | None) -> View:
    """Return what a file seems to be, by its name and the bytes it begins with: streams, format, columns, records.

    Nothing is stored. The beginning may be cut anywhere; what is behind the cut is not missed.

    Raises:
        ConfigurationError: its name asks for what cannot be read.
        InputError: it cannot be read as what its name says.
    """
    name = base_name(file_name)
    form_name = format_of(name) if name else None
    view: View = {
        "file_name": name,
        "streams": streams_of(name),
        "format": form_name,
        "columns": None,
        "records": [],
        "note": None,
    }
    form = format_named(form_name) if form_name else None
    if isinstance(form, TableFormat):
        return {**view, "note": f"{form_name} is read as a whole: what is in it is known once it is uploaded"}
    lines = _lines(_decoded(beginning[:PREVIEW_BYTES], name))
    if isinstance(form, TextFormat) and form.has_header and lines:
        view["columns"] = form.names(lines[0])
        lines = lines[1:]
    shown = [escaped(line) for line in lines[:PREVIEWED]]
    return {**view, "records": [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in shown]}


def _is_table(name: str) -> bool:
    form_name = format_of(name)
    return form_name is not None and isinstance(format_named(form_name), TableFormat)


def _decoded(beginning: bytes, name: str | None) -> bytes:
    decoded = b""
    try:
        with open_reader(io.BytesIO(beginning), streams=streams_of(name)) as reader:
            while len(decoded) < PREVIEW_BYTES and (piece := reader.read1(8_192)):  # type: ignore[attr-defined]
                decoded += piece
    except InputError:
        if not decoded:
            raise
    except PenstockError:
        raise
    except (OSError, EOFError, ValueError) as error:
        if not decoded:
            raise InputError(f"{name}: {error}") from None
    return decoded


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace")
    return text.splitlines()[: PREVIEWED + 1]


def limit_of_upload() -> int:
    """Return how many bytes an upload may have, as it is sent."""
    return settings().max_upload
