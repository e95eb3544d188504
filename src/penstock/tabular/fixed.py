"""Fields of fixed width, without delimiters: the layout says where each begins and what it is."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from penstock.errors import BadHeader, BadRow, ConfigurationError
from penstock.tabular.fixed_values import READERS, Field, written
from penstock.tabular.formats import Row
from penstock.tabular.rows import values_of_rows

REMAINDER = "remainder"
_ENTRY = frozenset({"size", "key", "type", "decimals"})
_LINE_END = re.compile(r"[\r\n]")


class Fixed:
    """Lines whose fields have fixed widths, in characters.

    Args:
        layout: The fields in their order: mappings with `size` (or `"remainder"` for the last), and `key`, `type` and
            `decimals` as in `Field`.
        truncate: Whether text that is too long is cut off on output; else it is refused.

    Raises:
        ConfigurationError: The layout makes no sense.
    """

    name: ClassVar[str] = "fixed"
    has_header: ClassVar[bool] = False
    quotes_line_ends: ClassVar[bool] = False

    def __init__(self, layout: Sequence[Mapping[str, Any]], truncate: bool = True) -> None:
        self._fields = [_field(entry, number) for number, entry in enumerate(layout, 1)]
        _refuse_senseless(self._fields)
        self._width = sum(field.size or 0 for field in self._fields)
        self._is_open = self._fields[-1].size is None
        self._truncate = truncate
        self._columns = [field.key for field in self._fields if field.key is not None]
        self._cuts = _cuts(self._fields)

    @property
    def columns(self) -> list[str]:
        """The columns of the layout, in its order."""
        return list(self._columns)

    def names(self, line: str) -> list[str]:
        """Refuse: the layout names the columns."""
        raise BadHeader("fixed has no header: the layout names the columns")

    def parse(self, lines: Sequence[str], columns: Sequence[str | None] | None) -> Iterator[Row | None]:
        """Yield the row of each line; a number that is blank is None, text is without the blanks behind it.

        `columns` are those of the layout that are wanted. See `TextFormat.parse`.
        """
        self._refuse_unknown(columns)
        cuts = self._cuts if columns is None else [cut for cut in self._cuts if cut.key in columns]
        return self._rows(lines, cuts)

    def render(self, rows: Iterable[Any], columns: Sequence[str] | None) -> list[str]:
        """Return each row as one line; None is blank, of a number zeros. See `TextFormat.render`.

        `columns` say in which order the values of sequences come: that of the layout when None. A column of the layout
        that is not among them is as None.
        """
        rows = list(rows)
        self._refuse_unknown(columns)
        keys = self._columns if columns is None else list(columns)
        records = [
            "" if values is None else self._record(dict(zip(keys, values, strict=True)), position)
            for position, values in enumerate(values_of_rows(rows, keys, self.name))
        ]
        for position, record in enumerate(records if _LINE_END.search("".join(records)) else ()):
            if _LINE_END.search(record):
                raise BadRow("a value holds a line end, for which fixed has no form; replace it", position)
        return records

    def header(self, columns: Sequence[str]) -> None:
        """Return None: there is no header."""

    def _rows(self, lines: Sequence[str], cuts: "list[_Cut]") -> Iterator[Row | None]:
        for position, line in enumerate(lines):
            if not line:
                yield None
                continue
            self._refuse_wrong_length(line, position)
            row: Row = {}
            for key, where, read in cuts:
                try:
                    row[key] = read(line[where])
                except ValueError as error:
                    raise BadRow(f"column {key}, at characters {where.start + 1} on: {error}", position) from None
            yield row

    def _refuse_unknown(self, columns: Sequence[str | None] | None) -> None:
        if unknown := [column for column in columns or () if column is not None and column not in self._columns]:
            raise ConfigurationError(f"the layout has no {', '.join(unknown)}; it has {', '.join(self._columns)}")

    def _refuse_wrong_length(self, line: str, position: int) -> None:
        if len(line) < self._width or (len(line) > self._width and not self._is_open):
            least = " or more" if self._is_open else ""
            raise BadRow(
                f"the line has {len(line)} characters and the layout {self._width}{least}; check the layout", position
            )

    def _record(self, values: Mapping[str, Any], position: int) -> str:
        parts = []
        for field in self._fields:
            if field.key is None:
                parts.append(" " * (field.size or 0))
                continue
            try:
                parts.append(written(values.get(field.key), field, self._truncate))
            except ValueError as error:
                raise BadRow(f"column {field.key}: {error}", position) from None
        return "".join(parts)


class _Cut(NamedTuple):
    key: str
    where: slice
    read: Callable[[str], Any]


def _cuts(fields: Sequence[Field]) -> list[_Cut]:
    cuts = []
    at = 0
    for field in fields:
        end = None if field.size is None else at + field.size
        if field.key is not None:
            cuts.append(_Cut(field.key, slice(at, end), READERS[field.type]))
        at = end or 0
    return cuts


def _field(entry: Mapping[str, Any], number: int) -> Field:
    where = f"entry {number} of the layout"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is a mapping with size, key, type, decimals; not a {type(entry).__name__}")
    if unknown := sorted(entry.keys() - _ENTRY):
        raise ConfigurationError(f"{where}: unknown {', '.join(unknown)}; known are size, key, type, decimals")
    size = entry.get("size")
    if size != REMAINDER and (type(size) is not int or size < 1):
        raise ConfigurationError(f"{where}: size is a number of characters, 1 or more, or 'remainder'; not {size!r}")
    field = Field(**{**entry, "size": None if size == REMAINDER else size})
    if field.type not in READERS:
        raise ConfigurationError(f"{where}: type is one of {', '.join(READERS)}; not {field.type!r}")
    if type(field.decimals) is not int or field.decimals < 0:
        raise ConfigurationError(f"{where}: decimals is 0 or more; not {field.decimals!r}")
    if field.size is None and field.type != "string":
        raise ConfigurationError(f"{where}: the remainder is text; a number needs a size")
    return field


def _refuse_senseless(fields: Sequence[Field]) -> None:
    keys = [field.key for field in fields if field.key is not None]
    if not keys:
        raise ConfigurationError("the layout names no column: give entries a key")
    if any(field.size is None for field in fields[:-1]):
        raise ConfigurationError("only the last entry of the layout can be the remainder")
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigurationError(f"the layout names {', '.join(twice)} twice")
