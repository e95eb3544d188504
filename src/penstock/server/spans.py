"""Spans of OpenTelemetry around what a worker performs, in the trace in which the job was made."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from penstock import tracing
from penstock.batch.perform import SliceOutcome
from penstock.errors import ConfigurationError, MissingExtra, PenstockError
from penstock.model.attempt import Verdict
from penstock.model.failure import Failure
from penstock.model.job import Job
from penstock.server.app import function_of
from penstock.states import TRANSITIONS, Move

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_TARGETS = {row.move: str(row.target) for row in TRANSITIONS if not row.batch}
FLUSH_SECONDS = 1.0
"""How long the end of a worker may wait for spans that are to be sent."""


class Untraced:
    """What is performed where nobody traces."""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Do nothing."""

    def end_job(self, verdict: Verdict) -> None:
        """Do nothing."""

    def end_slice(self, outcome: SliceOutcome) -> None:
        """Do nothing."""


class Traced(Untraced):
    """The span of a piece of work; it is current, so that what is made in it is of the same trace.

    A span that is not ended is not told: that of work that was held back before it began.
    """

    def __init__(self, job: Job, *, seals: bool, attempt: int, **facts: Any) -> None:
        from opentelemetry.trace import SpanKind, get_tracer, use_span

        attributes = {
            "penstock.job.id": str(job.id),
            "penstock.job.kind": job.kind,
            "penstock.job.attempt": attempt,
            "penstock.job.priority": job.priority,
            **facts,
        }
        self._seals = seals
        self._span: Span = get_tracer("penstock").start_span(
            job.kind, context=_context_of(job), kind=SpanKind.CONSUMER, attributes=attributes
        )
        self._used: AbstractContextManager[Any] = use_span(
            self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def __enter__(self) -> Self:
        """Make the span the current one of this thread or task."""
        self._used.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        """Make the one before the current one again."""
        self._used.__exit__(*raised)

    def end_job(self, verdict: Verdict) -> None:
        """End it with the state that the job is in then."""
        if verdict.reason is not None:
            return
        self._span.set_attribute("penstock.job.state", _TARGETS[verdict.move])
        self._end(verdict.failure if verdict.move in (Move.FAIL, Move.RETRY) else None, verdict.error)

    def end_slice(self, outcome: SliceOutcome) -> None:
        """End it, with whether the slice failed."""
        if outcome.verdict is not None and outcome.verdict.reason is not None:
            return
        self._span.set_attribute("penstock.slice.state", "failed" if outcome.failure is not None else "done")
        self._end(outcome.failure, outcome.error)

    def _end(self, failure: Failure | None, error: BaseException | None) -> None:
        if failure is not None:
            self._record(failure, error)
        self._span.end()

    def _record(self, failure: Failure, error: BaseException | None) -> None:
        """Note how it failed; of a sealed job the class of the error only, as its words may tell what is sealed."""
        from opentelemetry.trace import Status, StatusCode

        if self._seals:
            self._span.add_event("exception", {"exception.type": failure.class_name})
        elif error is not None:
            try:
                self._span.record_exception(error)
            except Exception:  # Its own text cannot be made; the failure has what could be.
                told = {"exception.type": failure.class_name, "exception.message": failure.message}
                self._span.add_event("exception", told)
        described = failure.class_name if self._seals else f"{failure.class_name}: {failure.message}"
        self._span.set_status(Status(StatusCode.ERROR, described))


UNTRACED = Untraced()
"""Where nobody traces."""


def traced(job: Job, *, seals: bool, attempt: int, **facts: Any) -> Untraced:
    """Return what to perform a job or slice in: a span where the process has an SDK of OpenTelemetry."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return UNTRACED
    return Traced(job, seals=seals, attempt=attempt, **facts)


def _context_of(job: Job) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    stored = json.loads(job.row.fields).get(tracing.FIELD)
    carrier = {tracing.FIELD: stored} if isinstance(stored, str) else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def set_up(source: str | Callable[[], Any] | None) -> None:
    """Have this process trace with the provider that the setting `tracing` gives; None leaves it as it is.

    Raises:
        MissingExtra: the library is not installed.
        ConfigurationError: there is no such function, or it returns no `TracerProvider`.
    """
    if source is None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        raise MissingExtra("the setting tracing", "otel") from None
    try:
        provider = function_of(source)()
    except PenstockError as error:
        raise ConfigurationError(f"setting tracing: {source}: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"setting tracing: {source} raised {type(error).__name__}: {error}") from error
    if not isinstance(provider, TracerProvider):
        raise ConfigurationError(f"setting tracing: {source} returned {provider!r}; a TracerProvider is wanted")
    trace.set_tracer_provider(provider)


def flush() -> None:
    """Send the spans that wait, before the process ends."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.force_flush(int(FLUSH_SECONDS * 1000))
