"""The one place that words events for the log."""

import logging
import sys
from functools import singledispatch

from penstock import events

log = logging.getLogger("penstock.server")


@singledispatch
def tell(event: events.Event) -> None:
    """Log an event. Those that nobody registered are not worth a line."""


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
def _(event: events.WorkerOutput) -> None:
    sys.stderr.write(f"{event.line}\n")


@tell.register
def _(event: events.JobStarted) -> None:
    log.info("%s %s started", event.kind, event.job_id)


@tell.register
def _(event: events.JobFailed) -> None:
    log.error("%s %s failed: %s", event.kind, event.job_id, event.error)


@tell.register
def _(event: events.JobCompleted) -> None:
    log.debug("%s %s completed", event.kind, event.job_id)


@tell.register
def _(event: events.JobExpired) -> None:
    log.warning("%s %s expired before it was started, and was destroyed", event.kind, event.job_id)


@tell.register
def _(event: events.SliceFailed) -> None:
    log.error("%s %s: record %d failed: %s", event.kind, event.job_id, event.record_number, event.error)


@tell.register
def _(event: events.ResultRefused) -> None:
    log.warning("%s %s: a result came too late and was refused", event.kind, event.job_id)


@tell.register
def _(event: events.StoreTroubled) -> None:
    log.error("%s", event.error)


def log_to_console(level: str) -> None:
    """Send log lines to standard error."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
