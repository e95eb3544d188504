"""Hooks: methods of a job class that run at a named moment, declared rather than chained.

Those of a base class and of its subclasses all run: `before_…` in the order of declaration, base class first,
`after_…` in reverse, and of `around_…` the first declared is the outermost. A method counts when it carries the
decorator, or has the name of the moment. The same method name runs once, in its newest definition.

An `around_…` method is a generator with one `yield`; what it wraps runs there, and what that raises is raised there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

HOOKS: "dict[str, Hook]" = {}
"""The moments by name, in the order in which they are listed for people."""
THROTTLE_SECONDS = 5.0
_HOOK, _THROTTLE = "__penstock_hook__", "__penstock_throttle__"


@dataclass(frozen=True)
class Hook:
    """A moment, and the decorator that makes a method run at it."""

    name: str
    meaning: str = field(repr=False)

    def __post_init__(self) -> None:
        HOOKS[self.name] = self

    def __call__(self, method: Method) -> Method:
        """Mark a method, which may carry several marks; it is otherwise left as it is."""
        setattr(method, _HOOK, (*getattr(method, _HOOK, ()), self.name))
        return method


after_init = Hook("after_init", "the job was made or read, all its fields are set")
before_validation = Hook("before_validation", "`save` is about to check all fields: the place to tidy them")
after_validation = Hook("after_validation", "all fields are valid; raise to refuse the job")
before_save = Hook("before_save", "the job is about to be stored, new or not")
after_save = Hook("after_save", "the job is stored")
before_create = Hook("before_create", "a new job is about to be stored, after `before_save`")
after_create = Hook("after_create", "a new job is stored, before `after_save`")
before_update = Hook("before_update", "changes of a stored job are about to be written, after `before_save`")
after_update = Hook("after_update", "changes of a stored job are written, before `after_save`")
before_destroy = Hook("before_destroy", "`destroy` is about to remove the job")
after_destroy = Hook("after_destroy", "`destroy` has removed the job")

before_perform = Hook("before_perform", "`perform` is about to be called, for a batch job with each record")
around_perform = Hook("around_perform", "a generator around each call of `perform`")
after_perform = Hook("after_perform", "`perform` has returned")
before_slice = Hook("before_slice", "a slice is about to be performed")
around_slice = Hook("around_slice", "a generator around each slice")
after_slice = Hook("after_slice", "all records of a slice are performed")
before_batch = Hook("before_batch", "once, before the first slice: the place to upload lazily")
after_batch = Hook("after_batch", "once, after the last slice: the place to download")

before_start = Hook("before_start", "a server has claimed the job and is about to run it")
after_start = Hook("after_start", "the job has started")
before_complete = Hook("before_complete", "all work is done; the job is about to be completed")
after_complete = Hook("after_complete", "the job is stored as completed; one to be destroyed is still there")
before_fail = Hook("before_fail", "the job is about to fail, after its own code raised or somebody failed it")
after_fail = Hook("after_fail", "the job is stored as failed, whatever failed it")
before_retry = Hook("before_retry", "a failed job is about to be queued again")
after_retry = Hook("after_retry", "a failed job is queued again")
before_resubmit = Hook("before_resubmit", "rejected records of a completed batch job are about to come back")
after_resubmit = Hook("after_resubmit", "rejected records of a completed batch job have come back")
before_pause = Hook("before_pause", "the job is about to be paused")
after_pause = Hook("after_pause", "the job is paused")
before_resume = Hook("before_resume", "a paused job is about to go on")
after_resume = Hook("after_resume", "a paused job goes on")
before_abort = Hook("before_abort", "the job is about to be aborted")
after_abort = Hook("after_abort", "the job is aborted; a batch job's slices are gone")
before_requeue = Hook("before_requeue", "a running job is about to be queued again by its own code, as `snooze` does")
after_requeue = Hook("after_requeue", "a running job is queued again: snoozed, or its worker died")


@dataclass(frozen=True)
class Throttle:
    """A condition of a class that holds its jobs, or slices, back as long as it is true."""

    method: str
    """The name of the method that tells."""
    reason: str | Callable[[Any], str]
    kind_wide: bool
    """Whether one job's yes holds all jobs of the kind, or just that one."""
    slices: bool
    """Whether it is asked before each slice of a batch job, rather than before a job starts."""
    seconds: float
    """How long the hold lasts until it is asked again."""


def throttle(
    reason: str | Callable[[Any], str] | None = None,
    *,
    scope: str = "kind",
    slices: bool = False,
    seconds: float = THROTTLE_SECONDS,
) -> Callable[[Method], Method]:
    """Declare a method that tells whether a job must wait. It is asked in a worker, before the job starts.

    Args:
        reason: Shown to people as why the job waits; a function gets the job. None words the method's name.
        scope: What waits then: `kind`, all jobs of the kind, or `job`, this one alone.
        slices: Ask before each slice of a batch job too, so that a job under way can wait.
        seconds: How long until it is asked again.

    Raises:
        ValueError: the scope is neither, or the seconds are not positive.
    """
    if scope not in ("kind", "job"):
        raise ValueError(f"throttle(scope={scope!r}): must be 'kind' or 'job'")
    if seconds <= 0:
        raise ValueError(f"throttle(seconds={seconds!r}): must be more than 0")

    def mark(method: Method) -> Method:
        name = method.__name__
        words = reason or name.removeprefix("_").removesuffix("_exceeded").replace("_", " ")
        setattr(method, _THROTTLE, Throttle(name, words, scope == "kind", slices, float(seconds)))
        return method

    return mark


def collect_hooks(cls: type) -> dict[str, tuple[str, ...]]:
    """Return the method names for each moment that the class has any for, in the order in which they run."""
    found: dict[str, list[str]] = {}
    for owner in reversed(cls.__mro__):
        for name, member in _members(owner):
            named = (name,) if callable(member) and name in HOOKS else ()
            for moment in getattr(member, _HOOK, named):
                if name not in found.setdefault(moment, []):
                    found[moment].append(name)
    return {moment: tuple(reversed(names) if moment.startswith("after") else names) for moment, names in found.items()}


def collect_throttles(cls: type) -> tuple[Throttle, ...]:
    """Return the throttles of a class, those of base classes first. One that a subclass sets to None is off."""
    found: dict[str, Throttle | None] = {}
    for owner in reversed(cls.__mro__):
        for name, member in _members(owner):
            declared = getattr(member, _THROTTLE, None)
            if declared is not None or (name in found and member is None):
                found[name] = declared
    return tuple(declared for declared in found.values() if declared is not None)


def _members(owner: type) -> list[tuple[str, Any]]:
    # What pydantic keeps under such names may be built by being asked anything.
    return [(name, member) for name, member in vars(owner).items() if not name.startswith("__")]
