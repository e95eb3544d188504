"""Measuring Penstock on this machine, without touching the jobs that are there."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.bench.ground import Ground
from penstock.bench.subjects import SUBJECTS, Measurement, measure
from penstock.config import settings

__all__ = ["SUBJECTS", "as_data", "measured"]


def measured(subject: str, *, quick: bool, given: Mapping[str, int | None] | None = None) -> Measurement:
    """Measure one of `SUBJECTS` on a store of its own beside the one in the settings.

    On SQLite that is a file in a new folder beside the store's, on PostgreSQL a schema of its own. Both are removed.

    Raises:
        ConfigurationError: the subject cannot be measured on this kind of store, or has no such setting.
        StoreUnavailable: the store cannot be reached.
    """
    url = settings().store
    is_sqlite = url.startswith("sqlite:")
    beside = Path(url.removeprefix("sqlite:///")).parent if is_sqlite and "memory" not in url else Path()
    # Not where temporary files are: those may be kept in memory, which syncs at no cost.
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=beside) as folder:
        return measure(subject, Ground.of(Path(folder).resolve(), url), quick=quick, given=given)


def as_data(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain data: what was measured, how, on what, and the tables."""
    return {
        "subject": measurement.subject,
        "settings": measurement.settings,
        "machine": measurement.machine,
        "facts": measurement.report.facts,
        "tables": measurement.report.tables,
    }
