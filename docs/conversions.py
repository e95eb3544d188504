"""Writes the table of conversions in docs/jobs-included.md: `python docs/conversions.py`, or with `-` prints it.

Rows are converted by the job `Conversion` from each format into each, read back by the format itself, and compared. A
test runs this and compares the page.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import penstock
from penstock.jobs import Conversion
from penstock.streams import open_reader, open_writer
from penstock.tabular import TableFormat, format_named, format_of

PAGE = Path(__file__).parent / "jobs-included.md"
BEGIN, END = "<!-- conversions: made by python docs/conversions.py -->", "<!-- end of conversions -->"
ROWS: list[dict[str, Any]] = [
    {"id": "007", "First Name": "Zoë", "note": None},
    {"id": "8", "First Name": "a,b 'c' \"d\"", "note": "é\t😀"},
    {"id": "9", "First Name": "x" * 300, "note": "-"},
]
"""What formats stumble over: leading zeros, what is not set, separators, quotes, letters beyond ASCII, long texts."""
SOURCES = ("csv", "psv", "tsv", "jsonl", "parquet", "xlsx")
TARGETS = ("csv", "csv.zip", "psv", "tsv", "jsonl.gz", "parquet")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows by the format itself, or an xlsx by its library."""
    name, columns = str(format_of(str(path))), list(rows[0])
    if name == "xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for row in [columns, *(list(row.values()) for row in rows)]:
            book.active.append(row)
        book.save(path)
        return
    form = format_named(name)
    if isinstance(form, TableFormat):
        with form.write(str(path), columns) as table:
            table.write([list(row.values()) for row in rows])
        return
    header = [form.header(columns)] if form.has_header else []
    with open_writer(str(path)) as file:
        file.write("".join(f"{line}\n" for line in [*header, *form.render(rows, columns)]).encode())


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, by the format itself."""
    form = format_named(str(format_of(str(path))))
    if isinstance(form, TableFormat):
        with form.read(str(path)) as table:
            return [dict(zip(table.columns, row, strict=True)) for row in table]
    with open_reader(str(path)) as reader:
        lines = reader.read().decode().split("\n")[:-1]
    columns = form.names(lines.pop(0)) if form.has_header else None
    return list(form.parse(lines, columns))


def convert(source: str, target: str, folder: Path) -> str:
    """Convert from one format into another; returns in a word or two whether the rows are the same."""
    written, made = folder / f"from-{target}.{source}", folder / f"from-{source}.{target}"
    write(written, ROWS)
    Conversion(source=str(written), target=str(made)).perform_now()
    found = read(made)
    differing = sum(one != other for one, other in itertools.zip_longest(ROWS, found))
    return f"{differing} differ" if differing else "same"


def table() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as name:
        penstock.configure(store=f"sqlite:///{name}/penstock.db")
        rows = [
            f"| {source} | {' | '.join(convert(source, target, Path(name)) for target in TARGETS)} |"
            for source in SOURCES
        ]
        penstock.store.close_stores()
    return "\n".join([f"| from, into | {' | '.join(TARGETS)} |", "| --- " * (len(TARGETS) + 1) + "|", *rows])


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table, or print it."""
    parser = argparse.ArgumentParser(prog="python docs/conversions.py", description=__doc__)
    parser.add_argument("-", dest="prints", action="store_true", help="print the table instead")
    if parser.parse_args().prints:
        sys.stdout.write(f"{table()}\n")
    else:
        PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
