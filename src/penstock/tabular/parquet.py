"""Parquet files, by pyarrow: read in batches, written in large row groups."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, ClassVar, Self

from penstock.errors import BadRow, ConfigurationError, InputError
from penstock.streams import open_writer
from penstock.streams.places import Place, name_of
from penstock.tabular.options import with_options
from penstock.tabular.parquet_types import ColumnType, arrow, bare_kinds, type_named, type_of
from penstock.tabular.spooling import open_seekable
from penstock.tabular.tables import OpenTable

GROUP_ROWS = 50_000
"""Rows of a row group: groups of 100 make files a hundred times as large, and take ten times as long."""
GROUP_BYTES = 64 << 20
"""Text and bytes of a row group, so that long values do not fill the memory."""
COMPRESSIONS = ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
READ_ROWS = 1000
"""Rows that are made into Python values at once."""


@dataclass(frozen=True)
class Parquet:
    """Parquet files."""

    types: Mapping[str, str] | None = None
    """Types of columns on output, as in `parquet_types.type_named`. A column without one here has that of its values in
    the first 50,000 rows; text, when there are none."""
    compression: str = "snappy"
    """Of columns on output; one of `COMPRESSIONS`."""
    spool: bool = True
    """Whether an input that cannot seek, as a compressed one, may be copied to a temporary file."""
    streams: Sequence[str] | None = None
    """As for `open_reader` and `open_writer`."""

    name: ClassVar[str] = "parquet"
    writable: ClassVar[bool] = True

    def read(self, source: Place, *, options: Mapping[str, Any] | None = None) -> OpenTable:
        """Open a file. Values have the types they have in it, at microseconds where it holds times.

        See `TableFormat.read`.
        """
        form = with_options(self, options)
        pa = arrow()
        name = name_of(source)
        with ExitStack() as owner:
            file = open_seekable(source, owner, streams=form.streams, spool=form.spool, format_name=self.name)
            try:
                # Not pre_buffer, which would hold a whole row group in memory.
                opened = _library().ParquetFile(pa.PythonFile(file, mode="r"), pre_buffer=False, buffer_size=1 << 20)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(name, error) from error
            return OpenTable(opened.schema_arrow.names, 1, lambda: _rows(opened, name), owner.pop_all())

    def write(
        self, target: Place, columns: Sequence[str], *, options: Mapping[str, Any] | None = None
    ) -> "ParquetTableWriter":
        """Begin a file. See `TableFormat.write`."""
        form = with_options(self, options)
        types = {column: type_named(name, column) for column, name in (form.types or {}).items()}
        if unknown := [column for column in types if column not in columns]:
            raise ConfigurationError(f"there are types for {', '.join(unknown)}, but no such columns")
        if form.compression not in COMPRESSIONS:
            known = ", ".join(COMPRESSIONS)
            raise ConfigurationError(f"there is no compression {form.compression!r} of parquet; known are {known}")
        arrow()  # Before the file is begun.
        return ParquetTableWriter(target, columns, form, types)


class ParquetTableWriter:
    """A parquet file under way. See `formats.TableWriter`."""

    def __init__(self, target: Place, columns: Sequence[str], form: Parquet, types: Mapping[str, ColumnType]) -> None:
        self._columns = list(columns)
        self._form = form
        self._types: dict[str, ColumnType] = dict(types)
        self._rows: list[Sequence[Any]] = []
        self._bytes = 0
        self._written = 0
        self._file: Any = None
        self._sink = open_writer(target, streams=form.streams)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows: values in the order of the columns.

        Raises:
            BadRow: A row has another number of values than there are columns, or a value is none that its column takes;
                the message names column and row, and `position` counts from the first row of the file. Rows are kept
                until there are many, so that it may be one of an earlier call.
            OutputError: It cannot be written.
        """
        width = len(self._columns)
        for position, row in enumerate(rows, self._written + len(self._rows)):
            if len(row) != width:
                raise BadRow(f"row {position + 1:,}: it has {len(row)} values for {width} columns", position)
        self._rows.extend(rows)
        self._bytes += sum(len(value) for row in rows for value in row if type(value) is str or type(value) is bytes)
        while len(self._rows) >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)
        if self._bytes >= GROUP_BYTES:
            self._write_group(len(self._rows))

    def commit(self) -> None:
        """Put the file in place."""
        self._write_group(len(self._rows))
        self._file.close()
        self._sink.commit()

    def discard(self) -> None:
        """Forget what was written. Does nothing once it is in place."""
        if self._file is not None:
            with suppress(Exception):  # It would write its end when it is forgotten, to a sink that is closed by then.
                self._file.close()
        self._sink.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()

    def _write_group(self, count: int) -> None:
        rows, self._rows = self._rows[:count], self._rows[count:]
        self._bytes = 0
        arrays = [self._array(index, [row[index] for row in rows]) for index in range(len(self._columns))]
        if self._file is None:
            self._file = self._begun()
        if rows:
            self._file.write_batch(arrow().record_batch(arrays, schema=self._file.schema))
        self._written += len(rows)

    def _begun(self) -> Any:
        pa = arrow()
        schema = pa.schema([(column, self._types[column].arrow) for column in self._columns])
        sink = pa.PythonFile(self._sink, mode="w")
        return _library().ParquetWriter(sink, schema, compression=self._form.compression)

    def _array(self, index: int, values: list[Any]) -> Any:
        column = self._columns[index]
        kinds = bare_kinds(values)
        if any(issubclass(kind, Enum) for kind in kinds):
            values = [value.value if isinstance(value, Enum) else value for value in values]
            kinds = bare_kinds(values)
        if column not in self._types:
            self._types[column] = self._type_of(values, kinds, column)
        kept = self._types[column]
        if not kinds <= kept.takes:
            raise self._misfit(column, values, lambda value: type(value) in kept.takes)
        try:
            if kept.prepare is not None and (kinds != {str} or kept.name != "string"):
                values = [None if value is None else kept.prepare(value) for value in values]
            return arrow().array(values, kept.arrow)
        except (ValueError, TypeError, OverflowError):
            raise self._misfit(column, values, lambda value: _goes(value, kept)) from None

    def _type_of(self, values: list[Any], kinds: set[type], column: str) -> ColumnType:
        found = type_of(values, kinds, column)
        if found is not None:
            return found
        # The first value decides, and the first that does not fit it is the one that is named.
        first = next(value for value in values if value is not None)
        found = type_of([first], {type(first)}, column)
        if found is None:
            raise self._misfit(column, values, lambda value: value is not first)
        return found

    def _misfit(self, column: str, values: list[Any], fits: Any) -> BadRow:
        at = next((at for at, value in enumerate(values) if value is not None and not fits(value)), 0)
        position = self._written + at
        kind = type(values[at]).__name__
        kept = self._types.get(column)
        if kept is None:
            return BadRow(f"column {column}, row {position + 1:,}: parquet has no form for a {kind}", position)
        return BadRow(
            f"column {column}, row {position + 1:,}: this {kind} does not fit into a column of {kept.name}; "
            "convert it, or name the type of the column in types={...}",
            position,
        )


