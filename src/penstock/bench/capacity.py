"""What one PostgreSQL carries, reckoned from what `bench scale` measured: a model that says what ends first."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

USE = 0.7
"""The part of a resource that may be used all day: the rest is for peaks, vacuum, backups and people."""
SECONDS_A_DAY = 86_400


class Costs(NamedTuple):
    """What one piece of work, a job or a record, takes."""

    server_us: float
    """Microseconds of processor time of Penstock's servers, without the user's code."""
    store_us: float
    """Microseconds of processor time of PostgreSQL, the storing of the work included."""
    log_bytes: float
    """Bytes of write-ahead log."""


class Capacity(NamedTuple):
    """What a PostgreSQL carries."""

    per_second: float
    first: str
    """What ends first: `processor` or `log`."""
    server_cores: float
    """Cores of Penstock's servers that this keeps busy, besides those for the user's code."""
    log_mb: float
    """Megabytes of log a second."""

    @property
    def per_day(self) -> float:
        """Pieces of work in a day at that rate."""
        return self.per_second * SECONDS_A_DAY


def costs_of(rows: Sequence[Mapping[str, Any]]) -> Costs:
    """Return the costs of a measurement at its dearest number of servers.

    Raises:
        ValueError: it was not made on PostgreSQL.
    """
    if not all("store CPU µs" in row for row in rows):
        raise ValueError("the model needs what bench scale measured on PostgreSQL")
    names = ("server CPU µs", "store CPU µs", "log bytes")
    return Costs(*(max(float(row[name]) for row in rows) for name in names))


def capacity(costs: Costs, *, cores: int, log_mb: float) -> Capacity:
    """Return what a PostgreSQL of so many cores carries, whose disk takes so many megabytes of log a second."""
    limits = {
        "processor": USE * cores * 1e6 / costs.store_us,
        "log": USE * log_mb * 1e6 / costs.log_bytes,
    }
    first = min(limits, key=limits.__getitem__)
    rate = limits[first]
    return Capacity(rate, first, rate * costs.server_us / 1e6 / USE, rate * costs.log_bytes / 1e6)


def tables_of(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of a stored measurement for jobs and for records, and the machine it was made on."""
    whole = json.loads(path.read_text("utf-8"))
    jobs, records = whole["tables"].values()
    return jobs, records, whole["machine"]
