"""Lists of jobs in pages, at the same cost however many jobs there are: what a store can be asked for."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from penstock.query import Filter
from penstock.states import SliceState
from penstock.store.rows import JobRow, StripPart


class Listing(StrEnum):
    """A list of jobs, with its order."""

    ALL = "all"
    """The newest first."""
    RUNNING = "running"
    """The most urgent first."""
    QUEUED = "queued"
    """What may start, the most urgent first; then what may start of throttle groups; then what is held; what is for
    later comes last."""
    QUEUED_NOW = "queued_now"
    """The same without what is for later."""
    SCHEDULED = "scheduled"
    """What is for later, the next first."""
    PAUSED = "paused"
    """The last paused first; so with those below."""
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class Page(NamedTuple):
    """A part of a list."""

    rows: list[JobRow]
    next: str | None
    """Where the next page begins; None where nothing is left."""


class Wanted(NamedTuple):
    """What jobs of a list are wanted."""

    filters: Sequence[Filter] = ()
    kinds: Sequence[str] = ()
    """Any of them; empty means all."""
    search: str | None = None
    """Text, in any case of letters, in the kind or the description."""

    @property
    def anything(self) -> bool:
        """Whether every job is wanted."""
        return not (self.filters or self.kinds or self.search)


class BrowseStore(Protocol):
    """Lists and counts for people."""

    def browse(
        self,
        listing: Listing,
        wanted: Wanted,
        *,
        after: str | None = None,
        limit: int,
        scan: int,
        newest: bool = True,
        order: str | None = None,
    ) -> Page:
        """Return a page of a list.

        A filter that asks whether an indexed field equals something leads along its index, the newest job first;
        else up to `scan` jobs of the list are looked through. There may be fewer jobs than `limit`, and more behind.

        Args:
            listing: The list.
            wanted: Which of its jobs.
            after: `next` of the page before.
            limit: Jobs at most.
            scan: Jobs looked through at most.
            newest: False turns the list of all jobs round.
            order: A field by which those that were looked through are sorted, up to `scan` of each part of the list:
                what is not set first, then numbers, then text; `-` before it turns that round. `next` then only tells
                that there are jobs which were not looked through.

        Raises:
            InvalidQuery: `after` is not from a page of this list.
        """

    def counts_up_to(self, most: int) -> dict[str, int]:
        """Return how many jobs there are in each `Listing` but `all`; counting stops at `most` for each part of one.

        A part that had so many, or a thousand, may be told as it was for a few seconds more.
        """

    def is_indexed(self, name: str) -> bool:
        """Tell whether there is an index of a field of the document."""

    def oldest_waiting(self) -> UUID | None:
        """Return the oldest job that may start, without a throttle group; a seek for each kind and priority."""

    def slice_strip(self, job_id: UUID, parts: int) -> list[StripPart]:
        """Return what is in each run of the slices of a job's main input: few seeks for each of `parts` runs."""

    def slice_counts_up_to(self, job_id: UUID, most: int) -> dict[SliceState, int]:
        """Return how many slices of a job are in each state; counting stops at `most`."""
