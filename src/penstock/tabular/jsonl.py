"""One JSON object on each line (https://jsonlines.org)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from penstock.errors import BadHeader, BadRow
from penstock.tabular.formats import Row
from penstock.tabular.rows import mapping_of, values_of_rows


@dataclass(frozen=True)
class Jsonl:
    """JSON objects, each on its own line. Values come back with the types that JSON has.

    Decimal, date, time, datetime and UUID are written as text, bytes as base64, `nan` and infinity as null.
    """

    name: ClassVar[str] = "jsonl"
    has_header: ClassVar[bool] = False
    quotes_line_ends: ClassVar[bool] = False

    def names(self, line: str) -> list[str]:
        """Refuse: each object names its own fields."""
        raise BadHeader("jsonl has no header: each object names its own fields")

    def parse(self, lines: Sequence[str], columns: Sequence[str | None] | None) -> Iterator[Row | None]:
        """Yield the object of each line; with columns, those, None where missing. See `TextFormat.parse`."""
        wanted = None if columns is None else [column for column in columns if column is not None]
        decode = _decoder.decode
        for position, line in enumerate(lines):
            try:
                row = decode(line)
            except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
                if not line.strip():
                    yield None
                    continue
                raise BadRow(_fault(line, error), position) from None
            yield row if wanted is None else {column: row.get(column) for column in wanted}

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one object: with columns, of those, null where missing. See `TextFormat.render`."""
        rows = list(rows)
        if columns is not None:
            of_columns = values_of_rows(rows, columns, self.name)
            rows = [None if values is None else dict(zip(columns, values, strict=True)) for values in of_columns]
        if set(map(type, rows)) == {dict}:
            try:
                return str(_encoder.encode_lines(rows), "utf-8").split("\n")[:-1]
            except _UNENCODABLE:
                pass  # One by one, to find which.
        return [self._record(row, position) for position, row in enumerate(rows)]

    def header(self, columns: Sequence[str]) -> None:
        """Return None: there is no header."""

    def _record(self, row: Any, position: int) -> str:
        if row is None:
            return ""
        try:
            return str(_encoder.encode(mapping_of(row, self.name, position)), "utf-8")
        except UnicodeEncodeError:
            raise BadRow(
                "a text holds half of a surrogate pair, which no file can hold; replace it", position
            ) from None
        except _UNENCODABLE as error:
            raise BadRow(f"the row cannot be written as JSON: {error}", position) from None


def _fault(line: str, error: Exception) -> str:
    if line.startswith("\ufeff"):
        return "a byte order mark stands before the object; read the file with encoding='utf-8-sig'"
    why = "it holds half of a surrogate pair" if isinstance(error, UnicodeEncodeError) else str(error)
    return f"this is not one JSON object: {why}; each line is to hold one whole object"


def _of_other_kinds(value: Any) -> Any:
    """Return a pydantic model as a mapping; refuse what JSON has no form for."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise NotImplementedError(f"there is no form for a {type(value).__name__}")


_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError, msgspec.MsgspecError)
_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder(enc_hook=_of_other_kinds)
