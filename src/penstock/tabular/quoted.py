"""Fields between delimiters, in quotes where needed: csv and tsv.

Rules as in RFC 4180, and as in the csv module, which does the work: an empty field is None, `""` is empty text. That
module cannot tell the two apart before Python 3.13, so lines that hold both are split again here.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

from penstock.errors import BadRow
from penstock.tabular.delimited import Delimited, Fields
from penstock.tabular.rows import Values


def _tells_empty_from_none() -> bool:
    quoting = getattr(csv, "QUOTE_NOTNULL", None)
    return quoting is not None and next(csv.reader([',""'], quoting=quoting)) == [None, ""]


_NOTNULL: int | None = csv.QUOTE_NOTNULL if _tells_empty_from_none() else None  # type: ignore[attr-defined,unused-ignore]


@dataclass(frozen=True)
class Csv(Delimited):
    """Comma-separated values; by option, with another delimiter."""

    delimiter: str = ","

    name: ClassVar[str] = "csv"
    quotes_line_ends: ClassVar[bool] = True

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one record, quoted where needed; None is empty, empty text is `""`.

        A single column is `""` for both: an empty line would be no row. See `TextFormat.render`.
        """
        values = self._checked(rows, columns)
        records = _written(values, self.delimiter, "")
        text = "".join(records)
        if "\n" in text or "\r" in text:
            # Only with the line end that it writes itself does the writer quote these, before Python 3.13.
            records = [record[:-2] for record in _written(values, self.delimiter, "\r\n")]
        if not all(map(all, values)):
            return [self._with_empty(row) if "" in row else record for row, record in zip(values, records, strict=True)]
        return records

    def _with_empty(self, values: Values) -> str:
        """Return the record of a row that holds empty text, which the writer would make None of."""
        return self.delimiter.join(map(self._field, values))

    def _field(self, value: Any) -> str:
        if value is None:
            return ""
        text = str(value)
        if not text or self._special.search(text):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _fields_of(self, lines: Sequence[str]) -> Iterable[Fields]:
        rows: list[Fields] = []
        # Fields of more than 128 KiB are an error too: the limit of that module is one for the whole program.
        with suppress(csv.Error):
            rows = list(_reader(lines, self.delimiter))
        # A quote that is not closed takes the next lines for its own, so that there are fewer rows.
        if len(rows) != len(lines):
            return self._by_line(lines)
        if _NOTNULL is None and not all(map(all, rows)):
            if self._may_quote_nothing("\n".join(["", *lines])):
                return [row if all(row) else self._with_nones(row, line) for row, line in zip(rows, lines, strict=True)]
            return [row if all(row) else [field or None for field in row] for row in rows]
        return rows

    def _may_quote_nothing(self, text: str) -> bool:
        """Say whether `""` may be a whole field in lines that each follow a `\\n`: surely not when this is False."""
        return f'{self.delimiter}""' in text or '\n""' in text

    def _with_nones(self, row: Fields, line: str) -> Fields:
        """Return the fields of a line with None for those where nothing stands, not even quotes."""
        if not self._may_quote_nothing("\n" + line):
            return [field or None for field in row]
        as_they_stand = self._standing.findall(line.rstrip("\r\n") + self.delimiter)
        return [field if standing else None for field, standing in zip(row, as_they_stand, strict=True)]

    def _exactly(self, line: str) -> Fields:
        """Split one line, with None for an empty field.

        Raises:
            BadRow: It is no row; the message says at which field.
        """
        line = line.rstrip("\r\n")
        if not line:
            return []
        fields: Fields = []
        at = 0
        while True:
            found = self._pattern.match(line, at)
            if found is None:
                raise BadRow(self._fault(line, at, len(fields) + 1))
            quoted, plain, end = found.groups()
            fields.append((plain or None) if quoted is None else quoted.replace('""', '"'))
            if not end:
                return fields
            at = found.end()

    def _fault(self, line: str, at: int, number: int) -> str:
        if line[at] != '"':
            return f"field {number}: a line end stands in it without quotes; quote the field"
        if self._quoted.match(line, at) is None:
            return (
                f"field {number}: the quote that opens it is never closed; close it, or double quotes inside the field"
            )
        return f"field {number}: text follows the quote that closes it; double quotes inside the field"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        d = re.escape(self.delimiter)
        return re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"\r\n{d}][^\r\n{d}]*+|))({d}|\Z)')

    @cached_property
    def _standing(self) -> re.Pattern[str]:
        d = re.escape(self.delimiter)
        return re.compile(rf'("[^"]*+(?:""[^"]*+)*+"|[^{d}]*+){d}')

    @cached_property
    def _quoted(self) -> re.Pattern[str]:
        return re.compile(r'"[^"]*+(?:""[^"]*+)*+"')

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile(rf'["\r\n{re.escape(self.delimiter)}]')


@dataclass(frozen=True)
class Tsv(Csv):
    """As csv, with tabs."""

    delimiter: str = "\t"

    name: ClassVar[str] = "tsv"


def _reader(lines: Sequence[str], delimiter: str) -> Iterator[Fields]:
    quoting: Any = csv.QUOTE_MINIMAL if _NOTNULL is None else _NOTNULL
    return cast("Iterator[Fields]", csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True))


def _written(values: Sequence[Values], delimiter: str, end: str) -> list[str]:
    records: list[str] = []
    csv.writer(_Appending(records), delimiter=delimiter, lineterminator=end).writerows(values)
    return records


class _Appending:
    """What csv.writer needs of a file: it writes each row at once."""

    def __init__(self, records: list[str]) -> None:
        self.write = records.append
