"""Rows as every store gives and takes them. Job ids are `UUID`, moments are aware UTC datetimes."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from penstock.states import SliceState, State, SubState


@dataclass(slots=True)
class JobRow:
    """A stored job. The fields of the user's class are in `fields`, a JSON object as text."""

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
        """The number in the job of the first record not processed, from 1."""
        return self.first_record + self.done


class OutputRow(NamedTuple):
    """A stored output slice. `part` is the offset in the input slice of the first record it covers."""

    number: int
    part: int
    record_count: int
    payload: bytes


class JobSettlement(NamedTuple):
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
    outputs: dict[str, int]
    missing_payloads: int
    """Slices without their payload. Anything but 0 is a defect."""


class Progress(NamedTuple):
    """How far a batch job is, read cheaply."""

    processed: int
    failed_slices: int


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
