"""What a dispatcher is told of the classes that a process has imported."""

from typing import Any

from penstock.batch.job import BatchJob
from penstock.batch.rates import seconds_per_record
from penstock.model.job import Job
from penstock.model.kinds import known_kinds
from penstock.server.messages import KindFacts


def facts_of_kinds() -> list[KindFacts]:
    """Return the facts of every kind that a class was imported for, aliases included."""
    return [facts_of(kind, cls) for kind, cls in known_kinds().items()]


def facts_of(kind: str, cls: type[Job]) -> KindFacts:
    """Return the facts of a kind that a class serves."""
    hooks = set(cls.hooks)
    if cls.batch and cls.may_be_held_back():
        hooks.add("before_start")  # So that a worker is asked before the first slice.
    limit = cls.throttle_running_jobs
    return KindFacts(
        kind=kind,
        batch=cls.batch,
        hooks=sorted(hooks),
        name=cls.kind,
        limit=limit if limit is not None and limit > 0 else None,
        depends_on=list(cls.dependent_jobs),
        sealed=bool(cls.sealed_fields.names) or (issubclass(cls, BatchJob) and _seals_records(cls)),
        on_loop=runs_on_loop(cls),
        answers=cls.answers,
        rate=seconds_per_record(cls.rate_limit) if issubclass(cls, BatchJob) and cls.rate_limit else None,
    )


_ON_SLOTS = frozenset(
    {"before_start", "after_start", "before_perform", "around_perform", "after_perform", "before_complete"}
    | {"before_fail", "before_abort", "before_requeue"}
)
"""Hooks that are called during an attempt: they may block, so a job that has any takes a slot."""


def runs_on_loop(cls: type[Job]) -> bool:
    """Tell whether all that an attempt at a job of this class calls is `async`."""
    return not cls.batch and cls.is_async and not cls.may_be_held_back() and _ON_SLOTS.isdisjoint(cls.hooks)


def _seals_records(cls: type[BatchJob]) -> bool:
    """Tell whether records of jobs of a class are sealed, by the class or a category that it declares."""
    if cls.encrypt:
        return True
    defaults: list[Any] = [cls.model_fields["input_category"].get_default(call_default_factory=True)]
    defaults += cls.model_fields["output_categories"].get_default(call_default_factory=True) or []
    return any(getattr(category, "encrypt", False) for category in defaults)
