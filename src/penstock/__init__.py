"""Penstock: background jobs and large-file batch processing. Big files in, results out in order, not a record lost."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Arguments": "penstock.functions.arguments",
    "BatchJob": "penstock.batch.job",
    "Cron": "penstock.plugins.cron",
    "Distributor": "penstock.distributor.distributor",
    "Handle": "penstock.functions.handle",
    "InputCategory": "penstock.batch.categories",
    "Job": "penstock.model.job",
    "JobAborted": "penstock.errors",
    "JobFailed": "penstock.errors",
    "LowerPriority": "penstock.plugins.batch_throttles",
    "OutputCategory": "penstock.batch.categories",
    "PenstockError": "penstock.errors",
    "ProcessingWindow": "penstock.plugins.window",
    "Restart": "penstock.plugins.restart",
    "Result": "penstock.batch.categories",
    "Retry": "penstock.plugins.retry",
    "Singleton": "penstock.plugins.singleton",
    "State": "penstock.states",
    "StoreTransaction": "penstock.plugins.store_transaction",
    "ThrottleWindows": "penstock.plugins.batch_throttles",
    "Transaction": "penstock.plugins.transaction",
    "after_abort": "penstock.hooks",
    "after_batch": "penstock.hooks",
    "after_complete": "penstock.hooks",
    "after_create": "penstock.hooks",
    "after_destroy": "penstock.hooks",
    "after_fail": "penstock.hooks",
    "after_init": "penstock.hooks",
    "after_pause": "penstock.hooks",
    "after_perform": "penstock.hooks",
    "after_requeue": "penstock.hooks",
    "after_resubmit": "penstock.hooks",
    "after_resume": "penstock.hooks",
    "after_retry": "penstock.hooks",
    "after_save": "penstock.hooks",
    "after_slice": "penstock.hooks",
    "after_start": "penstock.hooks",
    "after_update": "penstock.hooks",
    "after_validation": "penstock.hooks",
    "around_perform": "penstock.hooks",
    "around_slice": "penstock.hooks",
    "as_completed": "penstock.functions.several",
    "before_abort": "penstock.hooks",
    "before_batch": "penstock.hooks",
    "before_complete": "penstock.hooks",
    "before_create": "penstock.hooks",
    "before_destroy": "penstock.hooks",
    "before_fail": "penstock.hooks",
    "before_pause": "penstock.hooks",
    "before_perform": "penstock.hooks",
    "before_requeue": "penstock.hooks",
    "before_resubmit": "penstock.hooks",
    "before_resume": "penstock.hooks",
    "before_retry": "penstock.hooks",
    "before_save": "penstock.hooks",
    "before_slice": "penstock.hooks",
    "before_start": "penstock.hooks",
    "before_update": "penstock.hooks",
    "before_validation": "penstock.hooks",
    "configure": "penstock.config",
    "field": "penstock.model.fields",
    "gather": "penstock.functions.several",
    "job": "penstock.functions.function",
    "throttle": "penstock.hooks",
}
"""Where each public name lives. It is imported when it is first used."""

__all__ = [
    "Arguments",
    "BatchJob",
    "Cron",
    "Distributor",
    "Handle",
    "InputCategory",
    "Job",
    "JobAborted",
    "JobFailed",
    "LowerPriority",
    "OutputCategory",
    "PenstockError",
    "ProcessingWindow",
    "Restart",
    "Result",
    "Retry",
    "Singleton",
    "State",
    "StoreTransaction",
    "ThrottleWindows",
    "Transaction",
    "after_abort",
    "after_batch",
    "after_complete",
    "after_create",
    "after_destroy",
    "after_fail",
    "after_init",
    "after_pause",
    "after_perform",
    "after_requeue",
    "after_resubmit",
    "after_resume",
    "after_retry",
    "after_save",
    "after_slice",
    "after_start",
    "after_update",
    "after_validation",
    "around_perform",
    "around_slice",
    "as_completed",
    "before_abort",
    "before_batch",
    "before_complete",
    "before_create",
    "before_destroy",
    "before_fail",
    "before_pause",
    "before_perform",
    "before_requeue",
    "before_resubmit",
    "before_resume",
    "before_retry",
    "before_save",
    "before_slice",
    "before_start",
    "before_update",
    "before_validation",
    "configure",
    "field",
    "gather",
    "job",
    "throttle",
]

if TYPE_CHECKING:
    from penstock.batch.categories import InputCategory, OutputCategory, Result
    from penstock.batch.job import BatchJob
    from penstock.config import configure
    from penstock.distributor.distributor import Distributor
    from penstock.errors import JobAborted, JobFailed, PenstockError
    from penstock.functions.arguments import Arguments
    from penstock.functions.function import job
    from penstock.functions.handle import Handle
    from penstock.functions.several import as_completed, gather
    from penstock.hooks import (
        after_abort,
        after_batch,
        after_complete,
        after_create,
        after_destroy,
        after_fail,
        after_init,
        after_pause,
        after_perform,
        after_requeue,
        after_resubmit,
        after_resume,
        after_retry,
        after_save,
        after_slice,
        after_start,
        after_update,
        after_validation,
        around_perform,
        around_slice,
        before_abort,
        before_batch,
        before_complete,
        before_create,
        before_destroy,
        before_fail,
        before_pause,
        before_perform,
        before_requeue,
        before_resubmit,
        before_resume,
        before_retry,
        before_save,
        before_slice,
        before_start,
        before_update,
        before_validation,
        throttle,
    )
    from penstock.model.fields import field
    from penstock.model.job import Job
    from penstock.plugins.batch_throttles import LowerPriority, ThrottleWindows
    from penstock.plugins.cron import Cron
    from penstock.plugins.restart import Restart
    from penstock.plugins.retry import Retry
    from penstock.plugins.singleton import Singleton
    from penstock.plugins.store_transaction import StoreTransaction
    from penstock.plugins.transaction import Transaction
    from penstock.plugins.window import ProcessingWindow
    from penstock.states import State


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
