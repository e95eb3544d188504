"""Actions of people on jobs: the moves they may make, destroy, and run now. On jobs named, or on all that match."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from penstock.errors import InvalidMove, InvalidQuery, JobChanged, JobNotFound, PenstockError, StoreError
from penstock.model.failure import Failure
from penstock.model.job import load_job
from penstock.model.kinds import known_kinds
from penstock.model.moves import move_job
from penstock.model.querying import destroy_job
from penstock.query import Filter, Query
from penstock.service.auditing import Act, acting, target_of_job
from penstock.service.blame import told_of_user_code
from penstock.service.finding import SCHEDULED, Asked, part_of_queued, query_of
from penstock.service.jobs import get_job
from penstock.service.listing import ListAsked, rows_of_list
from penstock.service.people import LOGIN_FIELD, By, may, person_of
from penstock.service.times import iso_text
from penstock.states import TRANSITIONS, Move, State
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

BATCH = 500
"""Jobs that `act_on_list` reaches at once."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a person may do to a job."""

    name: str
    meaning: str
    done: str
    """As a participle: what the jobs are then."""
    act: Callable[[Store, JobRow, str, Act], object]
    states: tuple[State, ...]
    """The states of a job in which it may apply."""

    @property
    def right(self) -> str:
        """What a person must be allowed to do, of those in `people.ROLES`."""
        return f"job.{self.name}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A job that was left as it is, and why."""

    job_id: UUID
    error: PenstockError

    @property
    def reason(self) -> str:
        """Why, in words."""
        return str(self.error)


@dataclass(slots=True)
class Acted:
    """What came of an action on jobs."""

    done: int = 0
    refused: list[Refusal] = field(default_factory=list)
    next: str | None = None
    """Where `act_on_list` goes on; None where nothing is left."""


def act_on_jobs(store: Store, action: str, job_ids: Iterable[UUID], *, by: By, message: str = "") -> Acted:
    """Do something to each of these jobs, each once; one that refuses keeps none of the others back.

    Hooks of a job's class run where it was imported; else those that follow the move are left to a server.

    Args:
        store: The store.
        action: Of `ACTIONS`.
        job_ids: The jobs. One that is not there is refused.
        by: Who does it. What they may not do is refused job by job: some may be their own.
        message: Why they fail, for `fail`.
    """
    acted = Acted()
    for job_id in dict.fromkeys(job_ids):
        _note(acted, job_id, _attempt(store, ACTIONS[action], job_id, message, by))
    return acted


def act_on_all(store: Store, action: str, asked: Asked, *, by: By, message: str = "", most: int | None = None) -> Acted:
    """Do something to all jobs that are asked for, oldest first, and to which it applies. The others are left alone.

    Where the roles of `by` allow it on own jobs only, it is these that are asked for.

    Raises:
        InvalidQuery: what is asked means nothing, or the action never applies in the states asked for.
    """
    acted = Acted()
    query = replace(_applicable(action, asked), newest_first=False)
    if not may(person_of(by), ACTIONS[action].right):
        query = replace(query, filters=(*query.filters, Filter(LOGIN_FIELD, "eq", person_of(by).login)))
    for row in store.find_jobs(query):
        refusal = _attempt(store, ACTIONS[action], row.id, message, by)
        if refusal is None or not isinstance(refusal, JobNotFound):
            _note(acted, row.id, refusal)
    return acted


def act_on_list(store: Store, action: str, asked: ListAsked, *, by: By, message: str = "", most: int = BATCH) -> Acted:
    """Do something to the jobs of a list to which it applies, from `asked.after` on, so many at most.

    `next` is where another call goes on. Jobs that come into the list meanwhile behind that place are reached too.

    Raises:
        InvalidQuery: what is asked means nothing, or the list is asked for in another order than its own.
    """
    if asked.order is not None:
        raise InvalidQuery("jobs of a list are acted on in its own order")
    chosen = ACTIONS[action]
    person, acted = person_of(by), Acted()
    page = rows_of_list(store, replace(asked, limit=min(most, BATCH)))
    for row in page.rows:
        applies = row.state in chosen.states and (action != "run-now" or bool(row.run_at or row.held_until))
        if applies and may(person, chosen.right, row):
            _note(acted, row.id, _attempt(store, chosen, row.id, message, by))
    acted.next = page.next
    return acted


