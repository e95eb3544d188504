"""Stored results as the lines of a file: what was rendered by the workers, and what can only be when it is written."""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic_core import to_jsonable_python

from penstock.batch.categories import REJECTS, OutputCategory
from penstock.batch.job import BatchJob
from penstock.batch.payloads import Payloads
from penstock.batch.rows import columns_of_output
from penstock.errors import ConfigurationError
from penstock.records import decode_records
from penstock.tabular import TableFormat, TextFormat, columns_of, format_named, format_of

REJECT_COLUMNS = ["record_number", "line", "reason", "record"]


class Rendering:
    """Makes lines of the records of one output, and the header before them."""

    def __init__(self, job: BatchJob, category: OutputCategory, form: TextFormat | None) -> None:
        self.category = category
        self.payloads = Payloads(job.id)
        self._form = form
        self._columns = REJECT_COLUMNS if category.name == REJECTS else columns_of_output(job, category)
        self.begins = form is not None and form.has_header
        """Whether a header is still to be written."""
        self._blank = 0
        """Empty lines that wait for it."""

    def hold(self, body: bytes) -> bytes:
        """Return what may be written of lines: none while they are empty and stand before a header not known yet."""
        if not self.begins:
            return body
        if body.count(b"\n") == len(body):
            self._blank += len(body)
            return b""
        self.begins = False  # These are lines and no rows.
        return self._blanks() + body

    def begin(self, has_rows: bool, payload: bytes) -> bytes:
        """Return the header; its columns are those declared, or those of the first row."""
        if self._columns is None and has_rows:
            self._columns = next(filter(None, map(_names_in, decode_records(payload))), None)
            if self._columns is None:
                return b""  # Nothing but lines and nothing so far.
        self.begins = False
        return self._header() + self._blanks()

    def end(self) -> bytes:
        """Return the header of a file that got no row, where it is known, and the empty lines it got."""
        return (self._header() if self.begins else b"") + self._blanks()

    def _blanks(self) -> bytes:
        count, self._blank = self._blank, 0
        return b"\n" * count

    def lines(self, records: Sequence[Any]) -> bytes:
        """Return records as lines, each with its end."""
        if self._form is None:
            return b"".join(map(render_line, records))
        rows = [self._row(record) for record in records if _is_row(record)]
        rendered = iter(self._form.render(rows, self._columns))
        return b"".join(
            f"{next(rendered)}\n".encode("utf-8", "surrogatepass") if _is_row(record) else render_line(record)
            for record in records
        )

    def _row(self, record: Any) -> Any:
        """Return a record with cells that the format has a form for."""
        if self.category.name != REJECTS or isinstance(record["record"], str):
            return record
        rejected = record["record"]
        if isinstance(rejected, bytes):
            return {**record, "record": urlsafe_b64encode(rejected).decode()}
        return {**record, "record": str(render_line(rejected), "utf-8").removesuffix("\n")}

    def _header(self) -> bytes:
        header = None if self._form is None or self._columns is None else self._form.header(self._columns)
        return b"" if header is None else f"{header}\n".encode()


def rendering_of(job: BatchJob, category: OutputCategory, destination: object) -> Rendering:
    """Return how the records of an output become lines of a file.

    Raises:
        ConfigurationError: the format is not known.
    """
    form = form_for(category, destination)
    assert not isinstance(form, TableFormat)
    return Rendering(job, category, form)


def form_for(category: OutputCategory, destination: object) -> TextFormat | TableFormat | None:
    """Return the format of an output: the one declared, or the one that the file's name asks for; None for plain lines.

    Raises:
        ConfigurationError: there is no such format, or it is only read.
    """
    named = category.format
    if named in (None, "auto"):
        told = format_of(destination) if isinstance(destination, str | os.PathLike) else None
        named = told or ("csv" if named == "auto" or category.name == REJECTS else None)
    form = None if named is None else format_named(named, category.format_options)
    if isinstance(form, TableFormat) and not form.writable:
        raise ConfigurationError(f"{named} files are only read; name a .csv or .parquet file")
    return form


def rows_for_table(
    job: BatchJob, category: OutputCategory, slices: Iterator[Sequence[Any]]
) -> tuple[list[str], Iterator[list[list[Any]]]]:
    """Return the columns of an output and its rows as lists of cells, slice by slice.

    Raises:
        ConfigurationError: the columns are not known, since the results are no rows.
    """
    columns = REJECT_COLUMNS if category.name == REJECTS else columns_of_output(job, category)
    rows = ([record for record in part if record is not None] for part in slices)
    first = next(filter(None, rows), [])
    if columns is None:
        columns = next(filter(None, map(_names_in, first)), None)
    if columns is None:
        raise ConfigurationError(
            f"the results in output {category.name!r} are no rows: return mappings, or set columns=[...]"
        )
    names = columns
    return names, ([_cells(record, names) for record in part] for part in chain([first], rows))


def render_line(record: Any) -> bytes:
    """Return a record as a line: text as it is, None as an empty line, other values as JSON."""
    if isinstance(record, str):
        return record.encode("utf-8", "surrogatepass") + b"\n"
    if record is None:
        return b"\n"
    if isinstance(record, bytes):
        return record + b"\n"
    value = to_jsonable_python(record, bytes_mode="base64", inf_nan_mode="constants")
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode() + b"\n"


def _is_row(record: Any) -> bool:
    return isinstance(record, Mapping | list | tuple) or columns_of(type(record)) is not None


def _names_in(record: Any) -> list[str] | None:
    """Return the columns that a record has by itself; None for one that is no row."""
    if isinstance(record, Mapping):
        return list(record)
    return columns_of(type(record))


def _cells(record: Any, columns: Sequence[str]) -> list[Any]:
    if isinstance(record, Mapping):
        return [record.get(name) for name in columns]
    if isinstance(record, list | tuple):
        return [*record[: len(columns)], *[None] * (len(columns) - len(record))]
    raise ConfigurationError(f"a result is no row: it is a {type(record).__name__}; return a mapping")
