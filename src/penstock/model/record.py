"""`JobRecord`: the fields of a job, what the store says of it, and its form as a row."""

import json
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr
from pydantic_core import to_jsonable_python

from penstock import clock, tracing
from penstock.config import settings
from penstock.errors import UnstorableValue
from penstock.hooks import Throttle
from penstock.ids import new_id
from penstock.model.document import write_document
from penstock.model.failure import Failure, parse_failure
from penstock.model.fields import field, fields_with, fill_late_defaults
from penstock.model.metaclass import JobMeta
from penstock.model.sealing import SealedFields, opened_message
from penstock.model.unique import unique_key_of
from penstock.states import State, SubState
from penstock.store.rows import JobRow

COLUMN_FIELDS = (
    "priority", "run_at", "expires_at", "destroy_on_complete", "percent_complete", "throttle_group",
)  # fmt: skip
"""Fields of the model that are columns of their own; the others are in the job's document."""

LogLevel = Literal["trace", "debug", "info", "warning", "error", "critical"]


class JobRecord(BaseModel, metaclass=JobMeta, abstract=True):
    """What a job is; `Job` adds what it does."""

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        validate_default=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        # As text: SQLite's JSON functions refuse a bare NaN.
        ser_json_inf_nan="strings",
        # A field with an alias is stored under its name.
        validate_by_name=True,
        validate_by_alias=True,
    )

    kind: ClassVar[str]
    """The name under which jobs of the class are stored."""
    abstract: ClassVar[bool]
    """True for a class that is only a base for others."""
    hooks: ClassVar[dict[str, tuple[str, ...]]]
    """Names of methods for each moment of `penstock.hooks`."""
    throttles: ClassVar[tuple[Throttle, ...]]
    """Conditions that hold jobs of the class back; see `penstock.hooks.throttle`."""
    late_defaults: ClassVar[dict[str, Callable[[Any], Any]]]
    """Defaults that are made from the job once its other fields are set."""
    sealed_fields: ClassVar[SealedFields]
    is_async: ClassVar[bool] = False
    """Whether `perform` is a coroutine function."""
    """The fields that are stored sealed."""
    batch: ClassVar[bool] = False
    """True for batch jobs."""
    pausable: ClassVar[bool] = False
    """True when a running regular job may be paused: its attempt ends, and `resume` runs it afresh."""
    throttle_running_jobs: ClassVar[int | None] = None
    """How many jobs of the class, or of its throttle group, may run at once in the whole store. None: any number."""
    dependent_jobs: ClassVar[tuple[str, ...] | list[str]] = ()
    """Kinds that must not run when a job of this class starts: it waits as long as any job of them does."""
    unique_by: ClassVar[tuple[str, ...] | list[str] | None] = None
    """Fields of which no two jobs that are queued, running or paused may have the same values; () for one job of
    the kind; None for no such rule."""

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
    log_level: LogLevel | None = field(
        None, user_editable=True, copy_on_restart=True, description="The level of its log lines; None: the server's."
    )
    timeout: float | None = field(
        None,
        gt=0,
        user_editable=True,
        copy_on_restart=True,
        description="Seconds that one call of `perform` may take.",
    )
    throttle_group: str | None = field(
        None,
        min_length=1,
        user_editable=True,
        copy_on_restart=True,
        description="Jobs of one group share the limit of `throttle_running_jobs`.",
    )

    _row: JobRow | None = PrivateAttr(None)
    _stored: bool = PrivateAttr(False)
    _as_stored: str = PrivateAttr("{}")
    """The document as it was last read or written, opened where it is sealed."""

    # What the store says -------------------------------------------------------------------------

    @property
    def row(self) -> JobRow:
        """The job as it was last read from or written to the store; for a new one, as it will be."""
        private = self.__pydantic_private__
        assert private is not None
        row: JobRow | None = private["_row"]  # Not self._row: pydantic takes a microsecond for that.
        if row is None:
            row = private["_row"] = JobRow(id=new_id(), kind=self.kind, batch=self.batch, created_at=clock.now())
        return row

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
        """How it failed; None unless it has. It stays to be seen while the job waits for an automatic retry."""
        failure = parse_failure(self.row.exception)
        if failure is not None:
            failure.message = opened_message(self.id, failure.message)
        return failure

    def describe(
        self, error: BaseException, *, worker_name: str | None = None, record_number: int | None = None
    ) -> Failure:
        """Return an exception of this job as data; its message sealed where a field of the job is."""
        return self.sealed_fields.describe(self.id, error, worker_name=worker_name, record_number=record_number)

    @property
    def throttled_by(self) -> str | None:
        """Why it waits although it is due; None when nothing held it back so far."""
        return self.row.throttled_by

    @property
    def result(self) -> Any:
        """What `perform` returned; None unless the job is completed and its class says `collect_output`."""
        if self.row.result is None:
            return None
        from penstock.records import decode_value

        return decode_value(self.row.result)

    @property
    def scheduled_at(self) -> datetime:
        """When the job was meant to start: `run_at`, else its creation. Use it rather than the time of day."""
        return self.run_at or self.created_at

    @property
    def elapsed_seconds(self) -> float:
        """How long it ran, runs, or has been waiting since it was made."""
        end = self.completed_at if self.state is State.COMPLETED and self.completed_at else clock.now()
        return (end - (self.started_at or self.created_at)).total_seconds()

    @property
    def is_expired(self) -> bool:
        """Whether `expires_at` has passed."""
        return self.expires_at is not None and self.expires_at <= clock.now()

    @property
    def is_scheduled(self) -> bool:
        """Whether it is queued for a later time."""
        return self.state is State.QUEUED and self.run_at is not None and self.run_at > clock.now()

    @property
    def is_stored(self) -> bool:
        """Whether the store holds the job, as a draft at least."""
        return self._stored

    def status(self, timezone: str | None = None) -> dict[str, Any]:
        """Return the job as plain data for people: times as text in a zone, None left out.

        The moment at which it was completed, failed, paused or aborted comes first, under the name that says which.

        Args:
            timezone: The name of the zone; None takes the `timezone` setting.
        """
        zone = ZoneInfo(timezone or settings().timezone)
        ended: dict[str, Any] = {f"{self.state}_at": self.completed_at} if self.completed_at else {}
        names = ("id", "kind", "state", "sub_state", "created_at", "started_at", "failure_count", "worker", "exception")
        told = ended | {name: getattr(self, name) for name in names} | {"throttled_by": self.throttled_by}
        told |= {name: getattr(self, name) for name in type(self).model_fields if name not in self.sealed_fields.names}
        if self.state is State.COMPLETED:
            told |= {"result": self.result, "percent_complete": None}
        return {
            name: _for_people(value, zone)
            for name, value in told.items()
            if value is not None and not (name == "failure_count" and value == 0)
        }

    # Rows ----------------------------------------------------------------------------------------

    @classmethod
    def editable_fields(cls) -> list[str]:
        """Return the names of the fields that a person may change on a stored job."""
        return fields_with(cls, "user_editable")

    @classmethod
    def indexed_fields(cls) -> list[str]:
        """Return the names of the fields that the store keeps an index of."""
        return fields_with(cls, "indexed")

    @classmethod
    def copied_fields(cls) -> list[str]:
        """Return the names of the fields whose values the next instance of a repeating job gets."""
        return fields_with(cls, "copy_on_restart")

    def unique_key(self) -> str | None:
        """Return the key that no other job which is queued, running or paused may have; None for no such rule."""
        return unique_key_of(self, self.unique_by)

    def document(self) -> str:
        """Return the fields that are not columns, as JSON.

        Raises:
            UnstorableValue: a field holds a value that cannot be stored; it is named.
        """
        return write_document(self, _COLUMNS)

    def stored_document(self) -> str:
        """Return the document as the store gets it: sealed fields sealed.

        Raises:
            UnstorableValue: it is larger than `max_document`.
        """
        document = self.document()
        _refuse_large(type(self).__name__, document)
        return self.sealed_fields.seal(self.id, document)

    def changed_values(self) -> dict[str, Any]:
        """Return what this copy changed since it was read: columns, and `fields` with part of the document."""
        row = self.row
        columns = {name: getattr(self, name) for name in COLUMN_FIELDS if getattr(self, name) != getattr(row, name)}
        key = self.unique_key()
        if key != row.unique_key:
            columns["unique_key"] = key
        document = self.document()
        if document == self._as_stored:
            return columns
        _refuse_large(type(self).__name__, document)
        before, now = json.loads(self._as_stored), json.loads(document)
        changed = {name: value for name, value in now.items() if name not in before or before[name] != value}
        return {**columns, "fields": self.sealed_fields.seal_values(self.id, changed)} if changed else columns

    def new_row(self) -> JobRow:
        """Return the row that stores the job for the first time."""
        self._take_over_values(self.stored_document())
        if tracing.current() is not None and tracing.FIELD not in type(self).model_fields:
            self.row.fields = tracing.with_context(self.row.fields)
        return self.row

    def _take_over_values(self, stored_document: str | None = None) -> None:
        """Note that the store now has what this copy has."""
        row, private = self.row, self.__pydantic_private__
        assert private is not None
        values = self.__dict__
        for name in COLUMN_FIELDS:
            setattr(row, name, values[name])
        row.unique_key = self.unique_key()
        is_plain = stored_document is not None and not self.sealed_fields.names
        private["_as_stored"] = stored_document if is_plain else self.document()
        if stored_document is not None:
            row.fields = stored_document

    def note_field_written(self, name: str) -> None:
        """Note that the store has a field of the document as this copy has it."""
        stored, now = json.loads(self._as_stored), json.loads(self.document())
        self._as_stored = json.dumps({**stored, name: now[name]})

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def take_row(self, row: JobRow) -> None:
        """Become what the store has; changes of this copy that were not saved are lost.

        Fields that the class no longer has are left out.

        Raises:
            pydantic.ValidationError: the class no longer accepts what is stored.
        """
        fresh = read_record(type(self), row)
        self.__dict__.update(fresh.__dict__)
        self._row, self._stored, self._as_stored = row, True, fresh._as_stored


