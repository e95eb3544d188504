"""What a store does. The conformance suite in `tests/store/conformance` holds every engine to this text.

Every method that writes joins the transaction the calling thread has open, or makes one of its own.
What a method returned from, outside a transaction, is as durable as the `durability` setting says.
Stores may be used from several threads; each thread has its own transaction.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from penstock.query import Query
from penstock.states import SliceState, State, SubState
from penstock.store.rows import (
    Accounts,
    BatchStanding,
    ClaimedSlice,
    JobRow,
    JobSettlement,
    NewSlice,
    OutputRow,
    Progress,
    ServerRow,
    SliceRow,
    SliceSettlement,
)


class Topic(StrEnum):
    """What a wake-up is about."""

    WORK = "work"
    """There may be something new to claim, or a job was moved."""
    ENDED = "ended"
    """A job may have ended."""


class Listening(Protocol):
    """A subscription to wake-ups."""

    def close(self) -> None:
        """Stop listening. A second call does nothing."""


class Presence(Protocol):
    """A sign of life of this process, which vanishes with it however it ends."""

    name: str

    def close(self) -> None:
        """Take the sign away."""


class JobStore(Protocol):
    """Jobs, one row each."""

    def insert_jobs(self, rows: Iterable[JobRow]) -> None:
        """Store new jobs, all or none. Those that are queued and due wake a waiting server."""

    def job(self, job_id: UUID) -> JobRow | None:
        """Return the job, drafts too, or None."""

    def update_job(self, job_id: UUID, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of a job; `changes["fields"]` is a mapping merged into the document key by key.

        Args:
            job_id: The job.
            changes: Column names of `JobRow` and their values.
            expect: Columns that must still have these values, or nothing is written.

        Returns:
            False when there is no such job or an expectation does not hold.
        """

    def find_jobs(self, query: Query) -> Iterator[JobRow]:
        """Yield the jobs asked for, without drafts, in the query's order; read in pages."""

    def drafts(self) -> list[JobRow]:
        """Return the drafts whose upload is, or was, going on; newest first."""

    def count_jobs(self, query: Query) -> int:
        """Return how many jobs, drafts left out, the query asks for. Its limit is not applied."""

    def count_by_state(self, query: Query) -> dict[State, int]:
        """Return the number of jobs of each state that has any."""

    def destroy_job(self, job_id: UUID) -> bool:
        """Remove a job with its slices and outputs; False when there is none.

        It is out of sight at once. Slices go in short transactions; when the process dies between
        them the rest is removed by `drop_abandoned`.
        """


