"""What a piece of work is of, as the dispatcher asks."""

from collections.abc import Container
from uuid import UUID

from penstock.server.seats import Assignment
from penstock.server.settling import HeldDue, HeldJob, HeldSlice


def job_of(piece: Assignment) -> UUID | None:
    """Return the job that somebody may have moved while a piece of it waits; None where nobody can."""
    subject = piece.subject
    if isinstance(subject, HeldSlice):
        return subject.job_id
    if isinstance(subject, HeldJob) and not subject.stored:
        return None  # Nobody can have moved it.
    return None if isinstance(subject, HeldDue) else subject.row.id  # A job of any state may have hooks due.


def is_unstored(piece: Assignment, job_id: UUID) -> bool:
    """Tell whether a piece is this job, handed out without having been stored."""
    return isinstance(piece.subject, HeldJob) and not piece.subject.stored and piece.subject.row.id == job_id


def is_slice_beyond(piece: Assignment, known: Container[UUID]) -> bool:
    """Tell whether a piece is a slice of a job that is not among those known."""
    return isinstance(piece.subject, HeldSlice) and piece.subject.job_id not in known
