"""Sheets of xlsx files, read: by python-calamine, which holds a sheet in memory, or row by row by openpyxl."""

import importlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import IO, Any, ClassVar

from penstock.errors import ConfigurationError, InputError, MissingExtra
from penstock.streams.places import Place, name_of
from penstock.tabular.formats import TableWriter
from penstock.tabular.options import with_options
from penstock.tabular.spooling import open_seekable
from penstock.tabular.tables import OpenTable

STREAM_ABOVE = 50 << 20
"""Bytes: a larger file is read row by row, which takes six times as long."""
STREAM_ABOVE_UNPACKED = 1 << 30
"""Bytes: so is a file that unpacks to more than this."""

_EXACT = 1 << 53
"""Below this a float holds every whole number."""
_MIDNIGHT = time()
_NOTHING = frozenset({"", "#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
"""Text of a cell that has no value: empty, or the error of a formula."""


@dataclass(frozen=True)
class Xlsx:
    """Sheets of Excel workbooks; they are only read."""

    sheet: str | None = None
    """Name of the sheet. None: the first."""
    reader: str | None = None
    """`calamine`, fast, the sheet in memory; or `openpyxl`, row by row. None: by the size of the file."""
    spool: bool = True
    """Whether an input that cannot seek, as a compressed one, may be copied to a temporary file."""
    streams: Sequence[str] | None = None
    """As for `open_reader`."""

    name: ClassVar[str] = "xlsx"
    writable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.reader not in (None, *_READERS):
            raise ConfigurationError(f"the reader of xlsx is one of {', '.join(_READERS)}; not {self.reader!r}")

    def read(self, source: Place, *, options: Mapping[str, Any] | None = None) -> OpenTable:
        """Open a sheet. The first row that is not blank names the columns; blank rows at the end are left out.

        Whole numbers are int, a date and time at midnight is a date, a duration is text as `30:00:00`; formulas have
        the values that were saved with them, and what is an error is None. See `TableFormat.read`.
        """
        form = with_options(self, options)
        with ExitStack() as owner:
            file = open_seekable(source, owner, streams=form.streams, spool=form.spool, format_name=self.name)
            open_rows = _READERS[form.reader or _reader_for(file)]
            name = name_of(source)
            rows = _guarded(open_rows(file, form.sheet, name, owner), name)
            first_row, header = _header(rows)
            offset = next((index for index, value in enumerate(header) if value is not None), 0)
            columns = ["" if value is None else str(value) for value in header[offset:]]
            return OpenTable(columns, first_row + 1, lambda: _body(rows, offset, len(columns)), owner.pop_all())

    def write(self, target: Place, columns: Sequence[str], *, options: Mapping[str, Any] | None = None) -> TableWriter:
        """Refuse: xlsx is only read.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError("xlsx is only read; write csv or parquet")


def _reader_for(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > STREAM_ABOVE:
        return "openpyxl"
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError):
        unpacked = 0  # The reader says what is wrong.
    file.seek(0)
    return "openpyxl" if unpacked > STREAM_ABOVE_UNPACKED else "calamine"


Rows = Iterator[Sequence[Any]]


def _calamine_rows(file: IO[bytes], sheet: str | None, name: str, _: ExitStack) -> Rows:
    try:
        calamine = importlib.import_module("python_calamine")
    except ImportError:
        raise MissingExtra("reading xlsx", "files") from None
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(file)
        sheets = [each.name for each in workbook.sheets_metadata if each.typ == calamine.SheetTypeEnum.WorkSheet]
        return iter(workbook.get_sheet_by_name(_chosen(sheets, sheet, name)).iter_rows())
    except calamine.CalamineError as error:
        raise _damaged(name, error) from error


def _openpyxl_rows(file: IO[bytes], sheet: str | None, name: str, owner: ExitStack) -> Rows:
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        raise MissingExtra("reading large xlsx files", "files") from None
    try:
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # It has no class of its own for what is no workbook.
        raise _damaged(name, error) from error
    owner.callback(workbook.close)
    worksheet = workbook[_chosen([each.title for each in workbook.worksheets], sheet, name)]
    worksheet.reset_dimensions()  # What a file says of its size is often wrong, and would cut rows off.
    rows: Rows = worksheet.iter_rows(values_only=True)
    return rows


_READERS: dict[str, Callable[[IO[bytes], str | None, str, ExitStack], Rows]] = {
    "calamine": _calamine_rows,
    "openpyxl": _openpyxl_rows,
}


def _chosen(sheets: Sequence[str], wanted: str | None, name: str) -> str:
    if wanted is None and sheets:
        return sheets[0]
    if wanted not in sheets:
        raise InputError(f"{name}: there is no sheet {wanted!r}; it has: {', '.join(sheets) or 'none'}")
    return wanted or ""


def _guarded(rows: Rows, name: str) -> Rows:
    """Yield the rows; what goes wrong in the library on the way becomes an `InputError`."""
    while True:
        try:
            row = next(rows, None)
        except Exception as error:  # Whatever its zip, XML and number readers raise.
            raise _damaged(name, error) from error
        if row is None:
            return
        yield row


def _damaged(name: str, error: Exception) -> InputError:
    why = " ".join(str(error).split())
    return InputError(f"{name}: this is no sound xlsx file ({why}); save it anew as .xlsx, without a password")


def _header(rows: Rows) -> tuple[int, list[Any]]:
    """Return the number and the values of the first row that is not blank; no values when there is none."""
    for number, row in enumerate(rows, 1):
        values = _stripped(row)
        if values:
            return number, values
    return 1, []


def _body(rows: Rows, offset: int, width: int) -> Iterator[list[Any]]:
    """Yield rows as wide as the header; a blank one as soon as another follows."""
    blank = 0
    for row in rows:
        values = _stripped(row[offset : offset + width])
        if not values:
            blank += 1
            continue
        for _ in range(blank):
            yield [None] * width
        blank = 0
        values.extend([None] * (width - len(values)))
        yield values


def _stripped(row: Sequence[Any]) -> list[Any]:
    values = list(map(_value, row))
    while values and values[-1] is None:
        values.pop()
    return values


def _value(cell: Any) -> Any:
    """Return what a cell holds: one value for what the two libraries give, and of a type that can be stored."""
    kind = type(cell)
    if kind is str:
        return None if cell in _NOTHING else cell
    if kind is float:
        return int(cell) if cell.is_integer() and -_EXACT < cell < _EXACT else cell
    if kind is datetime:
        return cell.date() if cell.time() == _MIDNIGHT else cell
    return _clock(cell) if kind is timedelta else cell


def _clock(duration: timedelta) -> str:
    seconds = abs(duration) // timedelta(seconds=1)
    sign = "-" if duration < timedelta(0) else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
