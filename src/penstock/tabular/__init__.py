"""Records as rows and back: csv, tsv, psv, jsonl, fixed width, xlsx and parquet.

Knows nothing of jobs. The libraries of xlsx and parquet are imported when a table is opened.
"""

from penstock.tabular.classes import columns_of
from penstock.tabular.formats import Row, Table, TableFormat, TableWriter, TextFormat
from penstock.tabular.header import cleansed, read_header
from penstock.tabular.registry import format_named, format_of, register_format
from penstock.tabular.typed import row_converter

__all__ = [
    "Row",
    "Table",
    "TableFormat",
    "TableWriter",
    "TextFormat",
    "cleansed",
    "columns_of",
    "format_named",
    "format_of",
    "read_header",
    "register_format",
    "row_converter",
]
