"""One attempt at a regular job: throttles, hooks, `perform`, and what came of it.

Inside an attempt a move of the job itself (`self.abort()`, `self.snooze(60)`) is noted, and takes effect when
`perform` or the hook that made it returns. Nothing here knows a store or a server.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from penstock import clock, faults
from penstock.hooks import Throttle
from penstock.model.failure import Failure, parse_failure
from penstock.states import Move, State

if TYPE_CHECKING:
    from penstock.model.job import Job
    from penstock.store.rows import JobRow


class Verdict(Struct):
    """What an attempt, or a slice, means for its job."""

    move: Move
    failure: Failure | None = None
    error: BaseException | None = None
    """The exception itself, for those who perform in their own process."""
    value: Any = None
    """What `perform` returned."""
    at: datetime | None = None
    """When the job is to run again: after an automatic retry, a snooze, or a hold."""
    reason: str | None = None
    """Why it was held back, for people; None unless it was."""
    kind_wide: bool = False
    """Whether all jobs of the kind are held."""


class Stopped(BaseException):
    """Ends the slice in which a batch job moved itself. No `except Exception` of user code catches it."""


class Attempt(Struct):
    """What a job has decided about itself in the attempt that is under way."""

    stops: bool = False
    """Whether a move ends what is running at once, as it does in a slice."""
    move: Move | None = None
    failure: Failure | None = None
    at: datetime | None = None
    row: "JobRow | None" = None
    """The job as it was before its first move."""

    def note(self, move: Move, given: Mapping[str, Any]) -> None:
        """Note a move that the job made of itself.

        Raises:
            Stopped: what is running is to end at once.
        """
        self.move, self.at = move, given.get("run_at")
        self.failure = parse_failure(given.get("exception"))
        if self.stops:
            raise Stopped

    def verdict(self, value: Any = None) -> Verdict:
        """Return what was decided; without a decision the job is complete."""
        return Verdict(self.move or Move.COMPLETE, self.failure, None, value, self.at)


def run_hooks(job: "Job", moment: str) -> None:
    """Call the job's methods for a moment."""
    for name in job.hooks.get(moment, ()):
        getattr(job, name)()


@contextmanager
def around(job: "Job", moment: str) -> Iterator[None]:
    """Enter the job's generators for a moment, the first declared outermost."""
    with ExitStack() as stack:
        for name in job.hooks.get(moment, ()):
            stack.enter_context(_generator(job, name))
        yield


@contextmanager
def _generator(job: "Job", name: str) -> Iterator[None]:
    generator = getattr(job, name)()
    if not isinstance(generator, Iterator):
        raise TypeError(f"{type(job).__name__}.{name} is no generator: what runs around something needs one yield")
    yield from generator


def perform_with_hooks(job: "Job", perform: Callable[[], Any]) -> Any:
    """Call `perform` between the job's hooks; not when one of them has moved the job on."""
    if not job.has_perform_hooks:
        return perform()
    value = None
    run_hooks(job, "before_perform")
    if job.state is State.RUNNING:
        with around(job, "around_perform"):
            value = perform()
            job.check_storable(value)
        run_hooks(job, "after_perform")
    return value


def attempt(job: "Job", *, asks_throttles: bool = True) -> Verdict:
    """Run a job that was claimed, and return what came of it. Whatever its code raises, SystemExit too, fails it."""
    decided = job.begin_attempt()
    try:
        if job.is_only_performed():
            faults.at("in_perform")
            return decided.verdict(job.performing()())
        held = held_back(job, job.throttles) if asks_throttles else None
        if held is not None:
            return held
        run_until_moved(job, ("before_start", "after_start"))
        faults.at("in_perform")
        value = perform_with_hooks(job, job.performing()) if decided.move is None else None
        run_until_moved(job, ("before_complete",))
        verdict = decided.verdict(value)
    except BaseException as error:
        job.forget_moves()
        verdict = failed(job, error)
    finally:
        job.end_attempt()
    return verdict


async def attempt_on_loop(job: "Job") -> Verdict:
    """Run an `async` job that was claimed on this event loop; none of its hooks may belong to an attempt."""
    from penstock.model.event_loop import within

    decided = job.begin_attempt()
    try:
        verdict = decided.verdict(await within(job.perform(), job.timeout))
    except BaseException as error:
        job.forget_moves()
        verdict = failed(job, error)
    finally:
        job.end_attempt()
    return verdict


def failed(job: "Job", error: BaseException) -> Verdict:
    """Return what an exception means for its job: failed, or to be tried again."""
    try:
        at = job.plan_retry(error)
        run_hooks(job, "before_fail")
    except BaseException as worse:
        return Verdict(Move.FAIL, failure=job.describe(worse), error=worse)
    return Verdict(Move.FAIL if at is None else Move.RETRY, job.describe(error), error, at=at)


def held_back(job: "Job", throttles: tuple[Throttle, ...], *, slices: bool = False) -> Verdict | None:
    """Return why the job must wait, or None. Before a slice only those throttles are asked that are for slices."""
    window = job.slices_closed_until() if slices else job.closed_until()
    if window is not None:
        at, reason = window
        return Verdict(Move.REQUEUE, at=at, reason=reason)
    for declared in throttles:
        if (declared.slices or not slices) and getattr(job, declared.method)():
            reason = declared.reason(job) if callable(declared.reason) else declared.reason
            at = clock.now() + timedelta(seconds=declared.seconds)
            return Verdict(Move.REQUEUE, at=at, reason=reason, kind_wide=declared.kind_wide)
    return None


def run_until_moved(job: "Job", moments: Iterable[str]) -> None:
    """Call the job's methods for these moments in turn, until those of one have moved the job on."""
    for moment in moments:
        if moment in job.hooks and not job.has_moved:
            run_hooks(job, moment)
