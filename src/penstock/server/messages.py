"""What a dispatcher and its workers say to each other."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock.store.rows import JobRow, NewOutput

Key = int
"""The dispatcher's number for one assignment, never used twice by a dispatcher."""


class Setup(Struct, array_like=True, tag=1):
    """To a worker, first of all: who it is, and what to import."""

    worker: str
    app: list[str]
    slots: int
    settings: dict[str, Any]


class RunJob(Struct, array_like=True, tag=2):
    """To a worker: run a regular job."""

    key: Key
    priority: int
    row: JobRow


class RunHook(Struct, array_like=True, tag=3):
    """To a worker: run the methods of a batch job for a moment, `before_batch` or `after_batch`."""

    key: Key
    priority: int
    row: JobRow
    moment: str


class RunSlice(Struct, array_like=True, tag=4):
    """To a worker: run a slice of a batch job that it was told of."""

    key: Key
    priority: int
    job_id: UUID
    number: int
    first_record: int
    done: int
    crash_count: int
    payload: bytes


class LearnJob(Struct, array_like=True, tag=5):
    """To a worker: a batch job of which slices will come, or which has changed."""

    row: JobRow


class ForgetJob(Struct, array_like=True, tag=6):
    """To a worker: no more slices of this job will come."""

    job_id: UUID


class Recall(Struct, array_like=True, tag=7):
    """To a worker: give back those of these assignments that are not started. None means all."""

    keys: list[Key] | None


class KindFacts(Struct, array_like=True):
    """What a dispatcher needs to know of a class, which it never imports."""

    kind: str
    batch: bool
    hooks: list[str]


class Ready(Struct, array_like=True, tag=11):
    """From a worker: the app is imported; these kinds can run."""

    kinds: list[KindFacts]


class StartFailed(Struct, array_like=True, tag=12):
    """From a worker: the app does not import. The worker exits."""

    error: str


class JobDone(Struct, array_like=True, tag=13):
    """From a worker: how a regular job, or a hook of a batch job, ended."""

    key: Key
    seconds: float
    failure: str | None
    """None when it succeeded, else a `Failure` as JSON."""
    result: bytes | None
    columns: dict[str, Any]
    """Columns that user code changed."""
    fields: dict[str, Any]
    """Fields of the document that user code changed."""


class SliceDone(Struct, array_like=True, tag=14):
    """From a worker: how a slice ended."""

    key: Key
    seconds: float
    done: int
    outputs: list[NewOutput]
    failure: str | None


class Recalled(Struct, array_like=True, tag=15):
    """From a worker: these were not started, and will not be."""

    keys: list[Key]


Task = RunJob | RunHook | RunSlice
Reply = JobDone | SliceDone
ToWorker = Setup | RunJob | RunHook | RunSlice | LearnJob | ForgetJob | Recall
FromWorker = Ready | StartFailed | JobDone | SliceDone | Recalled
