"""Rows as every store gives and takes them. Job ids are `UUID`, moments are aware UTC datetimes."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from penstock.states import SliceState, State, SubState


class JobRow(Struct, array_like=True, gc=False):
    """A stored job. The fields of the user's class are in `fields`, a JSON object as text.

    A struct: very many are made, sent to workers and read there. None holds what could point back at it.
    """

    id: UUID
    kind: str
    batch: bool
    created_at: datetime
    state: State = State.QUEUED
    sub_state: SubState | None = None
    priority: int = 50
    run_at: datetime | None = None
    expires_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    server: str | None = None
    worker: str | None = None
    attempt: int = 0
    failure_count: int = 0
    crash_count: int = 0
    destroy_on_complete: bool = True
    percent_complete: int = 0
    record_count: int | None = None
    draft: bool = False
    """Not to be seen or claimed: its upload is not finished, or it is being destroyed."""
    uploader: str | None = None
    """The process whose upload is going on."""
    exception: str | None = None
    """How it failed, a JSON object as text."""
    result: bytes | None = None
    fields: str = "{}"
    throttled_by: str | None = None
    """Why it does not start, for people."""
    throttled_at: datetime | None = None
    held_until: datetime | None = None
    """Not to be claimed before, whatever `run_at` says."""
    throttle_group: str | None = None
    """Jobs of one group share one limit."""
    limit_name: str | None = None
    """The limit that the running attempt counts against."""
    unique_key: str | None = None
    """No two jobs that are queued, running or paused have the same."""
    pending_hooks: str | None = None
    """Moments whose hooks are still to run, after moves that are committed; separated by spaces."""
    hooks_server: str | None = None
    """Who is running them."""

    def is_expired(self, now: datetime) -> bool:
        """Tell whether the job was to be started before `now`, and was not."""
        return self.state is State.QUEUED and self.expires_at is not None and self.expires_at <= now


class ClaimedSlice(NamedTuple):
    """An input slice that the caller holds now, at this attempt."""

    slice_id: int
    number: int
    attempt: int
    first_record: int
    record_count: int
    done: int
    """Records already processed by an attempt that failed later; work goes on after them."""
    crash_count: int
    """Worker processes that died while they had it."""
    payload: bytes


class NewSlice(NamedTuple):
    """An input slice to store."""

    first_record: int
    record_count: int
    payload: bytes


class NewOutput(NamedTuple):
    """What a slice, or the part of it that was processed, gave for one output category."""

    category: str
    record_count: int
    payload: bytes
    place: tuple[int, int] | None = None
    """The number of the slice and the offset in it of the first record it covers. None: where the attempt began."""


class SliceRow(NamedTuple):
    """An input slice without its payload."""

    slice_id: int
    category: str
    number: int
    state: SliceState
    attempt: int
    first_record: int
    record_count: int
    done: int
    failure_count: int
    crash_count: int
    exception: str | None

    @property
    def failed_record(self) -> int:
        """The number in the job of the first record not processed, from 1; the last one where all are."""
        return self.first_record + min(self.done, self.record_count - 1)


class OutputRow(NamedTuple):
    """A stored output slice. `part` is the offset in the input slice of the first record it covers."""

    number: int
    part: int
    record_count: int
    payload: bytes


class JobSettlement(Struct, frozen=True, gc=False):
    """How a claimed regular job ended. `changes` None deletes the row."""

    id: UUID
    attempt: int
    changes: dict[str, object] | None
    fields: dict[str, object] | None = None
    """Fields of the document to overwrite; the others keep what is stored."""


class SliceSettlement(NamedTuple):
    """How a claimed slice ended: done when `exception` is None, else failed at record `done` + 1."""

    job_id: UUID
    slice_id: int
    category: str
    number: int
    attempt: int
    start: int
    """Records of the slice that were done before this attempt."""
    done: int
    """Records of the slice that are done now."""
    outputs: tuple[NewOutput, ...]
    exception: str | None = None
    rests: bool = False
    """Without an exception: it is queued again, to go on at record `done` + 1."""
    rejected: int = 0
    """Records among those done that were rejected."""
    statistics: Mapping[str, int] = MappingProxyType({})
    """What the job's code counted, to be added up."""