def _goes(value: Any, kept: ColumnType) -> bool:
    try:
        arrow().array([value if kept.prepare is None else kept.prepare(value)], kept.arrow)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _rows(opened: Any, name: str) -> Iterator[list[Any]]:
    pa = arrow()
    try:
        for batch in opened.iter_batches(batch_size=READ_ROWS):
            columns = [_values(column, f"{name}: column {key}", pa) for key, column in _named(batch)]
            yield from map(list, zip(*columns, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _named(batch: Any) -> Iterator[tuple[str, Any]]:
    return zip(batch.schema.names, batch.columns, strict=True)


def _values(column: Any, where: str, pa: Any) -> list[Any]:
    kind = column.type
    try:
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pa.timestamp("us", tz=kind.tz))
        elif pa.types.is_time64(kind) and kind.unit == "ns":
            column = column.cast(pa.time64("us"))
        values: list[Any] = column.to_pylist()
    except ValueError as error:
        raise InputError(
            f"{where} holds a {kind} that is finer or larger than values of Python; write it with microseconds"
        ) from error
    return values


def _damaged(name: str, error: Exception) -> InputError:
    return InputError(f"{name}: this is no sound parquet file ({' '.join(str(error).split())}); fetch it again")


def _library() -> Any:
    return importlib.import_module("pyarrow.parquet")
