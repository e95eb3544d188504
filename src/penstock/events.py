"""What happened, as typed events. Code that works publishes; one subscriber words it for people.

Events are delivered in the publisher's thread, in the order of subscription. A subscriber that raises
is logged and does not disturb the work.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

log = logging.getLogger("penstock")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class JobEvent(Event):
    """Something that happened to one job."""

    job_id: UUID
    kind: str


@dataclass(frozen=True, slots=True)
class JobStarted(JobEvent):
    """A batch job was taken up by this server."""


@dataclass(frozen=True, slots=True)
class JobCompleted(JobEvent):
    """A job is done."""


@dataclass(frozen=True, slots=True)
class JobFailed(JobEvent):
    """A job failed."""

    error: str


@dataclass(frozen=True, slots=True)
class JobExpired(JobEvent):
    """A job was destroyed because its `expires_at` passed before it started."""


@dataclass(frozen=True, slots=True)
class SliceFailed(JobEvent):
    """A slice failed at one record."""

    record_number: int
    """The failing record's number in the job, from 1."""
    error: str


@dataclass(frozen=True, slots=True)
class ResultRefused(JobEvent):
    """A result came from an attempt that is no longer the current one, and was not stored."""


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """A server is ready for work."""

    server: str
    processes: int
    slots: int


@dataclass(frozen=True, slots=True)
class ServerStopped(Event):
    """A server has stopped and handed back what it held."""

    server: str


@dataclass(frozen=True, slots=True)
class ServerDied(Event):
    """Another server was found dead; what it held is queued again."""

    server: str
    released: int


@dataclass(frozen=True, slots=True)
class WorkerReady(Event):
    """A worker process has imported the app and takes work."""

    worker: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """A worker process ended without being told to."""

    worker: str
    evidence: str


@dataclass(frozen=True, slots=True)
class WorkerOutput(Event):
    """A line that user code wrote to standard output or standard error."""

    worker: str
    line: str


@dataclass(frozen=True, slots=True)
class StoreTroubled(Event):
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


def publish(event: Event) -> None:
    """Tell every subscriber of the event's type."""
    for kind, subscriber in tuple(_subscribers):
        if isinstance(event, kind):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %r", event)
