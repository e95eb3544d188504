"""What happened, as typed events. Code that works publishes; one subscriber words it for people.

Events are delivered in the publisher's thread, in the order of subscription. A subscriber that raises
is logged and does not disturb the work.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

log = logging.getLogger("penstock")


class Event(msgspec.Struct, frozen=True):
    """Something that happened."""


class JobEvent(Event, frozen=True):
    """Something that happened to one job."""

    job_id: UUID
    kind: str


class JobStarted(JobEvent, frozen=True):
    """A batch job was taken up by this server."""


class JobCompleted(JobEvent, frozen=True):
    """A job is done."""

    seconds: float = 0.0
    """How long it ran."""


class JobFailed(JobEvent, frozen=True):
    """A job failed."""

    error: str
    seconds: float = 0.0
    """How long it ran."""


class JobRetried(JobEvent, frozen=True):
    """A job failed and will be tried again by itself."""

    error: str
    at: datetime | None


class JobHeld(JobEvent, frozen=True):
    """A throttle, or trouble that the store gave its own code, held a job or its hooks back."""

    reason: str


class JobMoved(JobEvent, frozen=True):
    """A job moved itself while it ran."""

    move: str
    source: str
    target: str


class JobExpired(JobEvent, frozen=True):
    """A job was destroyed because its `expires_at` passed before it started."""


class SliceFailed(JobEvent, frozen=True):
    """A slice failed at one record."""

    record_number: int
    """The failing record's number in the job, from 1."""
    error: str


class ResultRefused(JobEvent, frozen=True):
    """A result came from an attempt that is no longer the current one, and was not stored."""


class ServerStarted(Event, frozen=True):
    """A server is ready for work."""

    server: str
    processes: int
    slots: int


class ServerStopped(Event, frozen=True):
    """A server has stopped and handed back what it held."""

    server: str


class ServerDied(Event, frozen=True):
    """Another server was found dead; what it held is queued again."""

    server: str
    released: int


class WorkerReady(Event, frozen=True):
    """A worker process has imported the app and takes work."""

    worker: str
    kinds: tuple[str, ...]


class WorkerDied(Event, frozen=True):
    """A worker process ended without being told to."""

    worker: str
    evidence: str


class WorkerRecycled(Event, frozen=True):
    """A worker process was replaced by a new one, as it was told to or the code had changed."""

    worker: str
    finished: int
    """Pieces of work it had done."""


class WorkerOutput(Event, frozen=True):
    """A line that user code wrote to standard output or standard error."""

    worker: str
    line: str


class StoreTroubled(Event, frozen=True):
    """The store refused a transaction; it will be tried again."""

    error: Exception


Subscriber = Callable[[Any], None]
_subscribers: list[tuple[type[Event], Subscriber]] = []


@contextmanager
def subscribed(event: type[Event], subscriber: Subscriber) -> Iterator[None]:
    """Call `subscriber` with each event of this type or a subtype, for the length of a `with` block."""
    entry = (event, subscriber)
    _subscribers.append(entry)
    try:
        yield
    finally:
        _subscribers.remove(entry)


def are_wanted(event: type[Event]) -> bool:
    """Tell whether anybody would be told of an event of this type: of very many, none is made for nobody."""
    return any(issubclass(event, kind) for kind, _ in _subscribers)


def publish(event: Event) -> None:
    """Tell every subscriber of the event's type."""
    for kind, subscriber in tuple(_subscribers):
        if isinstance(event, kind):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %r", event)