_COLUMNS = set(COLUMN_FIELDS)
_COLUMN_VALUES = attrgetter(*COLUMN_FIELDS)


R = TypeVar("R", bound=JobRecord)


def read_record(cls: type[R], row: JobRow) -> R:
    """Return the record of a stored row as an instance of `cls`."""
    document = cls.sealed_fields.open(row.id, row.fields)
    job: R = cls.__pydantic_validator__.validate_json(document, extra="ignore")
    values = job.__dict__
    for name, value in zip(COLUMN_FIELDS, _COLUMN_VALUES(row), strict=True):
        values[name] = value
    private = job.__pydantic_private__
    assert private is not None
    private["_row"], private["_stored"] = row, True
    # Last: what it is made from is all that is stored.
    if cls.late_defaults:
        fill_late_defaults(job, {*job.model_fields_set, *COLUMN_FIELDS})
    # As this class words it: a field that it has and the stored job has not counts as unchanged.
    private["_as_stored"] = document
    return job


def _refuse_large(name: str, document: str) -> None:
    most = settings().max_document
    # A character takes four bytes at most: nearly every document is passed without a second look.
    if len(document) * 4 > most and (size := len(document.encode())) > most:
        sizes = {key: len(json.dumps(value)) for key, value in json.loads(document).items()}
        largest = max(sizes, key=sizes.__getitem__)
        raise UnstorableValue(
            f"the fields of this {name} take {size:,} bytes and max_document is {most:,}; the largest is {largest} "
            f"with {sizes[largest]:,}: keep such data in a file, or upload it as records of a batch job"
        )


def _for_people(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(" ", "seconds") if value.tzinfo else value.isoformat(" ")
    if isinstance(value, Failure):
        return value.summary
    return to_jsonable_python(value, bytes_mode="base64", fallback=str)
