"""Which jobs a person asks for, in words, and the query that this is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock import clock
from penstock.errors import InvalidQuery
from penstock.model.job import Job
from penstock.model.kinds import known_kinds
from penstock.model.querying import JobQuery
from penstock.query import Filter, Query
from penstock.service.conditions import parse_conditions
from penstock.states import State

QUEUED_NOW, SCHEDULED = "queued_now", "scheduled"
STATES: Mapping[str, str] = {
    **{str(state): f"in this state: {state}" for state in State},
    QUEUED_NOW: "queued, and due",
    SCHEDULED: "queued for a later time",
}
"""What may be asked for as a state, with its meaning: the states, and the two parts of `queued`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which jobs, as a person words it. Without anything: all of them, newest first."""

    states: Sequence[str] = ()
    """Of `STATES`; any of them. The two parts of `queued` go with no other state."""
    kinds: Sequence[str] = ()
    """Any of them."""
    where: Sequence[str] = ()
    """Conditions as `priority__lt=50`, which must all hold."""
    order: Sequence[str] = ()
    """Fields, those that descend with `-` before them. Ties go newest first."""
    limit: int | None = None


def query_of(asked: Asked) -> Query:
    """Return the query for what is asked.

    Conditions on fields of a class are checked by it where one kind is asked for, and its class was imported;
    otherwise their values are compared as they are typed.

    Raises:
        InvalidQuery: a state, a field or an operator is unknown, or a value does not fit.
    """
    cls = _class_of(asked.kinds)
    query = _in_states(Query(kinds=tuple(asked.kinds), newest_first=True, limit=asked.limit), asked.states)
    query = replace(query, filters=query.filters + parse_conditions(asked.where, cls))
    if cls is None or not asked.order:
        return replace(query, order=tuple(asked.order))
    return JobQuery(cls, query).order_by(*asked.order).asked


def is_unchecked(asked: Asked) -> bool:
    """Tell whether there are conditions that no class has checked."""
    return bool(asked.where) and _class_of(asked.kinds) is None


def _class_of(kinds: Sequence[str]) -> type[Job] | None:
    return known_kinds().get(kinds[0]) if len(kinds) == 1 else None


def _in_states(query: Query, states: Sequence[str]) -> Query:
    for name in states:
        if name not in STATES:
            raise InvalidQuery(f"there is no state {name!r}; known: {', '.join(STATES)}")
    wanted = set(states)
    if {QUEUED_NOW, SCHEDULED} <= wanted:
        wanted = wanted - {QUEUED_NOW, SCHEDULED} | {str(State.QUEUED)}
    if State.QUEUED in wanted:
        wanted -= {QUEUED_NOW, SCHEDULED}
    part = wanted & {QUEUED_NOW, SCHEDULED}
    if not part:
        return replace(query, states=tuple(state for state in State if state in wanted))
    if len(wanted) > 1:
        raise InvalidQuery(f"{part.pop()} is a part of queued, and goes with no other state: ask for it alone")
    return part_of_queued(query, part.pop())


def part_of_queued(query: Query, part: str) -> Query:
    """Return the query narrowed to `queued_now` or `scheduled`."""
    now = clock.now()
    queued = replace(query, states=(State.QUEUED,))
    if part == QUEUED_NOW:
        return replace(queued, due_by=now)
    return replace(queued, filters=(*queued.filters, Filter("run_at", "gt", now)))
