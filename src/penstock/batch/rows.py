"""Rows of a batch job: what `perform` is given for a stored record, and what is stored for a row it returns."""

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from penstock.batch.categories import OutputCategory

if TYPE_CHECKING:
    from penstock.batch.job import BatchJob
    from penstock.tabular import TextFormat

# `penstock.tabular` is imported on use: plain lines never pay for it.

FALLBACK = "csv"
"""What `auto` means where no file name tells."""

Reader = Callable[[Sequence[Any]], Iterable[Any]]
Renderer = Callable[[Sequence[Any]], list[Any]]


def reader_of(job: "BatchJob") -> Reader | None:
    """Return what turns stored records into rows, lazily, so that one that cannot be read fails alone.

    None where `perform` is given records as they are stored.
    """
    category = job.input_category
    convert = _converter(job)
    if category.format in (None, "auto"):  # `auto` that no file has told.
        return None if convert is None else lambda records: _converted(records, convert)
    from penstock.tabular import TextFormat, format_named

    form = format_named(str(category.format), category.format_options)
    columns = category.columns
    if isinstance(form, TextFormat):
        read: Reader = lambda records: form.parse(records, columns)  # noqa: E731
    else:
        read = lambda records: _cells(records, columns or ())  # noqa: E731
    return read if convert is None else lambda records: _converted(read(records), convert)


def renderer_of(job: "BatchJob", category: OutputCategory) -> Renderer | None:
    """Return what turns results into records of an output; None where they are stored as they are.

    They are where the format has a header and the columns are only known from all the results together.
    """
    form = format_of_output(category)
    columns = columns_of_output(job, category)
    if form is None or (form.has_header and columns is None):
        return None

    def render(values: Sequence[Any]) -> list[Any]:
        rows = [value for value in values if not _is_line(value)]
        if not rows:
            return [value or "" for value in values]
        lines = iter(form.render(rows, columns))
        return [(value or "") if _is_line(value) else next(lines) for value in values]

    return render


def format_of_output(category: OutputCategory) -> "TextFormat | None":
    """Return the text format of an output, where the job says it."""
    if category.format in (None, "auto"):
        return None
    from penstock.tabular import TextFormat, format_named

    form = format_named(str(category.format), category.format_options)
    return form if isinstance(form, TextFormat) else None


def columns_of_output(job: "BatchJob", category: OutputCategory) -> list[str] | None:
    """Return the columns of an output: declared, or of the first those of the class that `perform` returns."""
    if category.columns is not None:
        return [name for name in category.columns if name is not None]
    if category.name not in [first.name for first in job.collected_categories()[:1]]:
        return None  # Rows of others may be of another sort; they have columns of their own.
    return _columns_of(_hints(job).get("return"))


def as_stored(values: Sequence[Any]) -> Sequence[Any]:
    """Return results with those that are instances of a class of rows as mappings: only these can be stored."""
    foreign = {cls for cls in set(map(type, values)) if _columns_of(cls) is not None}
    return [_as_mapping(value) if type(value) in foreign else value for value in values] if foreign else values


def _as_mapping(row: Any) -> dict[str, Any]:
    columns = _columns_of(type(row)) or []
    return {name: row[name] if isinstance(row, dict) else getattr(row, name) for name in columns}


def _columns_of(annotation: Any) -> list[str] | None:
    """Return the columns of a class of rows; None for what is none."""
    if annotation is None or getattr(annotation, "__module__", None) == "builtins":
        return None
    from penstock.tabular.classes import columns_of

    return columns_of(annotation)


def _is_line(value: Any) -> bool:
    """Whether a value is a line already: text, or nothing."""
    return value is None or isinstance(value, str)


def _converter(job: "BatchJob") -> Callable[[Any], Any] | None:
    """Return what makes rows of the class that `perform` asks for; None where it asks for none."""
    name = "perform" if job.perform_slice is None else "perform_slice"
    # That of the class: on the job there may be one that watches the records. Bound: without self.
    perform = inspect.getattr_static(type(job), name).__get__(job, type(job))
    names = list(inspect.signature(perform).parameters)
    annotation = _hints(job, name).get(names[0]) if names else None
    if name == "perform_slice":  # Of a list of rows.
        annotation = next(iter(typing.get_args(annotation)), None) if job.slice_as == "list" else None
    if _columns_of(annotation) is None:
        return None
    from penstock.tabular import row_converter

    return row_converter(annotation)


def _hints(job: "BatchJob", name: str = "perform") -> dict[str, Any]:
    try:
        return typing.get_type_hints(getattr(type(job), name))
    except (NameError, TypeError):  # Names that only a type checker sees.
        return {}


def _converted(rows: Iterable[Any], convert: Callable[[Any], Any]) -> Iterator[Any]:
    return (None if row is None else convert(row) for row in rows)


def _cells(records: Sequence[Any], columns: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """Yield rows of cells with their names; a column without a name is left out."""
    whole = None not in columns
    for record in records:
        row = dict(zip(columns, record, strict=False))
        if not whole:
            row.pop(None, None)
        yield row  # type: ignore[misc]