class BatchStanding(NamedTuple):
    """What is left of a batch job's main input."""

    queued: bool
    running: bool
    failed: int

    @property
    def finished(self) -> bool:
        """Tell whether nothing is left that could still succeed by itself."""
        return not (self.queued or self.running)


class Accounts(NamedTuple):
    """Where a batch job's records are, and what its slices say. All counts are of records unless named otherwise."""

    uploaded: int
    queued: int
    running: int
    failed: int
    processed: int
    """Those that were rejected included."""
    outputs: dict[str, int]
    missing_payloads: int
    """Slices without their payload. Anything but 0 is a defect."""
    rejected: int = 0


class Progress(NamedTuple):
    """How far a batch job is, read cheaply."""

    processed: int
    """Records, those that were rejected included."""
    failed_slices: int
    rejected: int = 0
    """Records."""


class ServerRow(NamedTuple):
    """A server as it registered itself."""

    name: str
    host: str
    pid: int
    state: str
    started_at: datetime
    heartbeat: int
    """A counter: a live server raises it every few seconds."""
    processes: int
    slots: int
    command: str | None = None
    """What somebody asked it to do, until it has answered."""
    answer: str | None = None
    """What it said to the last command."""
    kinds: str = "{}"
    """The kinds that its workers know, a JSON object: for each what limits it."""
    holding: int = 0
    """Pieces of work it held at its last heartbeat."""
    nodes: str = "[]"
    """The nodes of a distributor at its last heartbeat, a JSON list of objects; none of a server."""


class KeptInput(NamedTuple):
    """An input slice with its payload, whatever its state."""

    slice_id: int
    category: str
    number: int
    first_record: int
    exception: str | None
    payload: bytes


class KeptOutput(NamedTuple):
    """An output slice with its payload."""

    output_id: int
    category: str
    number: int
    part: int
    payload: bytes


class EntryRow(NamedTuple):
    """A folder that is watched for files, and what is made of those that arrive."""

    name: str
    pattern: str
    kind: str
    """Of the job that each file becomes."""
    properties: str
    """Fields of that job, a JSON object as text."""
    archive: str
    """The folder that files are moved to before they are read."""
    after: str
    """What becomes of a file that has been read: `archive` or `delete`."""
    state: str
    """`pending`, `enabled`, `disabled` or `failed`."""
    error: str | None
    """Why it failed."""
    created_at: datetime


class TableSize(NamedTuple):
    """A table of a store."""

    store: str
    """The URL of the store, without its password."""
    table: str
    rows: int
    bytes: int | None
    """What it takes with its indexes, unused pages included; None where the engine cannot tell."""


class AuditRow(NamedTuple):
    """What a person did, or tried to."""

    id: int
    """Rises with time; given by the store."""
    at: datetime
    who: str
    origin: str | None
    """From where."""
    action: str
    target: str
    before: str | None
    """A JSON object as text."""
    after: str | None
    """A JSON object as text."""
    error: str | None
    """Why it was not done."""


class FigureRow(NamedTuple):
    """What all servers together did in one minute."""

    minute: datetime
    """Its beginning."""
    completed: int = 0
    """Jobs."""
    failed: int = 0
    """Jobs that failed for good."""
    retried: int = 0
    """Jobs that failed and were to be tried again."""
    records: int = 0
    """Records of batch jobs that were processed."""
    failed_slices: int = 0


class LogLine(NamedTuple):
    """Something that a job logged."""

    id: int
    """Rises with time; given by the store."""
    job_id: UUID
    at: datetime
    level: str
    """In lower case."""
    text: str
    record: int | None
    """The record that was performed, from 1."""


class StripPart(NamedTuple):
    """A run of the slices of a job's main input, and what is in it. What is in no state is done."""

    first: int
    """Slice number."""
    last: int
    failed: int | None
    """The number of the first failed slice."""
    queued: int | None
    """The number of the first queued slice; those behind it are queued too, where nothing was retried."""
    running: int
    """How many slices run."""


class TokenRow(NamedTuple):
    """A token of a program that uses the API."""

    name: str
    digest: str
    """What it is hashed to; the token itself is nowhere."""
    login: str
    roles: str
    """A JSON list."""
    created_at: datetime


class AnswerRow(NamedTuple):
    """What a request with an idempotency key was answered."""

    id: str
    request: str
    """What the request is hashed to."""
    created_at: datetime
    status: int | None
    """None while it is being answered."""
    body: str | None
