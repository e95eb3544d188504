"""`SomeJob.query`: stored jobs of a class, narrowed step by step, counted, read or moved in bulk."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from penstock.errors import InvalidMove, InvalidQuery, JobNotFound
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

    def where(self, **conditions: Any) -> "JobQuery[J]":
        """Narrow by conditions such as `username="ada"` or `priority__lt=50`; see `penstock.query.OPERATORS`."""
        for text in conditions:
            self._refuse_unknown(text.partition("__")[0])
        return self._with(self._query.where(self._stored_value, **conditions))

    def in_states(self, *states: State | str) -> "JobQuery[J]":
        """Narrow to jobs in one of these states."""
        return self._with(self._query.in_states(*map(State, states)))

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
        turned = replace(self._query, newest_first=not self._query.newest_first)
        return self._with(turned).first()

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
        return self._each(lambda store, row: store.destroy_job(row.id))

    def _move_all(self, move: Move) -> int:
        return self._each(lambda store, row: move_job(store, row.id, move))

    def _each(self, act: Callable[[Store, Any], object]) -> int:
        store = current_store()
        done = 0
        for row in store.find_jobs(self._query):
            try:
                done += bool(act(store, row))
            except (InvalidMove, JobNotFound):
                continue  # It moved on between being read and being reached: not one of those asked for any more.
        return done

    def _with(self, query: Query) -> "JobQuery[J]":
        return JobQuery(self._cls, query)

    def _refuse_unknown(self, name: str) -> None:
        if name not in COLUMNS and name not in self._cls.model_fields:
            known = ", ".join(sorted(COLUMNS | set(self._cls.model_fields)))
            raise InvalidQuery(f"{self._cls.__name__} has no field {name!r}; known: {known}")

    def _stored_value(self, name: str, value: Any) -> Any:
        info = self._cls.model_fields.get(name)
        annotation: Any = info.annotation if info else get_type_hints(JobRow)[name]
        try:
            checked = TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            raise InvalidQuery(f"where({name}=…): {value!r}: {error.errors()[0]['msg']}") from None
        if name in COLUMNS:
            return checked
        # As the document holds it: a date as text, an enum as its value.
        plain = to_jsonable_python(checked)
        if isinstance(plain, list | dict):
            raise InvalidQuery(f"where({name}=…): lists and dicts cannot be compared")
        return plain


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