def count_applicable(store: Store, action: str, asked: Asked) -> int:
    """Return to how many jobs `act_on_all` would do it now. Raises as it does."""
    return store.count_jobs(_applicable(action, asked))


def _applicable(action: str, asked: Asked) -> Query:
    query = query_of(replace(asked, order=(), limit=None)).in_states(*ACTIONS[action].states)
    return part_of_queued(query, SCHEDULED) if action == "run-now" else query


def _note(acted: Acted, job_id: UUID, refusal: PenstockError | None) -> None:
    if refusal is None:
        acted.done += 1
    else:
        acted.refused.append(Refusal(job_id, refusal))


def _attempt(store: Store, action: Action, job_id: UUID, message: str, by: By) -> PenstockError | None:
    """Do it and return None, or the reason why it was refused. What the store cannot do comes out."""
    try:
        row = store.job(job_id)
        with (
            acting(store, by, action.right, target_of_job(job_id), job=row) as act,
            told_of_user_code(row.kind if row else "no kind"),
        ):
            action.act(store, get_job(store, job_id), message, act)
    except StoreError:
        raise
    except PenstockError as refusal:
        return refusal
    return None


def _move(move: Move, store: Store, row: JobRow, _: str, act: Act) -> None:
    _moved(store, row, move, None, act)


def _fail(store: Store, row: JobRow, message: str, act: Act) -> None:
    failure = Failure("penstock.JobFailed", message)
    cls = known_kinds().get(row.kind)
    if cls is not None:
        failure = cls.sealed_fields.seal_failure(row.id, failure)
    _moved(store, row, Move.FAIL, {"exception": failure.to_json()}, act)


def _moved(store: Store, row: JobRow, move: Move, given: Mapping[str, Any] | None, act: Act) -> None:
    def note() -> None:
        act.note({"state": row.state}, {"state": get_job(store, row.id).state})

    move_job(store, row.id, move, given, along=note)


def _destroy(store: Store, row: JobRow, _: str, act: Act) -> None:
    before = {"kind": row.kind, "state": row.state}
    if not destroy_job(store, row, along=lambda: act.note(before)):
        raise JobNotFound(f"job {row.id} is gone already")


def _run_now(store: Store, row: JobRow, _: str, act: Act) -> None:
    """Take away what it waits for: `run_at`, and a hold. A job that is due already is left as it is."""
    if row.state is not State.QUEUED:
        raise InvalidMove(f"cannot run now a job that is {row.state}; only one that is queued")
    with store.transaction():
        if row.kind in known_kinds():
            load_job(row).run_now()
        elif not store.update_job(row.id, {"run_at": None, "held_until": None}, expect={"state": State.QUEUED}):
            raise JobChanged(f"job {row.id} was changed by others meanwhile; try again")
        act.note({"run_at": iso_text(row.run_at)}, {"run_at": None})


def _sources(move: Move) -> tuple[State, ...]:
    return tuple(state for state in State if any(row.move is move and row.source is state for row in TRANSITIONS))


def _of_move(move: Move, meaning: str, done: str) -> Action:
    return Action(str(move), meaning, done, _fail if move is Move.FAIL else partial(_move, move), _sources(move))


_LISTED: Sequence[Action] = (
    _of_move(Move.RETRY, "Queue failed jobs again; of a batch job, its failed slices.", "retried"),
    _of_move(Move.PAUSE, "Hold queued jobs, and running batch jobs after the slices that run.", "paused"),
    _of_move(Move.RESUME, "Let paused jobs go on.", "resumed"),
    _of_move(Move.ABORT, "End jobs for good; slices and outputs of batch jobs are dropped.", "aborted"),
    _of_move(Move.FAIL, "Fail jobs, with a message.", "failed"),
    Action("destroy", "Remove jobs, with their slices and outputs.", "destroyed", _destroy, tuple(State)),
    Action("run-now", "Let scheduled jobs start at once.", "due now", _run_now, (State.QUEUED,)),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in _LISTED}
"""What a person may do to jobs, by name."""
