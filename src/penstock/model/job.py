"""`Job`: one piece of work, as its class declares it and a store keeps it."""

import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr

from penstock import clock
from penstock.errors import JobNotFound, WaitTimeout
from penstock.ids import new_id
from penstock.model.failure import Failure, describe, parse_failure
from penstock.model.fields import field, has_fact
from penstock.model.kinds import find_class
from penstock.model.metaclass import JobMeta
from penstock.model.moves import move_job, standing_of
from penstock.model.querying import QueryOfClass
from penstock.states import ENDED, Move, State, SubState, changes, find_transition, transition
from penstock.store import Store, Topic, current_store
from penstock.store.rows import JobRow

COLUMN_FIELDS = ("priority", "run_at", "expires_at", "destroy_on_complete", "percent_complete")
"""Fields of the model that are columns of their own; the others are in the job's document."""

WAIT_CHECK_SECONDS = 1.0
"""How often `wait` looks by itself, in case a wake-up was lost."""


class Job(BaseModel, metaclass=JobMeta, abstract=True):
    """One piece of work: subclass it, annotate its fields, write `perform`.

    An inherited field's default is overridden by a plain assignment in the class body: `priority = 30`.
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        validate_default=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="constants",
    )

    kind: ClassVar[str]
    """The name under which jobs of the class are stored."""
    abstract: ClassVar[bool]
    """True for a class that is only a base for others."""
    hooks: ClassVar[Mapping[str, tuple[str, ...]]]
    """Names of methods for each moment of `penstock.hooks`."""
    batch: ClassVar[bool] = False
    """True for batch jobs."""
    pausable: ClassVar[bool] = False
    """True when a running regular job may be paused: its attempt ends, and `resume` runs it afresh."""
    everything: ClassVar[bool] = True
    """Only in the body of `Job` and `BatchJob`: their own `query` means jobs of all kinds, imported or not."""
    query: ClassVar[QueryOfClass] = QueryOfClass()
    """The stored jobs of this class and its subclasses."""

    description: str | None = field(None, user_editable=True, copy_on_restart=True, description="Free text for people.")
    priority: int = field(
        50,
        ge=1,
        le=100,
        user_editable=True,
        copy_on_restart=True,
        description="1 is the most urgent, 100 the least.",
    )
    destroy_on_complete: bool = field(
        True, copy_on_restart=True, description="Remove the job as soon as it is completed."
    )
    run_at: AwareDatetime | None = field(None, user_editable=True, description="Not to be started before.")
    expires_at: AwareDatetime | None = field(
        None, copy_on_restart=True, description="Destroyed instead of started when this has passed."
    )
    percent_complete: int = field(0, ge=0, le=100, description="Progress; a regular job may set it itself.")
    collect_output: bool = field(False, copy_on_restart=True, description="Keep what `perform` returns.")

    _row: JobRow | None = PrivateAttr(None)
    _stored: bool = PrivateAttr(False)

    # What the store says -------------------------------------------------------------------------

    @property
    def row(self) -> JobRow:
        """The job as it was last read from or written to the store; for a new one, as it will be."""
        if self._row is None:
            self._row = JobRow(id=new_id(), kind=self.kind, batch=self.batch, created_at=clock.now())
        return self._row

    @property
    def id(self) -> UUID:
        """The job's id, given at birth: ids sort in the order of creation."""
        return self.row.id

    @property
    def state(self) -> State:
        """Where the job is in its life, as last read."""
        return self.row.state

    @property
    def sub_state(self) -> SubState | None:
        """Where a running batch job is; None for others."""
        return self.row.sub_state

    @property
    def created_at(self) -> datetime:
        """When the job was made."""
        return self.row.created_at

    @property
    def started_at(self) -> datetime | None:
        """When it was started the last time; None before."""
        return self.row.started_at

    @property
    def completed_at(self) -> datetime | None:
        """When it was completed, failed, paused or aborted; None while it is none of these."""
        return self.row.completed_at

    @property
    def failure_count(self) -> int:
        """How often it has failed."""
        return self.row.failure_count

    @property
    def worker(self) -> str | None:
        """The worker that runs it; None when none does."""
        return self.row.worker

    @property
    def exception(self) -> Failure | None:
        """How it failed; None unless it has."""
        return parse_failure(self.row.exception)

    @property
    def result(self) -> Any:
        """What `perform` returned; None unless the job is completed and its class says `collect_output`."""
        if self.row.result is None:
            return None
        from penstock.records import decode_value

        return decode_value(self.row.result)

    @property
    def scheduled_at(self) -> datetime:
        """When the job was meant to start: `run_at`, else its creation."""
        return self.run_at or self.created_at

    # Work ----------------------------------------------------------------------------------------

    def perform(self) -> Any:
        """Do the work. Every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no perform method")

    def perform_now(self) -> Any:
        """Run the job here and now, in memory, and return what `perform` returned.

        Nothing is stored. What `perform` raises comes out, and the job is failed then.
        """
        self._move_in_memory(Move.START)
        try:
            result = self.perform()
        except BaseException as error:
            self._move_in_memory(Move.FAIL, {"exception": describe(error).to_json()})
            raise
        self._move_in_memory(Move.COMPLETE)
        self.__dict__["percent_complete"] = 100
        return result

    # Storing -------------------------------------------------------------------------------------

    @classmethod
    def create(cls, **values: Any) -> Self:
        """Make a job, validated, saved and queued."""
        job = cls(**values)
        job.save()
        return job

    @classmethod
    def create_many(cls, jobs: Iterable[Self | Mapping[str, Any]]) -> list[Self]:
        """Make and save many jobs in one transaction: all or none."""
        made = [job if isinstance(job, cls) else cls(**job) for job in jobs]  # type: ignore[arg-type]
        current_store().insert_jobs([job._new_row() for job in made])
        for job in made:
            job._stored = True
        return made

    def save(self) -> Self:
        """Store the job: a new one is queued; of a stored one, only the fields this copy changed are written."""
        store = current_store()
        if self._stored and self.row.draft:
            self._publish(store)
        elif self._stored:
            self._write_changes(store)
        else:
            store.insert_jobs([self._new_row()])
            self._stored = True
        return self

    def update(self, **values: Any) -> Self:
        """Set fields, all checked before the first is set, and save."""
        checked = type(self).model_validate({**self._values(), **values})
        for name in values:
            self.__dict__[name] = getattr(checked, name)
        return self.save()

    def delete(self) -> None:
        """Remove the job, with slices and outputs, without running hooks."""
        current_store().destroy_job(self.id)
        self._stored = False

    def destroy(self) -> None:
        """Remove the job, with slices and outputs."""
        self.delete()

    def reload(self) -> Self:
        """Read the job again; changes of this copy that were not saved are lost.

        A job that was destroyed on completion becomes completed, 100 percent.

        Raises:
            JobNotFound: it is gone, and was not to be destroyed on completion.
        """
        row = current_store().job(self.id)
        if row is None:
            if not (self._stored and self.destroy_on_complete):
                raise JobNotFound(f"there is no job {self.id}")
            self.row.state, self.row.sub_state = State.COMPLETED, None
            self.__dict__["percent_complete"] = 100
            return self
        fresh = load_job(row)
        self.__dict__.update(fresh.__dict__)
        self._row, self._stored = row, True
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job is completed, failed or aborted, and return it, read again.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            WaitTimeout: it has not ended in time.
            JobNotFound: somebody destroyed it.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        ended = threading.Event()
        with closing(current_store().listen(Topic.ENDED, ended.set)):
            while self.reload().state not in ENDED:
                left = WAIT_CHECK_SECONDS if deadline is None else deadline - clock.monotonic()
                if left <= 0:
                    raise WaitTimeout(f"job {self.id} is still {self.state} after {timeout:g} s")
                ended.wait(min(left, WAIT_CHECK_SECONDS))
                ended.clear()
        return self

    # Moves ---------------------------------------------------------------------------------------

    def can(self, move: Move | str) -> bool:
        """Tell whether a move applies to the job as last read."""
        return find_transition(Move(move), standing_of(self.row)) is not None

    def retry(self) -> Self:
        """Queue a failed job again; of a batch job, its failed slices."""
        return self._move(Move.RETRY)

    def pause(self) -> Self:
        """Hold a queued job, or a running batch job after the slices that are running."""
        return self._move(Move.PAUSE)

    def resume(self) -> Self:
        """Let a paused job go on."""
        return self._move(Move.RESUME)

    def abort(self) -> Self:
        """End the job for good; a batch job's slices and outputs are dropped."""
        return self._move(Move.ABORT)

    def fail(self, message: str = "") -> Self:
        """Fail the job with a message."""
        return self._move(Move.FAIL, {"exception": Failure("penstock.JobFailed", message).to_json()})

    def run_now(self) -> Self:
        """Let a scheduled job start at once. Does nothing where `run_at` is not set."""
        return self if self.run_at is None else self.update(run_at=None)

    def _move(self, move: Move, given: Mapping[str, Any] | None = None) -> Self:
        if not self._stored:
            self._move_in_memory(move, given)
            return self
        self._row = move_job(current_store(), self.id, move, given)
        return self

    def _move_in_memory(self, move: Move, given: Mapping[str, Any] | None = None) -> None:
        row = self.row
        for name, value in changes(
            transition(move, standing_of(row)), asdict(row), now=clock.now(), given=given
        ).items():
            setattr(row, name, value)

    # Rows ----------------------------------------------------------------------------------------

    @classmethod
    def editable_fields(cls) -> list[str]:
        """Return the names of the fields that a person may change on a stored job."""
        return [name for name, info in cls.model_fields.items() if has_fact(info, "user_editable")]

    def document(self) -> str:
        """Return the fields that are not columns, as JSON."""
        return self.model_dump_json(exclude=set(COLUMN_FIELDS))

    def changed_values(self) -> dict[str, Any]:
        """Return what this copy changed since it was read: columns, and `fields` with part of the document."""
        columns = {
            name: getattr(self, name) for name in COLUMN_FIELDS if getattr(self, name) != getattr(self.row, name)
        }
        document = self.document()
        if document == self.row.fields:
            return columns
        before, now = json.loads(self.row.fields), json.loads(document)
        changed = {name: value for name, value in now.items() if name not in before or before[name] != value}
        return {**columns, "fields": changed} if changed else columns

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def _new_row(self) -> JobRow:
        self._take_over_values()
        return self.row

    def _take_over_values(self) -> None:
        row = self.row
        for name in COLUMN_FIELDS:
            setattr(row, name, getattr(self, name))
        row.fields = self.document()

    def _write_changes(self, store: Store) -> None:
        changed = self.changed_values()
        if changed and not store.update_job(self.id, changed):
            raise JobNotFound(f"job {self.id} was destroyed meanwhile; its changes are not stored")
        self._take_over_values()

    @property
    def is_stored(self) -> bool:
        """Whether the store holds the job, as a draft at least."""
        return self._stored

    def store_draft(self, store: Store, uploader: str) -> None:
        """Store the job out of sight, for an upload that is not finished."""
        self.row.draft, self.row.uploader = True, uploader
        store.insert_jobs([self._new_row()])
        self._stored = True

    def drop_draft(self, store: Store) -> None:
        """Remove the draft and all that was uploaded; the job is as new."""
        store.destroy_job(self.id)
        self.start_over()

    def start_over(self) -> None:
        """Become a new job with the same id and fields, for one whose stored form is gone."""
        self._row = JobRow(id=self.id, kind=self.kind, batch=self.batch, created_at=self.created_at)
        self._stored = False

    def _publish(self, store: Store) -> None:
        """Bring a draft into sight."""
        changed = {**self.changed_values(), "draft": False, "uploader": None}
        if not store.update_job(self.id, changed):
            raise JobNotFound(f"the draft of job {self.id} was dropped; upload again")
        self.row.draft, self.row.uploader = False, None
        self._take_over_values()


def load_job(row: JobRow) -> Job:
    """Return the job of a stored row. Fields that its class no longer has are left out.

    Raises:
        UnknownKind: its class was not imported.
        pydantic.ValidationError: its class no longer accepts what is stored.
    """
    return load_as(find_class(row.kind), row)


def load_as(cls: type[Job], row: JobRow) -> Job:
    """Return the job of a stored row as an instance of `cls`."""
    job = cls.model_validate_json(row.fields, extra="ignore")
    job.__dict__.update({name: getattr(row, name) for name in COLUMN_FIELDS})
    job._row, job._stored = row, True
    return job
