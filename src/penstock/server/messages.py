"""What a dispatcher and its workers say to each other."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock.states import Move
from penstock.store.rows import JobRow, LogLine, NewOutput

Key = int
"""The dispatcher's number for one assignment, never used twice by a dispatcher."""


class Setup(Struct, array_like=True, tag=1):
    """To a worker, first of all: who it is, and what to import."""

    worker: str
    app: list[str]
    slots: int
    settings: dict[str, Any]
    memory_limit_mb: int | None = None
    concurrency: int = 0
    """How many `async` jobs it runs at once on its event loop, beside what its slots do. 0: they take slots."""
    relays: bool = False
    """Whether new jobs that its work enqueues go to where that work came from."""


class RunJob(Struct, array_like=True, tag=2):
    """To a worker: run a regular job."""

    key: Key
    priority: int
    row: JobRow


class RunHook(Struct, array_like=True, tag=3):
    """To a worker: run hooks of a job."""

    key: Key
    priority: int
    row: JobRow
    moment: str
    """`before_batch` or `after_batch`, with the hooks of the move that goes with it; or the moments that follow
    committed moves, separated by spaces."""


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
    slice_id: int = 0
    attempt: int = 0
    record_count: int = 0


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
    name: str
    """The kind under which it is counted: that of the class, also for an alias of it."""
    limit: int | None = None
    """How many jobs of it, or of a throttle group of it, may run at once in the whole store."""
    depends_on: list[str] = []
    """Kinds of which none may run when a job of it starts."""
    sealed: bool = False
    """Whether anything of its jobs is sealed: what its workers wrote is then no evidence to be kept."""
    rate: float | None = None
    """Seconds that each record takes up of the rate limit that all its jobs share."""
    on_loop: bool = False
    """Whether its jobs can run on an event loop, beside others."""
    answers: bool = False
    """Whether somebody may wait for what its jobs return."""


class Ready(Struct, array_like=True, tag=11):
    """From a worker: the app is imported; these kinds can run."""

    kinds: list[KindFacts]


class StartFailed(Struct, array_like=True, tag=12):
    """From a worker: the app does not import. The worker exits."""

    error: str


class Decision(Struct, array_like=True):
    """What the work means for its job, where that is more than done or failed."""

    move: Move
    at: datetime | None
    """When the job is to run again."""
    reason: str | None
    """Why it is held back; None unless it is."""
    kind_wide: bool
    """Whether all jobs of the kind are held."""
    failure: str | None
    """For a job that failed itself: a `Failure` as JSON."""


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
    decided: Decision | None = None
    """None when it is done or, with a failure, failed."""
    unknown: bool = False
    """Whether the worker has no class for it."""
    stored: bool | None = None
    """Whether the worker has stored it, in the transaction of `perform`; False when it was refused there, because
    somebody had moved the job on. None: the dispatcher is to store it."""

    def says_nothing(self) -> bool:
        """Tell whether the job is done, and that is all."""
        return (
            self.failure is None
            and self.result is None
            and self.decided is None
            and self.stored is None
            and not (self.unknown or self.columns or self.fields)
        )


class SliceDone(Struct, array_like=True, tag=14):
    """From a worker: how a slice ended."""

    key: Key
    seconds: float
    done: int
    outputs: list[NewOutput]
    failure: str | None
    decided: Decision | None = None
    """What it means for the job; then a slice without a failure that is not through is queued again."""
    unknown: bool = False
    """Whether the worker has no class for it."""
    rejected: int = 0
    """Records that were rejected."""
    statistics: dict[str, int] = {}
    """What user code counted."""
    stored: bool | None = None
    """As of `JobDone`."""


class Recalled(Struct, array_like=True, tag=15):
    """From a worker: these were not started, and will not be."""

    keys: list[Key]


class Enqueued(Struct, array_like=True, tag=17):
    """From a worker of a node: what it works on has made a new job."""

    key: Key
    """Of the piece of work that made it."""
    row: JobRow


class Progressed(Struct, array_like=True, tag=18):
    """From a worker of a node: how far what it works on is."""

    key: Key
    job_id: UUID
    value: bytes


class Dump(Struct, array_like=True, tag=8):
    """To a worker: say what each of your threads does."""


class Dumped(Struct, array_like=True, tag=16):
    """From a worker: what each of its threads does, as text."""

    text: str


class Logged(Struct, array_like=True, tag=19):
    """From a worker: the last lines that jobs logged, none of which anything is sealed."""

    lines: list[LogLine]


Task = RunJob | RunHook | RunSlice
Reply = JobDone | SliceDone
TASKS = (RunJob, RunHook, RunSlice)
"""As `Task`, to be asked of every message: asking a union takes ten times as long."""
REPLIES = (JobDone, SliceDone)
"""As `Reply`."""
ToWorker = Setup | RunJob | RunHook | RunSlice | LearnJob | ForgetJob | Recall | Dump
Said = Enqueued | Progressed
FromWorker = Ready | StartFailed | JobDone | SliceDone | Recalled | Dumped | Logged | Enqueued | Progressed