class ClaimStore(Protocol):
    """Claims and settlements: what a dispatcher does."""

    def release_due_jobs(self, now: datetime) -> None:
        """Make queued jobs claimable whose `run_at` has come."""

    def next_due(self) -> datetime | None:
        """Return the earliest `run_at` of a job that is not yet claimable, or None."""

    def candidates(self, kinds: Collection[str], *, limit: int, only: UUID | None = None) -> list[JobRow]:
        """Return jobs that may have something to claim, most urgent first: priority, then id.

        Reads claimable jobs of these kinds only, whatever else the store holds. `only` narrows to one job.
        """

    def claim_jobs(self, rows: Sequence[JobRow], *, server: str, now: datetime) -> list[JobRow]:
        """Move queued jobs to running for `server`, each at its next attempt.

        Returns those that were won, as they are now; the given rows are changed.
        """

    def start_batch(self, job_id: UUID, *, sub_state: SubState, server: str, now: datetime) -> JobRow | None:
        """Move a queued batch job to running in `sub_state`; None when it was no longer queued."""

    def claim_slices(self, job_id: UUID, *, server: str, limit: int, max_bytes: int) -> list[ClaimedSlice]:
        """Take queued slices in the order of their numbers, each at its next attempt.

        Stops before `max_bytes` of payload would be passed, but gives at least one slice. A job found
        without queued slices is no candidate until it has some again.
        """

    def settle_jobs(self, settlements: Sequence[JobSettlement]) -> list[JobSettlement]:
        """Store how jobs ended. Returns those refused, because their attempt is no longer the running one."""

    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store how slices ended: outputs stored and slice removed or failed, together. Returns those refused.

        Refused are slices whose attempt is no longer the running one; nothing of them is stored.
        """

    def hand_back_job(self, job_id: UUID, attempt: int, *, crashed: bool) -> int | None:
        """Queue a job again that this attempt holds; None when it does not. Returns its crashes so far."""

    def hand_back_slice(self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool) -> int | None:
        """Queue a slice again that this attempt holds; None when it does not. Returns its crashes so far."""

    def release_server(self, server: str) -> int:
        """Queue everything again that a dead server held, and remove it. Returns how many jobs and slices."""

    def job_standings(self, job_ids: Sequence[UUID]) -> dict[UUID, tuple[State, SubState | None]]:
        """Return the state of each of these jobs that exists."""


class SliceStore(Protocol):
    """The slices of batch jobs."""

    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are; returns the number of the last. Numbers start at 1."""

    def drop_unfinished_upload(self, job_id: UUID) -> None:
        """Remove slices of an upload that never ended: those beyond the job's `record_count`."""

    def failed_slices(self, job_id: UUID) -> Iterator[SliceRow]:
        """Yield the failed slices in the order of their numbers."""

    def slice_counts(self, job_id: UUID) -> dict[SliceState, int]:
        """Return the number of input slices of each state that has any."""

    def retry_slices(self, job_id: UUID) -> int:
        """Queue the failed slices again; returns how many."""

    def drop_slices(self, job_id: UUID) -> None:
        """Remove all slices, outputs and progress of a job, in short transactions."""

    def standing(self, job_id: UUID) -> BatchStanding:
        """Return what is left of a job's input."""

    def first_unfinished(self, job_id: UUID) -> int | None:
        """Return the lowest number of an input slice that is not done, or None."""

    def outputs(
        self, job_id: UUID, category: str, *, after: tuple[int, int] = (0, 0), before: int | None = None
    ) -> Iterator[OutputRow]:
        """Yield output slices in input order, from behind (number, part) `after` up to the number `before`.

        Reads in short transactions, so that a slow reader holds nothing up.
        """

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records of a job are, at one moment."""

    def progress(self, job_id: UUID) -> Progress:
        """Return how far a job is, without reading its slices."""


class ServerStore(Protocol):
    """Servers and other signs of life."""

    def register_server(self, row: ServerRow) -> None:
        """Store a server."""

    def beat(self, name: str, state: str) -> bool:
        """Raise a server's heartbeat counter; False when its row is gone."""

    def servers(self) -> list[ServerRow]:
        """Return all registered servers, oldest first."""

    def appear(self, name: str) -> Presence:
        """Show a sign of life under `name`, until it is closed or the process ends."""

    def is_present(self, name: str) -> bool | None:
        """Tell whether the process that appeared as `name` lives; None when that cannot be told from here."""

    def drop_abandoned(self) -> int:
        """Remove drafts and half-destroyed jobs of processes that are gone, and fail jobs whose upload broke off.

        A draft is kept for an hour from its creation, so that `penstock run --resume` can begin it again.
        Returns how many jobs it touched.
        """

    def listen(self, topic: Topic, callback: Callable[[], None]) -> Listening:
        """Call `callback` from a thread of the store's whenever a transaction touched `topic`.

        Wake-ups may be lost or come without a cause: a listener also looks by itself now and then.
        """

    def give_space_back(self) -> None:
        """Return unused space to the file system, as far as that is cheap and worth it."""


class Store(JobStore, ClaimStore, SliceStore, ServerStore, Protocol):
    """Where jobs and slices live."""

    url: str

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything the thread writes in the `with` block happen together, or not at all.

        A block inside another belongs to the outer one.
        """

    def close(self) -> None:
        """Close connections and listeners of all threads."""
