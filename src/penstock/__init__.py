"""Penstock: background jobs and large-file batch processing. Big files in, results out in order, not a record lost."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BatchJob": "penstock.batch.job",
    "InputCategory": "penstock.batch.categories",
    "Job": "penstock.model.job",
    "OutputCategory": "penstock.batch.categories",
    "PenstockError": "penstock.errors",
    "Result": "penstock.batch.categories",
    "State": "penstock.states",
    "after_batch": "penstock.hooks",
    "before_batch": "penstock.hooks",
    "configure": "penstock.config",
    "field": "penstock.model.fields",
}
"""Where each public name lives. It is imported when it is first used."""

__all__ = [
    "BatchJob",
    "InputCategory",
    "Job",
    "OutputCategory",
    "PenstockError",
    "Result",
    "State",
    "after_batch",
    "before_batch",
    "configure",
    "field",
]

if TYPE_CHECKING:
    from penstock.batch.categories import InputCategory, OutputCategory, Result
    from penstock.batch.job import BatchJob
    from penstock.config import configure
    from penstock.errors import PenstockError
    from penstock.hooks import after_batch, before_batch
    from penstock.model.fields import field
    from penstock.model.job import Job
    from penstock.states import State


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
