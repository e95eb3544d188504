"""`SomeJob.query`: stored jobs of a class, narrowed step by step, counted, read or moved in bulk."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from penstock import clock
from penstock.errors import DuplicateJob, InvalidMove, InvalidQuery, JobNotFound
from penstock.model.comparing import comparable, is_decimal
from penstock.model.kinds import known_kinds
from penstock.model.moves import move_job
from penstock.query import COLUMNS, Filter, Query
from penstock.states import Move, State
from penstock.store import Store, current_store
from penstock.store.rows import JobRow

if TYPE_CHECKING:
    from penstock.model.job import Job

J = TypeVar("J", bound="Job")


class JobQuery(Generic[J]):
    """Stored jobs of a class. Each step gives a new query; nothing is read before it is asked for."""

    def __init__(self, cls: type[J], query: Query) -> None:
        self._cls = cls
        self._query = query

    @property
    def asked(self) -> Query:
        """What is asked, as a value that a store understands."""
        return self._query

    def where(self, **conditions: Any) -> "JobQuery[J]":
        """Narrow by conditions such as `username="ada"` or `priority__lt=50`; see `penstock.query.OPERATORS`."""
        for text in conditions:
            self._refuse_unknown(text.partition("__")[0])
        return self._with(self._query.where(self._stored_value, **conditions))

    def in_states(self, *states: State | str) -> "JobQuery[J]":
        """Narrow to jobs in one of these states."""
        return self._with(self._query.in_states(*map(State, states)))

    def of_this_kind_only(self) -> "JobQuery[J]":
        """Leave subclasses out."""
        kinds = tuple(kind for kind, found in known_kinds().items() if found is self._cls)
        return self._with(replace(self._query, kinds=(self._cls.kind, *kinds)))

    @property
    def scheduled(self) -> "JobQuery[J]":
        """Those queued for a later time."""
        return self.queued.where(run_at__gt=clock.now())

    @property
    def queued_now(self) -> "JobQuery[J]":
        """Those queued and due."""
        return self._with(replace(self.queued._query, due_by=clock.now()))

    @property
    def queued(self) -> "JobQuery[J]":
        """Those waiting, scheduled ones too."""
        return self.in_states(State.QUEUED)

    @property
    def running(self) -> "JobQuery[J]":
        """Those being worked on."""
        return self.in_states(State.RUNNING)

    @property
    def paused(self) -> "JobQuery[J]":
        """Those held by a person."""
        return self.in_states(State.PAUSED)

    @property
    def completed(self) -> "JobQuery[J]":
        """Those done and kept."""
        return self.in_states(State.COMPLETED)

    @property
    def failed(self) -> "JobQuery[J]":
        """Those that failed."""
        return self.in_states(State.FAILED)

    @property
    def aborted(self) -> "JobQuery[J]":
        """Those ended by a person."""
        return self.in_states(State.ABORTED)

    def newest_first(self) -> "JobQuery[J]":
        """Turn the order round: oldest first is the usual one."""
        return self._with(replace(self._query, newest_first=True))

    def order_by(self, *names: str) -> "JobQuery[J]":
        """Order by fields, `-priority` for descending; ties by age. What is not set comes first, or last descending.

        Raises:
            InvalidQuery: the class has no such field, or it is encrypted.
        """
        for name in names:
            self._refuse_unknown(name.removeprefix("-"))
        decimals = frozenset(name for name in names if is_decimal(self._cls, name.removeprefix("-")))
        return self._with(replace(self._query, order=names, decimals=decimals))

    def iterate(self) -> Iterator[J]:
        """Read the jobs, a page at a time, as iterating the query does."""
        return iter(self)

    def limit(self, count: int) -> "JobQuery[J]":
        """Read at most `count` jobs."""
        return self._with(replace(self._query, limit=count))

    def __iter__(self) -> Iterator[J]:
        """Read the jobs, a page at a time."""
        from penstock.model.job import load_job

        for row in current_store().find_jobs(self._query):
            yield load_job(row)  # type: ignore[misc]

    def first(self) -> J | None:
        """Return the first job, or None."""
        return next(iter(self.limit(1)), None)

    def last(self) -> J | None:
        """Return the last job, or None."""
        order = tuple(name[1:] if name.startswith("-") else f"-{name}" for name in self._query.order)
        return self._with(replace(self._query, newest_first=not self._query.newest_first, order=order)).first()

    def count(self) -> int:
        """Return how many jobs there are; `limit` does not count."""
        return current_store().count_jobs(self._query)

    def exists(self) -> bool:
        """Tell whether there is any job."""
        return next(current_store().find_jobs(replace(self._query, limit=1)), None) is not None

    def counts(self) -> dict[State, int]:
        """Return the number of jobs of each state that has any."""
        return current_store().count_by_state(self._query)

    def retry(self) -> int:
        """Retry every job it applies to; returns how many."""
        return self._move_all(Move.RETRY)

    def pause(self) -> int:
        """Pause every job it applies to; returns how many."""
        return self._move_all(Move.PAUSE)

    def resume(self) -> int:
        """Resume every job it applies to; returns how many."""
        return self._move_all(Move.RESUME)

    def abort(self) -> int:
        """Abort every job it applies to; returns how many."""
        return self._move_all(Move.ABORT)

    def destroy(self) -> int:
        """Remove every job; returns how many."""
        return self._each(destroy_job)

    def update(self, **values: Any) -> int:
        """Set fields of every job, each with its hooks and checks; returns how many.

        Raises:
            pydantic.ValidationError: a value does not fit a job; those before it are changed.
            UnknownKind: the class of a job was not imported.
        """
        from penstock.model.job import load_job

        return self._each(lambda _, row: load_job(row).update(**values))

    def _move_all(self, move: Move) -> int:
        return self._each(lambda store, row: move_job(store, row.id, move))

    def _each(self, act: Callable[[Store, Any], object]) -> int:
        store = current_store()
        done = 0
        for row in store.find_jobs(self._query):
            try:
                done += bool(act(store, row))
            except (InvalidMove, JobNotFound, DuplicateJob):
                continue  # It moved on between being read and being reached: not one of those asked for any more.
        return done

    def _with(self, query: Query) -> "JobQuery[J]":
        return JobQuery(self._cls, query)

    def _refuse_unknown(self, name: str) -> None:
        if name in self._cls.sealed_fields.names:
            raise InvalidQuery(f"{self._cls.__name__}.{name} is encrypted: the store cannot compare it")
        if name not in COLUMNS and name not in self._cls.model_fields:
            known = ", ".join(sorted(COLUMNS | set(self._cls.model_fields)))
            raise InvalidQuery(f"{self._cls.__name__} has no field {name!r}; known: {known}")

    def _stored_value(self, name: str, value: Any) -> Any:
        if name not in COLUMNS:
            return comparable(self._cls, name, value)
        info = self._cls.model_fields.get(name)
        annotation: Any = info.annotation if info else get_type_hints(JobRow)[name]
        try:
            return TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            raise InvalidQuery(f"where({name}=…): {value!r}: {error.errors()[0]['msg']}") from None


def destroy_job(store: Store, row: JobRow, *, along: Callable[[], object] = lambda: None) -> bool:
    """Remove a stored job, with the hooks of its class where that was imported; False when it is gone already.

    `along` is called in the transaction that puts it out of sight.
    """
    from penstock.model.job import load_job
    from penstock.model.storing import destroy, remove

    cls = known_kinds().get(row.kind)
    if cls is None or _DESTROY_HOOKS.isdisjoint(cls.hooks):
        return remove(store, row.id, along)
    destroy(store, load_job(row), along=along)
    return True


_DESTROY_HOOKS = frozenset({"before_destroy", "after_destroy"})


class QueryOfClass:
    """The descriptor behind `SomeJob.query`."""

    def __get__(self, _: object, cls: type[J]) -> JobQuery[J]:
        """Return the query for all stored jobs of the class and its subclasses."""
        if "everything" in vars(cls):  # `Job` and `BatchJob` themselves: jobs of kinds not imported too.
            kinds: tuple[str, ...] = ()
            filters = (Filter("batch", "eq", 1),) if cls.batch else ()
        else:
            # Never empty, which would mean every job: an abstract class may have no subclasses yet.
            kinds = (cls.kind, *(kind for kind, found in known_kinds().items() if issubclass(found, cls)))
            filters = ()
        return JobQuery(cls, Query(kinds=kinds, filters=filters))
