"""Fields between delimiters: what all such formats share, and psv, which has no quotes."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import repeat
from numbers import Number
from typing import Any, ClassVar, cast
from uuid import UUID

from penstock.errors import BadHeader, BadRow, ConfigurationError
from penstock.tabular.formats import Row
from penstock.tabular.rows import Values, kinds_in, values_of_rows

Fields = list[str | None]

MARK = "\ufeff"
_PLAIN = frozenset({str, int, float, bool, type(None), Decimal, date, datetime, time, UUID})
_AS_TEXT = (str, int, float, Decimal, date, time, UUID, Number)
_LINE_END = re.compile(r"[\r\n]")


@dataclass(frozen=True)
class Delimited:
    """What csv and psv share: rows of fields, with a header."""

    delimiter: str

    name: ClassVar[str]
    has_header: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            raise ConfigurationError(
                f"the delimiter of {self.name} is one character, and neither a quote nor a line end"
            )

    def names(self, line: str) -> list[str]:
        """Return the column names of a header line as they stand there; a byte order mark before them is dropped."""
        try:
            return [field or "" for field in self._exactly(line.removeprefix(MARK))]
        except BadRow as error:
            raise BadHeader(f"the header is no line of {self.name}: {error}") from None

    def parse(self, lines: Sequence[str], columns: Sequence[str | None] | None) -> Iterator[Row | None]:
        """Yield the row of each line: values are text, None where a field is empty. See `TextFormat.parse`."""
        if columns is None:
            raise ConfigurationError(f"{self.name} is read with the columns of its header, or with columns=[...]")
        rows = self._fields_of(lines)
        if isinstance(rows, list) and None not in columns and min(map(len, rows), default=0) >= len(columns):
            return map(cast("Callable[[Any], Row]", dict), map(zip, repeat(columns), rows))
        return _rows_of_any_width(rows, columns)

    def header(self, columns: Sequence[str]) -> str:
        """Return the header line without its end."""
        return self.render([columns], None)[0]

    def _fields_of(self, lines: Sequence[str]) -> Iterable[Fields]:
        """Return the fields of each line, none for a blank one: all in a list, or one by one up to what is wrong."""
        raise NotImplementedError

    def _exactly(self, line: str) -> Fields:
        raise NotImplementedError

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one record. See `TextFormat.render`."""
        raise NotImplementedError

    def _checked(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[Values]:
        """Return the values of each row, all of types that have a form in text; of a row that is None, none."""
        found = values_of_rows(list(rows), columns, self.name)
        if not kinds_in(found) <= _PLAIN:
            found = [self._as_text(values, columns, position) for position, values in enumerate(found)]
        return [values or () for values in found]

    def _as_text(self, values: Values | None, columns: Sequence[str] | None, position: int) -> Values:
        plain = [value.value if isinstance(value, Enum) else value for value in values or ()]
        for index, value in enumerate(plain):
            if value is not None and not isinstance(value, _AS_TEXT):
                column = columns[index] if columns else index + 1
                raise BadRow(
                    f"column {column}: {self.name} has no form for a {type(value).__name__}; return text instead",
                    position,
                )
        return plain

    def _by_line(self, lines: Iterable[str]) -> Iterator[Fields]:
        for position, line in enumerate(lines):
            try:
                yield self._exactly(line)
            except BadRow as error:
                error.position = position
                raise


@dataclass(frozen=True)
class Psv(Delimited):
    """Fields between pipes. There are no quotes: a pipe inside a value is written as a colon."""

    delimiter: str = "|"

    name: ClassVar[str] = "psv"
    quotes_line_ends: ClassVar[bool] = False

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one record. A value that holds a line end is refused. See `TextFormat.render`."""
        values = self._checked(rows, columns)
        try:
            records = list(map(self.delimiter.join, values))
        except TypeError:  # Not all text.
            values = [["" if value is None else str(value) for value in row] for row in values]
            records = list(map(self.delimiter.join, values))
        if "".join(records).count(self.delimiter) > sum(len(row) - 1 for row in values if row):
            records = [self.delimiter.join(text.replace(self.delimiter, ":") for text in row) for row in values]
        for position, record in enumerate(records if _LINE_END.search("".join(records)) else ()):
            if _LINE_END.search(record):
                raise BadRow("a value holds a line end, for which psv has no form; replace it, or write csv", position)
        return records

    def _fields_of(self, lines: Sequence[str]) -> list[Fields]:
        rows: list[Fields] = [line.split(self.delimiter) for line in lines]  # type: ignore[misc]
        return rows if all(map(all, rows)) else [self._exactly(line) for line in lines]

    def _exactly(self, line: str) -> Fields:
        return [field or None for field in line.split(self.delimiter)] if line else []


def _rows_of_any_width(rows: Iterable[Fields], columns: Sequence[str | None]) -> Iterator[Row | None]:
    width = len(columns)
    for fields in rows:
        if not fields:
            yield None
            continue
        if len(fields) < width:
            fields.extend(repeat(None, width - len(fields)))
        row: dict[Any, Any] = dict(zip(columns, fields))  # noqa: B905  # fields beyond the columns are dropped
        row.pop(None, None)
        yield row
