"""A slice performed at once: its records as a list or a table, its results as a list again."""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.batch.job import BatchJob

_INSTALL = {"pyarrow": "pip install 'penstock[arrow]'", "pandas": "pip install pandas", "polars": "pip install polars"}
_MAKERS: Mapping[str, tuple[str, Callable[[Any, list[Any]], Any]]] = {
    "arrow": ("pyarrow", lambda library, rows: library.Table.from_pylist(rows)),
    "pandas": ("pandas", lambda library, rows: library.DataFrame.from_records(rows)),
    "polars": ("polars", lambda library, rows: library.from_dicts(rows)),
}
_TO_ROWS = ("to_pylist", "to_dicts", "to_list", "tolist")
"""Methods by which tables and columns of the libraries give their rows or values."""


def perform_together(job: "BatchJob", rows: list[Any]) -> list[Any]:
    """Call `perform_slice` with records as it wants them, and return its results as a list.

    Records that are no rows are a table with the one column `value`.

    Raises:
        ConfigurationError: the library for its tables is not installed.
    """
    assert job.perform_slice is not None
    if job.slice_as == "list":
        return results_of(job.perform_slice(rows))
    name, make = _MAKERS[job.slice_as]
    named = rows if all(isinstance(row, Mapping) for row in rows) else [{"value": row} for row in rows]
    return results_of(job.perform_slice(make(_library(name), named)))


def results_of(given: Any) -> list[Any]:
    """Return what `perform_slice` returned as a list, one result for each record."""
    if isinstance(given, list):
        return given
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # A table of pandas, whose own list is of columns.
        return list(given.to_dict("records"))
    method = next((getattr(given, name) for name in _TO_ROWS if hasattr(given, name)), None)
    return list(given if method is None else method())


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(f"slice_as needs {name}, which is not installed: {_INSTALL[name]}") from None
