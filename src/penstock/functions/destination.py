"""Where `enqueue` goes: to the current store, or, in a worker of a node, to the distributor that sent the job."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from penstock.functions.feedback import Feedback
    from penstock.functions.handle import Handle
    from penstock.functions.job import FunctionJob
    from penstock.model.job import Job


class Destination(Protocol):
    """Who takes new jobs, and what running ones say."""

    def enqueue(self, job: "Job", feedback: "Feedback | None") -> "Handle[Any]":
        """Take a new job."""

    def tell_progress(self, job: "FunctionJob", value: Any) -> None:
        """Pass on how far a running job is."""


_relays: list[Destination] = []


def current() -> Destination:
    """Return where this process enqueues."""
    if _relays:
        return _relays[-1]
    from penstock.functions.stored import stored_answers

    return stored_answers()


def use(relay: Destination) -> None:
    """Have this process enqueue there from now on."""
    _relays.append(relay)


def forget(relay: Destination) -> None:
    """Have it no longer do so."""
    _relays.remove(relay)
