"""`Job`: one piece of work, as its class declares it and a store keeps it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from msgspec.structs import asdict, replace

from penstock import clock
from penstock.errors import DuplicateJob, JobNotFound
from penstock.model import storing
from penstock.model.attempt import attempt, run_hooks
from penstock.model.attempted import AttemptedJob
from penstock.model.failure import Failure
from penstock.model.kinds import find_class
from penstock.model.moves import move_stored, standing_of
from penstock.model.querying import QueryOfClass
from penstock.model.record import COLUMN_FIELDS, read_record
from penstock.model.schemas import UNCHANGED
from penstock.model.waiting import wait_for_end
from penstock.records import encode_value
from penstock.states import UNIQUE_STATES, Move, State, changes, find_transition, transition
from penstock.store import Store, current_store
from penstock.store.rows import JobRow

__all__ = ["COLUMN_FIELDS", "Job", "load_as", "load_job"]

_UNCHANGING = frozenset({str, int, float, bool, bytes, type(None), Decimal, UUID, datetime, date, time, timedelta})


class Job(AttemptedJob, abstract=True):
    """One piece of work: subclass it, annotate its fields, write `perform`.

    An inherited field's default is overridden by a plain assignment in the class body: `priority = 30`.
    """

    everything: ClassVar[bool] = True
    """Only in the body of `Job` and `BatchJob`: their own `query` means jobs of all kinds, imported or not."""
    query: ClassVar[QueryOfClass] = QueryOfClass()
    """The stored jobs of this class and its subclasses."""

    answers: ClassVar[bool] = False
    """Whether somebody may wait for what `perform` returns: it is told also where the job is destroyed, goes on later,
    or has aborted itself."""
    kept_of_failures: ClassVar[tuple[str, ...]] = ()
    """Fields that are stored when an attempt has failed although what else it changed cannot be."""

    in_store_transaction: ClassVar[bool] = False
    """Whether `perform` works in a transaction of the store's, which also stores that the job is done."""

    # Work ----------------------------------------------------------------------------------------

    def perform(self) -> Any:
        """Do the work. Every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no perform method")

    def perform_now(self) -> Any:
        """Run the job here and now, in memory, and return what `perform` returned.

        All hooks but those of storing run. Nothing is stored and no throttle is asked. What `perform` or a hook
        raises comes out, and the job is failed then, whatever it says about retries.

        Raises:
            pydantic.ValidationError: a field that was changed in place is not valid.
        """
        self.check_fields()
        with self.performed_here():
            return self._perform_here()

    def _perform_here(self) -> Any:
        self._move_in_memory(Move.START)
        verdict = attempt(self, asks_throttles=False)
        if verdict.error is not None:
            self._move_in_memory(Move.FAIL, {"exception": verdict.failure.to_json() if verdict.failure else None})
            run_hooks(self, "after_fail")
            raise verdict.error
        if self.state is State.RUNNING:
            self._move_in_memory(Move.COMPLETE)
        self.__dict__["percent_complete"] = self.row.percent_complete
        run_hooks(self, f"after_{verdict.move}")
        return verdict.value

    def performing(self) -> Callable[[], Any]:
        """Return what runs `perform` to its end, also where it is `async`."""
        return self._perform_async if self.is_async else self.perform

    def _perform_async(self) -> Any:
        from penstock.model.event_loop import finish_within

        return finish_within(self.perform(), self.timeout)

    def snooze(self, seconds: float | timedelta | None = None, *, until: datetime | None = None) -> None:
        """Have the job queued again, to run later: `return self.snooze(60)` from inside `perform`.

        It is no failure and counts as none. What `perform` returns is dropped.

        Args:
            seconds: How long from now.
            until: The moment instead, an aware datetime.

        Raises:
            InvalidMove: the job is not running.
            TypeError: neither or both are given.
        """
        if (seconds is None) is (until is None):
            raise TypeError("snooze() takes either seconds or until=")
        pause = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds or 0)
        self._move(Move.REQUEUE, {"run_at": until or clock.now() + pause})

    # What plug-ins answer ------------------------------------------------------------------------

    def plan_retry(self, error: BaseException) -> datetime | None:
        """Return when to try again after `error`, or None to let the job fail. `Retry` answers this."""
        del error
        return None

    def will_be_retried(self) -> bool:
        """Tell whether a job that has failed is about to be tried again by itself. `Retry` answers this."""
        return False

    def closed_until(self) -> tuple[datetime, str] | None:
        """Return until when the job may not start, with the reason, or None. `ProcessingWindow` answers this."""
        return None

    def slices_closed_until(self) -> tuple[datetime, str] | None:
        """Return until when no slice of the job may begin, with the reason, or None. `ThrottleWindows` answers this."""
        return None

    @classmethod
    def may_be_held_back(cls) -> bool:
        """Tell whether a job of the class may have to wait although a server has claimed it."""
        return super().may_be_held_back() or cls.closed_until is not Job.closed_until

    # Storing -------------------------------------------------------------------------------------

    @classmethod
    def create(cls, *, connection: Any = None, **values: Any) -> Self:
        """Make a job, validated, saved and queued.

        Args:
            connection: A connection of the caller's, in whose transaction the job is stored; see `save`.
            values: The fields.

        Raises:
            pydantic.ValidationError: a value does not fit; the field is named.
            DuplicateJob: a job with its unique key is queued, running or paused.
            WrongConnection: the connection cannot be used for it.
        """
        job = cls(**values)
        job.save(connection=connection)
        return job

    @classmethod
    def create_many(cls, jobs: Iterable[Self | Mapping[str, Any]], *, connection: Any = None) -> list[Self]:
        """Make and save many jobs in one transaction, with `connection` that of the caller: all or none."""
        made = [job if isinstance(job, cls) else cls(**job) for job in jobs]  # type: ignore[arg-type]
        store = current_store()
        with storing.joined(store, connection):
            storing.save_new(store, made, indexes=connection is None)
        return made

    @classmethod
    def ensure(cls, *, connection: Any = None, **values: Any) -> Self:
        """Return the job of this class with these values that is queued, running or paused; create it where none is.

        For schedules: safe on every start and every deploy. What somebody changed on the present one stays. With a
        `connection` others who ensure jobs of the class wait for the end of its transaction.
        """
        store = current_store()
        wanted = cls(**values)
        with storing.joined(store, connection), store.transaction():
            store.take_turns(f"ensure {cls.kind}")
            present = next((job for job in cls._waiting() if all(_same(job, wanted, name) for name in values)), None)
            if present is not None:
                return present
            try:
                return wanted.save()
            except DuplicateJob:
                row = storing.holder_of(store, wanted.unique_key() or "")
                if row is None or row.kind != cls.kind:
                    raise
                return load_as(cls, row)

    def save(self, *, connection: Any = None) -> Self:
        """Store the job: a new one is queued; of a stored one, only the fields this copy changed are written.

        Args:
            connection: A connection of the caller's to the store's database: of sqlite3, psycopg, SQLAlchemy or Django,
                or a session of SQLAlchemy. The job is stored if and only if its transaction is committed, which is left
                to the caller. All hooks run before that. After a rollback this copy is of no use any more.

        Raises:
            WrongConnection: the connection is none of these, leads to another database, or commits by itself and has no
                transaction open.
            pydantic.ValidationError: a field is not valid; nothing is stored.
            DuplicateJob: a job with its unique key is queued, running or paused.
            UnstorableValue: the fields are larger than `max_document`.
            JobNotFound: a stored job was destroyed meanwhile.
        """
        store = current_store()
        with storing.joined(store, connection):
            if self._stored:
                storing.save_changes(store, self)
            else:
                storing.save_new(store, [self], indexes=connection is None)
        return self

    def update(self, *, connection: Any = None, **values: Any) -> Self:
        """Set fields, all checked before the first is set, and save."""
        unchanged = type(self).model_fields.keys() - values.keys()
        checked = type(self).model_validate({**self._values(), **values}, context={UNCHANGED: unchanged})
        for name in values:
            self.__dict__[name] = getattr(checked, name)
        return self.save(connection=connection)

    def delete(self) -> None:
        """Remove the job, with slices and outputs, without running hooks."""
        current_store().destroy_job(self.id)
        self._stored = False

    def destroy(self) -> None:
        """Remove the job, with slices and outputs."""
        storing.destroy(current_store(), self)

    def reload(self) -> Self:
        """Read the job again; changes of this copy that were not saved are lost.

        A job that was destroyed on completion becomes completed, 100 percent.

        Raises:
            JobNotFound: it is gone, and was not to be destroyed on completion.
        """
        row = current_store().job(self.id)
        if row is None or (row.draft and row.uploader is None):  # Gone, or on its way out.
            if not (self._stored and self.destroy_on_complete):
                raise JobNotFound(f"there is no job {self.id}")
            self.row.state, self.row.sub_state = State.COMPLETED, None
            self.__dict__["percent_complete"] = 100
            return self
        self.take_row(row)
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job is completed, failed or aborted, and return it, read again.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            WaitTimeout: it has not ended in time.
            JobNotFound: somebody destroyed it.
        """
        wait_for_end(self, timeout)
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
        failure = self.sealed_fields.seal_failure(self.id, Failure("penstock.JobFailed", message))
        return self._move(Move.FAIL, {"exception": failure.to_json()})

    def complete(self) -> Self:
        """Complete a running job: what is left of it is not done."""
        return self._move(Move.COMPLETE)

    def run_now(self) -> Self:
        """Let a job that is scheduled, or held until a moment to come, start at once; others are left as they are."""
        if self.row.held_until is not None and self.is_stored:
            current_store().update_job(self.id, {"held_until": None})
            self.row.held_until = None
        return self if self.run_at is None else self.update(run_at=None)

    def _move(self, move: Move, given: Mapping[str, Any] | None = None) -> Self:
        if self.is_kept and self._attempt is None:
            move_stored(current_store(), self, move, given)
            return self
        chosen = transition(move, standing_of(self.row))
        run_hooks(self, f"before_{move}")
        if self._attempt is not None and self._attempt.row is None:
            self._attempt.row = replace(self.row)
        self._change_row(changes(chosen, asdict(self.row), now=clock.now(), given=given))
        if self._attempt is None:
            run_hooks(self, f"after_{move}")
        else:
            self._attempt.note(move, given or {})
        return self

    def _move_in_memory(self, move: Move, given: Mapping[str, Any] | None = None) -> None:
        chosen = transition(move, standing_of(self.row))
        self._change_row(changes(chosen, asdict(self.row), now=clock.now(), given=given))

    def _change_row(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self.row, name, value)

    # For those who store, upload and perform jobs ------------------------------------------------

    def check_fields(self) -> None:
        """Check all fields, those that were changed in place too, and convert them as when they are set.

        Raises:
            pydantic.ValidationError: one is not valid.
        """
        # What cannot be changed in place was checked when it was set.
        if not _UNCHANGING.issuperset(map(type, self.__dict__.values())):
            context = {UNCHANGED: type(self).model_fields.keys()}
            self.__dict__.update(type(self).model_validate(self._values(), context=context).__dict__)

    def check_storable(self, value: Any) -> None:
        """Check that what `perform` returned and left in the fields can be stored, while what is around it can undo it.

        Raises:
            UnstorableValue: it cannot.
        """
        if self.batch or not self.is_kept or "around_perform" not in self.hooks:
            return
        self.stored_document()
        if self.collect_output and value is not None:
            encode_value(value)

    def note_stored(self) -> None:
        """Note that the store has the job now."""
        private = self.__pydantic_private__
        assert private is not None
        private["_stored"] = True

    def note_written(self) -> None:
        """Note that the store has what this copy has."""
        self.row.draft, self.row.uploader = False, None
        self._take_over_values()

    def store_draft(self, store: Store, uploader: str) -> None:
        """Store the job out of sight, for an upload that is not finished."""
        self.row.draft, self.row.uploader = True, uploader
        store.insert_jobs([storing.prepare_new(self)])
        self._stored = True

    def drop_draft(self, store: Store) -> None:
        """Remove the draft and all that was uploaded; the job is as new."""
        store.destroy_job(self.id)
        self.start_over()

    def start_over(self) -> None:
        """Become a new job with the same id and fields, for one whose stored form is gone."""
        self._row = JobRow(id=self.id, kind=self.kind, batch=self.batch, created_at=self.created_at)
        self._stored = False

    @classmethod
    def _waiting(cls) -> "Iterable[Self]":
        return cls.query.of_this_kind_only().in_states(*UNIQUE_STATES)


def load_job(row: JobRow) -> Job:
    """Return the job of a stored row. Fields that its class no longer has are left out.

    Raises:
        UnknownKind: its class was not imported.
        pydantic.ValidationError: its class no longer accepts what is stored.
    """
    return load_as(find_class(row.kind), row)


J = TypeVar("J", bound=Job)


def load_as(cls: type[J], row: JobRow) -> J:
    """Return the job of a stored row as an instance of `cls`."""
    job = read_record(cls, row)
    if "after_init" in cls.hooks:
        run_hooks(job, "after_init")
    return job


def _same(job: Job, wanted: Job, name: str) -> bool:
    return bool(getattr(job, name) == getattr(wanted, name))
