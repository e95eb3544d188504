"""Where records come from: files of lines, tables, queries, dataframes, and whatever can be iterated."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import TextIOBase
from itertools import islice
from typing import IO, Any, cast

from penstock.batch.job import BatchJob, Source
from penstock.batch.rows import FALLBACK
from penstock.batch.upload import Upload, UploadOptions, uploading
from penstock.config import settings
from penstock.errors import ConfigurationError, InputError
from penstock.records import encode_text
from penstock.streams import cut_lines, open_reader
from penstock.streams.lines import LineSlice
from penstock.streams.places import whole_name
from penstock.tabular import TableFormat, TextFormat, format_named, format_of, read_header

AT_ONCE = 1000
"""Rows that are fetched together from a query or a dataframe."""


def upload_source(job: BatchJob, source: Source, options: UploadOptions) -> int:
    """Store the records of a path, an open file, a query, a dataframe or an iterable; returns how many."""
    if isinstance(source, str | os.PathLike):
        return _upload_file(job, source, whole_name(source), options)
    if hasattr(source, "read") and not isinstance(source, TextIOBase):
        return _upload_file(job, cast("IO[bytes]", source), _name_of(source) or options.file_name, options)
    _refuse_header(job)
    name = _name_of(source) if isinstance(source, TextIOBase) else options.file_name
    records = _records_of(source, options)
    with uploading(job, options, name) as upload:
        _add_all(upload, map(options.map, records) if options.map else records)
    return upload.added


# Files -------------------------------------------------------------------------------------------


def _upload_file(job: BatchJob, source: Any, name: str | None, options: UploadOptions) -> int:
    if options.map is not None:
        raise ConfigurationError("map= is for queries and iterables; what a file holds is turned into rows by perform")
    before = job.input_category
    try:
        form = _format(job, name)
        if isinstance(form, TableFormat):
            return _upload_table(job, form, source, name, options)
        return _upload_lines(job, form, source, name, options)
    except BaseException:
        job.input_category = before  # The next file may have another format, and other columns.
        raise


def _format(job: BatchJob, name: str | None) -> TextFormat | TableFormat | None:
    """Return the format of a file, noted in the job where its name tells it."""
    category = job.input_category
    if category.format == "auto" or category.format_by_name:
        told = format_of(name or "") or FALLBACK
        if category.format not in ("auto", told):
            raise InputError(
                f"{name or 'the input'}: its format {told} is not that of the files before, {category.format}; "
                "upload it to another job"
            )
        job.input_category = category = category.model_copy(update={"format": told, "format_by_name": True})
    return None if category.format is None else format_named(category.format, category.format_options)


def _upload_lines(job: BatchJob, form: TextFormat | None, source: Any, name: str | None, options: UploadOptions) -> int:
    shown = options.file_name or name or "the input"
    first_line = _taker_of_first_line(job, form, shown, options)
    # Opened before anything is stored: a missing file must leave no trace.
    with (
        open_reader(
            source,
            streams=options.streams,
            stream_options=options.stream_options,
            scheme_options=options.scheme_options,
            encoding=options.encoding,
            encoding_errors=options.encoding_errors,
        ) as stream,
        uploading(job, options, name) as upload,
    ):
        for lines in cut_lines(
            stream,
            name=shown,
            records_per_slice=job.slice_size,
            max_bytes=settings().max_slice,
            max_record=settings().max_record,
            delimiter=options.delimiter,
            encoding_errors=options.encoding_errors,
            quoted=form is not None and form.quotes_line_ends,
            on_first=first_line,
        ):
            if upload.added == 0 and form is not None:
                upload.note_input()  # With the columns of its header.
            _add_lines(upload, lines)
    return upload.added


def _taker_of_first_line(
    job: BatchJob, form: TextFormat | None, shown: str, options: UploadOptions
) -> Callable[[bytes], None] | None:
    """Return who gets the first line, which is no record then; None where it is one."""
    if form is not None and form.has_header and not _presets_columns(job):
        names = form.names
        return lambda line: _take_header(job, names(str(line, "utf-8")), shown)
    told = options.on_first
    return None if told is None else lambda line: told(str(line, "utf-8"))


def _add_lines(upload: Upload, lines: LineSlice) -> None:
    if upload.added == 0:
        upload.lines.first = lines.first_line
    else:
        upload.lines.jump(upload.added + 1, lines.first_line)
    for offset, line in enumerate(lines.line_numbers or ()):
        upload.lines.jump(upload.added + 1 + offset, line)
    if lines.text is not None:
        upload.add(lines.count, encode_text(lines.text))
    else:
        upload.add_records([str(line, "utf-8") for line in lines.lines or ()])


def _upload_table(job: BatchJob, form: TableFormat, source: Any, name: str | None, options: UploadOptions) -> int:
    shown = options.file_name or name or "the input"
    settings_of_format = {**job.input_category.format_options}
    if job.seals_anything:
        settings_of_format["spool"] = False  # A temporary file would hold it in clear.
    with form.read(source, options=settings_of_format) as table, uploading(job, options, name) as upload:
        if not _presets_columns(job):
            _take_header(job, table.columns, shown)
        upload.note_input()
        upload.lines.first = table.first_row
        _add_all(upload, iter(table))
    return upload.added


def _presets_columns(job: BatchJob) -> bool:
    """Whether the class says the columns, so that files have no header; a header that was read before does not."""
    category = job.input_category
    return category.columns is not None and not category.has_header


def _take_header(job: BatchJob, names: Sequence[str], shown: str) -> None:
    category = job.input_category
    try:
        columns = read_header(
            names,
            cleanser=category.header_cleanser,
            allowed=category.allowed_columns,
            required=category.required_columns,
            skip_unknown=category.skip_unknown,
        )
    except InputError as error:
        raise type(error)(f"{shown}, line 1: {error}") from None
    if category.columns is not None and category.columns != columns:
        raise InputError(f"{shown}, line 1: its columns are not those of the files before; upload it to another job")
    job.input_category = category.model_copy(update={"columns": columns, "has_header": True})


def _refuse_header(job: BatchJob) -> None:
    category = job.input_category
    if category.format in (None, "auto") or category.columns is not None:
        return
    form = format_named(str(category.format), category.format_options)
    if isinstance(form, TableFormat) or form.has_header:
        raise ConfigurationError(
            f"the input has the format {category.format}: upload a file, or set columns=[...] and upload its records"
        )


def _name_of(source: Any) -> str | None:
    name = getattr(source, "name", None)
    return os.path.abspath(name) if isinstance(name, str) and os.path.exists(name) else None


# What can be iterated ----------------------------------------------------------------------------


def _add_all(upload: Upload, source: Iterable[Any]) -> None:
    records = iter(source)
    while run := list(islice(records, upload.job.slice_size)):
        upload.add_records(run)


def _records_of(source: Any, options: UploadOptions) -> Iterable[Any]:
    """Return the records of a source, fetched a part at a time where it can be."""
    if isinstance(source, TextIOBase):
        return (line.removesuffix("\n") for line in source)
    module = type(source).__module__.partition(".")[0]
    known = _SOURCES.get(module)
    if known is None and hasattr(source, "iterator") and hasattr(source, "values_list"):
        known = _of_django
    if known is None:
        _refuse_columns(options)
        return cast("Iterable[Any]", source)
    return known(source, options)


def _of_sqlalchemy(query: Any, options: UploadOptions) -> Iterator[Any]:
    """Yield what a select gives: the value where it is one column, else a row by column names."""
    connection = options.connection if options.run_on is None else options.run_on
    if connection is None:
        raise ConfigurationError("to upload a select, give the connection or session to run it on: run_on=...")
    if options.columns is not None:
        query = query.with_only_columns(*(query.selected_columns[name] for name in options.columns))
    elif options.map is None:
        query = _keys_of_model(query)
    result = connection.execute(query.execution_options(stream_results=True, yield_per=AT_ONCE))
    return _values(result.mappings(), len(list(result.keys())) == 1)


def _keys_of_model(query: Any) -> Any:
    """Return a select of one model as one of its primary key; any other as it is."""
    (only, *others) = query.column_descriptions
    model = only.get("entity")
    if others or model is None or only.get("expr") is not model:
        return query
    from sqlalchemy import inspect  # type: ignore[import-not-found, unused-ignore]

    return query.with_only_columns(*inspect(model).primary_key)


def _values(rows: Iterable[Any], single: bool) -> Iterator[Any]:
    return (next(iter(row.values())) for row in rows) if single else map(dict, rows)


def _of_django(query: Any, options: UploadOptions) -> Iterator[Any]:
    """Yield what a queryset gives: of models the primary key, or the columns that are asked for."""
    if options.columns is not None:
        flat = len(options.columns) == 1
        query = query.values_list(*options.columns, flat=True) if flat else query.values(*options.columns)
    elif options.map is None and query._iterable_class.__name__ == "ModelIterable":
        query = query.values_list("pk", flat=True)
    return cast("Iterator[Any]", query.iterator(chunk_size=AT_ONCE))


def _of_arrow(table: Any, options: UploadOptions) -> Iterator[Any]:
    if options.columns is not None:
        table = table.select(list(options.columns))
    if hasattr(table, "to_batches"):
        batches = table.to_batches(max_chunksize=AT_ONCE)
    else:  # One batch, or a reader of them; iterating a batch would give its columns.
        batches = [table] if hasattr(table, "to_pylist") else table
    return (row for batch in batches for row in batch.to_pylist())


def _of_polars(frame: Any, options: UploadOptions) -> Iterator[Any]:
    frame = frame.collect() if hasattr(frame, "collect") else frame
    frame = frame if options.columns is None else frame.select(list(options.columns))
    return (row for part in frame.iter_slices(AT_ONCE) for row in part.to_dicts())


def _of_pandas(frame: Any, options: UploadOptions) -> Iterator[Any]:
    """Yield rows by column names, with None for what pandas calls missing."""
    frame = frame if options.columns is None else frame[list(options.columns)]
    moments = [name for name, dtype in frame.dtypes.items() if dtype.kind == "M"]
    for start in range(0, len(frame), AT_ONCE):
        part = frame.iloc[start : start + AT_ONCE].astype(object)
        rows = part.where(part.notna(), None).to_dict("records")
        for row in rows:
            for name in moments:
                row[name] = row[name] and row[name].to_pydatetime()
        yield from rows


_SOURCES: dict[str, Callable[[Any, UploadOptions], Iterator[Any]]] = {
    "sqlalchemy": _of_sqlalchemy,
    "pyarrow": _of_arrow,
    "polars": _of_polars,
    "pandas": _of_pandas,
}


def _refuse_columns(options: UploadOptions) -> None:
    for name in ("columns", "run_on"):
        if getattr(options, name) is not None:
            raise ConfigurationError(f"{name}= is for queries and dataframes; this source is neither")
