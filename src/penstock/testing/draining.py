"""Running what is due in the thread of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from penstock import clock, events
from penstock.clock import ManualClock
from penstock.server.inline import InlineServer
from penstock.store import current_store

MOST_STEPS = 10_000
"""Pieces of work in one `drain`: more is taken for jobs that make each other for ever."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one attempt at a job."""

    job_id: UUID
    kind: str
    outcome: str
    """`completed`, `failed`, `retried`, `held`, `expired`, or the state into which the job moved itself."""
    error: str | None = None
    """For one that failed or will be retried, its exception in a line."""


@dataclass(slots=True)
class Drained:
    """What a `drain` has run, in its order."""

    ran: list[Ran] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """Return how many attempts had this outcome."""
        return sum(ran.outcome == outcome for ran in self.ran)

    @property
    def completed(self) -> int:
        """How many jobs were completed."""
        return self.count("completed")

    @property
    def failed(self) -> int:
        """How many jobs failed, those not counted that will be tried again."""
        return self.count("failed")

    @property
    def errors(self) -> list[str]:
        """What was raised, each in a line."""
        return [ran.error for ran in self.ran if ran.error is not None]


def drain(seconds: float = 0.0, *, expect_failures: bool = False) -> Drained:
    """Run every job that is due, and those that they make, as a server would, until nothing is due.

    Hooks, retries, throttles, limits and unique keys are those of a server. Exceptions of jobs do not come out, but
    fail the jobs.

    Args:
        seconds: Run what comes due within so many seconds too: a `ManualClock`, which must be in use then, is moved
            from one due time to the next, and at the end stands so much later.
        expect_failures: Without it a job that fails for good is an `AssertionError` at the end.

    Raises:
        AssertionError: a job failed, or jobs make each other for ever.
        TypeError: `seconds` are given without a `ManualClock`.
    """
    drained = Drained()
    server = InlineServer(current_store())
    end = clock.now() + timedelta(seconds=seconds)
    with _noting(drained):
        _run_due(server)
        while seconds and (due := server.next_due()) is not None and due <= end:
            _move_to(due)
            _run_due(server)
    if seconds:
        _move_to(end)
    failures = [ran for ran in drained.ran if ran.outcome == "failed"]
    if failures and not expect_failures:
        raise AssertionError("; ".join(f"{ran.kind} {ran.job_id} failed: {ran.error}" for ran in failures))
    return drained


def _run_due(server: InlineServer) -> None:
    for _ in range(MOST_STEPS):
        if not server.step():
            return
    raise AssertionError(f"after {MOST_STEPS:,} pieces of work there is still more: do jobs make each other?")


def _move_to(moment: datetime) -> None:
    manual = clock.in_use()
    if not isinstance(manual, ManualClock):
        raise TypeError(
            "drain(seconds=…) moves a ManualClock: use the fixture penstock_clock, or clock.use(ManualClock())"
        )
    manual.advance(max(0.0, (moment - manual.now()).total_seconds()))


@contextmanager
def _noting(drained: Drained) -> Iterator[None]:
    def note(event: events.JobEvent) -> None:
        match event:
            case events.JobCompleted():
                drained.ran.append(Ran(event.job_id, event.kind, "completed"))
            case events.JobFailed():
                drained.ran.append(Ran(event.job_id, event.kind, "failed", event.error))
            case events.JobRetried():
                drained.ran.append(Ran(event.job_id, event.kind, "retried", event.error))
            case events.JobHeld():
                drained.ran.append(Ran(event.job_id, event.kind, "held"))
            case events.JobExpired():
                drained.ran.append(Ran(event.job_id, event.kind, "expired"))
            case events.JobMoved():
                drained.ran.append(Ran(event.job_id, event.kind, event.target))

    with events.subscribed(events.JobEvent, note):
        yield
