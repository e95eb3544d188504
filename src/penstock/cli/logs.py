"""The one place that words events for the log.

Moves of jobs carry `event`, `from` and `to` for programs that read the log, and `duration` where the event knows it.
"""

import logging
from functools import singledispatch
from typing import Any

from penstock import events
from penstock.server.log_context import job_context
from penstock.states import Move, State

log = logging.getLogger("penstock.server")

MOVES: dict[type[events.JobEvent], tuple[Move, State, State]] = {
    events.JobStarted: (Move.START, State.QUEUED, State.RUNNING),
    events.JobCompleted: (Move.COMPLETE, State.RUNNING, State.COMPLETED),
    events.JobFailed: (Move.FAIL, State.RUNNING, State.FAILED),
    events.JobRetried: (Move.RETRY, State.RUNNING, State.QUEUED),
}
"""The move that an event tells of, and the states it leads from and to."""


@singledispatch
def tell(event: events.Event) -> None:
    """Log an event. Those that nobody registered are not worth a line, and a worker's output is no event to word."""


@tell.register
def _(event: events.ServerStarted) -> None:
    log.info("server %s started: %d slots in %d processes", event.server, event.slots, event.processes)


@tell.register
def _(event: events.ServerStopped) -> None:
    log.info("server %s stopped", event.server)


@tell.register
def _(event: events.ServerDied) -> None:
    log.warning("server %s is dead; %d pieces of its work are queued again", event.server, event.released)


@tell.register
def _(event: events.WorkerReady) -> None:
    log.info("worker %s is ready; it knows %s", event.worker, ", ".join(event.kinds) or "no job classes")


@tell.register
def _(event: events.WorkerDied) -> None:
    log.error("worker %s died: %s", event.worker, event.evidence)


@tell.register
def _(event: events.WorkerRecycled) -> None:
    log.info("worker %s was replaced after %d pieces of work", event.worker, event.finished)


@tell.register
def _(event: events.JobStarted) -> None:
    _tell_of_job(event, logging.INFO, "%s started", event.kind)


@tell.register
def _(event: events.JobFailed) -> None:
    _tell_of_job(event, logging.ERROR, "%s failed: %s", event.kind, event.error)


@tell.register
def _(event: events.JobCompleted) -> None:
    _tell_of_job(event, logging.DEBUG, "%s completed", event.kind)


@tell.register
def _(event: events.JobRetried) -> None:
    when = "at once" if event.at is None else f"at {event.at:%Y-%m-%dT%H:%M:%SZ}"
    _tell_of_job(event, logging.WARNING, "%s failed and is tried again %s: %s", event.kind, when, event.error)


@tell.register
def _(event: events.JobHeld) -> None:
    _tell_of_job(event, logging.DEBUG, "%s was held back: %s", event.kind, event.reason)


@tell.register
def _(event: events.JobMoved) -> None:
    _tell_of_job(event, logging.INFO, "%s went from %s to %s by itself", event.kind, event.source, event.target)


@tell.register
def _(event: events.JobExpired) -> None:
    _tell_of_job(event, logging.WARNING, "%s expired before it was started, and was destroyed", event.kind)


@tell.register
def _(event: events.SliceFailed) -> None:
    _tell_of_job(event, logging.ERROR, "%s failed at a record: %s", event.kind, event.error)


@tell.register
def _(event: events.ResultRefused) -> None:
    _tell_of_job(event, logging.WARNING, "%s: a result came too late and was refused", event.kind)


@tell.register
def _(event: events.StoreTroubled) -> None:
    log.error("%s", event.error)


def _tell_of_job(event: events.JobEvent, level: int, message: str, *words: object) -> None:
    # Thirty thousand jobs may end in a second: what is not wanted must cost nothing.
    if log.isEnabledFor(level):
        number = getattr(event, "record_number", None)
        with job_context(job_id=event.job_id, kind=event.kind, record_number=number):
            log.log(level, message, *words, extra=_facts(event))


def _facts(event: events.JobEvent) -> dict[str, Any]:
    move = (event.move, event.source, event.target) if isinstance(event, events.JobMoved) else MOVES.get(type(event))
    facts: dict[str, Any] = dict(zip(("event", "from", "to"), map(str, move), strict=True)) if move else {}
    seconds = getattr(event, "seconds", 0.0)
    return {**facts, "duration": round(seconds, 6)} if seconds else facts
