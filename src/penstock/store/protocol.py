"""What a store does. The conformance suite in `tests/store/conformance` holds every engine to this text.

Every method that writes joins the transaction the calling thread has open, or makes one of its own.
What a method returned from, outside a transaction, is as durable as the `durability` setting says.
Stores may be used from several threads; each thread has its own transaction.

Where the slices are in a second store (`store/split`), no transaction holds over both: what is promised of a job and
its slices together is promised of each alone there, and what was begun is taken up again. The methods say where.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from penstock.query import Filter, Query
from penstock.states import State, SubState
from penstock.store.access import AccessStore
from penstock.store.browsing import BrowseStore
from penstock.store.records import KeptStore, SliceStore
from penstock.store.rows import (
    ClaimedSlice,
    EntryRow,
    JobRow,
    JobSettlement,
    ServerRow,
    SliceSettlement,
)
from penstock.store.trail import AuditStore, FigureStore, LogStore
from penstock.store.upkeep import UpkeepStore


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
        """Store new jobs, all or none. Those that are queued and due wake a waiting server.

        Raises:
            DuplicateJob: a job with the same unique key is queued, running or paused.
        """

    def insert_unless_taken(self, row: JobRow) -> bool:
        """Store a new job unless there is one of its id or unique key; tells whether it did."""

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

        Raises:
            DuplicateJob: it would be the second of its unique key that is queued, running or paused.
        """

    def index_fields(self, names: Sequence[str]) -> None:
        """Keep an index of these fields of the document, of all kinds; one that there is stays."""

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

    def remove_jobs(self, job_ids: Sequence[UUID], state: State) -> int:
        """Remove those of these regular jobs that are in a state still, no drafts; returns how many, at once."""


class ClaimStore(Protocol):
    """Claims and settlements: what a dispatcher does."""

    def release_due_jobs(self, now: datetime) -> None:
        """Make jobs claimable whose `run_at` has come, or that were held until now."""

    def next_due(self) -> datetime | None:
        """Return the earliest moment at which a scheduled or held job becomes claimable, or None."""

    def candidates(
        self,
        kinds: Collection[str],
        *,
        limit: int,
        only: UUID | None = None,
        groups: Collection[tuple[str, str]] = (),
        under_way: Collection[str] = (),
        where: Sequence[Filter] = (),
    ) -> list[JobRow]:
        """Return jobs that may have something to claim, most urgent first: priority, then id.

        Reads claimable jobs of these kinds without a throttle group, of these pairs of kind and group, and the
        running batch jobs of the kinds `under_way`, whatever their group; and only these, whatever else the store
        holds; those among them that `where` leaves out are read too. `only` narrows to one job.
        """

    def waiting_groups(self, kinds: Collection[str]) -> list[tuple[str, str]]:
        """Return each pair of kind and throttle group that has a claimable job; reads one row for each."""

    def limits(self) -> dict[str, int]:
        """Return how many jobs run under each limit: exact within the transaction, whatever moved them."""

    def any_running(self, kinds: Collection[str]) -> str | None:
        """Return the first of these kinds of which a job runs, or None."""

    def hold_job(self, job_id: UUID, *, until: datetime, reason: str, now: datetime) -> bool:
        """Keep a queued job, or the slices of a running one, from being claimed for a while, and say why.

        False when it is neither queued nor running.
        """

    def claim_jobs(self, rows: Sequence[JobRow], *, server: str, now: datetime) -> list[JobRow]:
        """Move queued jobs to running for `server`, each at its next attempt, counted against its `limit_name`.

        Returns those that were won, in their order: the very rows that were given, changed to what they are now.
        """

    def start_batch(
        self, job_id: UUID, *, sub_state: SubState, server: str, now: datetime, limit_name: str | None = None
    ) -> JobRow | None:
        """Move a queued batch job to running in `sub_state`; None when it was no longer queued."""

    def claim_slices(self, job_id: UUID, *, server: str, limit: int, max_bytes: int) -> list[ClaimedSlice]:
        """Take queued slices in the order of their numbers, each at its next attempt.

        Stops before `max_bytes` of payload would be passed, but gives at least one slice. A job found
        without queued slices is no candidate until it has some again.

        With the slices in a second store they are handed back when the transaction that is open is undone: the attempt
        is used up, and others may see them taken before it ends.
        """

    def running_slices(self, job_id: UUID) -> int:
        """Count the slices of a job that somebody holds."""

    def next_of_rate(self, name: str) -> datetime | None:
        """Return when the next record under a rate limit may begin; None when none ever did."""

    def spend_rate(self, name: str, *, seconds: float, now: datetime) -> None:
        """Note that records begin, now or behind those before them, which take up `seconds` of a rate limit."""

    def settle_jobs(self, settlements: Sequence[JobSettlement]) -> list[JobSettlement]:
        """Store how jobs ended. Returns those refused, because their attempt is no longer the running one."""

    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store how slices ended: outputs stored and slice removed or failed, together. Returns those refused.

        Refused are slices whose attempt is no longer the running one; nothing of them is stored.

        With the slices in a second store it holds at once, whatever becomes of a transaction that is open.
        """

    def hand_back_job(self, job_id: UUID, attempt: int, *, crashed: bool, server: str | None = None) -> int | None:
        """Queue a job again that this attempt holds, of this `server` where one is named; None when it does not.

        Returns its crashes so far. Of a claim that was perhaps not stored another server may have the same attempt.
        """

    def let_go(self, job_id: UUID, attempt: int, *, server: str) -> None:
        """Note that the worker of an attempt that somebody else has ended is through with it.

        Until then the job keeps its server, and is not claimable although it may be queued again.
        """

    def hand_back_slice(
        self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool, server: str | None = None
    ) -> int | None:
        """Queue a slice again that this attempt holds, of this `server` where one is named; None when it does not.

        Returns its crashes so far.

        With the slices in a second store it holds at once, whatever becomes of a transaction that is open.
        """

    def release_server(self, server: str, *, heartbeat: int | None = None) -> int:
        """Queue everything again that a dead server held, and remove it. Returns how many jobs and slices.

        With a `heartbeat` it does so only while the server's counter stands there still. With the slices in a second
        store those are released first, at once; the server is removed last.
        """

    def job_standings(self, job_ids: Sequence[UUID]) -> dict[UUID, tuple[State, SubState | None]]:
        """Return the state of each of these jobs that exists."""


class HookStore(Protocol):
    """Hooks that follow a committed move: they are due until somebody has run them."""

    def jobs_due_for_hooks(self, kinds: Collection[str]) -> list[JobRow]:
        """Return the oldest jobs of these kinds that have hooks due which nobody is running; a hundred at most."""

    def claim_hooks(self, job_id: UUID, *, server: str) -> bool:
        """Take the hooks that are due for a job; False when somebody else has them, or none are due."""

    def finish_hooks(self, job_id: UUID, *, server: str, ran: str, changes: Mapping[str, Any]) -> bool:
        """Note that `server` ran the hooks `ran`, and overwrite columns as `update_job` does.

        Hooks of moves made meanwhile stay due. False when the job is gone or somebody else has its hooks.
        """

    def release_hooks(self, server: str) -> None:
        """Let others take the hooks that `server` had taken and not finished."""


class ServerStore(Protocol):
    """Servers and other signs of life."""

    def register_server(self, row: ServerRow) -> None:
        """Store a server."""

    def beat(self, name: str, state: str, *, kinds: str = "{}", holding: int = 0, nodes: str = "[]") -> bool:
        """Raise a server's heartbeat counter, and note how it is; False when its row is gone."""

    def ask_server(self, name: str, command: str) -> bool:
        """Leave a command for a server and wake it; False when there is none of that name. Replaces one not taken."""

    def command_of(self, name: str) -> str | None:
        """Return the command that was left for a server, or None."""

    def answer_command(self, name: str, command: str, answer: str) -> None:
        """Note what a server says to a command, which is done with."""

    def servers(self) -> list[ServerRow]:
        """Return all registered servers, oldest first."""

    def appear(self, name: str) -> Presence:
        """Show a sign of life under `name`, until it is closed or the process ends."""

    def is_present(self, name: str) -> bool | None:
        """Tell whether the process that appeared as `name` lives; None when that cannot be told from here."""

    def drop_abandoned(self, *, whole: "Store | None" = None) -> int:
        """Remove drafts and half-destroyed jobs of processes that are gone, and fail jobs whose upload broke off.

        `whole` is the store that this one is a part of: it is asked to remove jobs and slices.

        A draft is kept for an hour from its creation, so that `penstock run --resume` can begin it again.
        Returns how many jobs it touched.
        """

    def listen(self, topic: Topic, callback: Callable[[], None]) -> Listening:
        """Call `callback` from a thread of the store's whenever a transaction touched `topic`.

        Wake-ups may be lost or come without a cause: a listener also looks by itself now and then.
        """

    def give_space_back(self) -> None:
        """Return unused space to the file system, as far as that is cheap and worth it."""


class EntryStore(Protocol):
    """Folders that are watched for files."""

    def insert_entry(self, row: EntryRow) -> None:
        """Store a new entry.

        Raises:
            DuplicateEntry: another has its name or its pattern.
        """

    def entries(self) -> list[EntryRow]:
        """Return all entries, by name."""

    def entry(self, name: str) -> EntryRow | None:
        """Return an entry, or None."""

    def update_entry(self, name: str, changes: Mapping[str, Any], *, expect: Mapping[str, Any] | None = None) -> bool:
        """Overwrite columns of an entry; False when there is none, or one of those in `expect` has another value.

        Raises:
            DuplicateEntry: it would have the name or the pattern of another.
        """

    def delete_entry(self, name: str) -> bool:
        """Remove an entry; False when there is none."""


class TrailStore(AuditStore, FigureStore, LogStore, Protocol):
    """What is kept of what happened."""


class LookStore(TrailStore, BrowseStore, AccessStore, Protocol):
    """What people and programs look at, and who they are."""


class Store(
    JobStore, ClaimStore, HookStore, SliceStore, KeptStore, ServerStore, EntryStore, UpkeepStore, LookStore, Protocol
):
    """Where jobs and slices live."""

    url: str
    longest_hold: float | None
    """Seconds for which user code may keep a transaction that it was lent open; None for no such bound."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything the thread writes in the `with` block happen together, or not at all.

        A block inside another belongs to the outer one. With the slices in a second store, what is written of slices
        holds a moment before the rest: a crash between leaves the one without the other.
        """

    def joining(self, connection: Any) -> AbstractContextManager[None]:
        """Make everything the thread writes in the block part of the transaction of the caller's own connection.

        It stays the caller's to commit or to roll back. One that has not begun is begun. A block that raises leaves
        nothing of its own in it, and the transaction usable.

        Args:
            connection: Of sqlite3, psycopg, SQLAlchemy or Django, or a session of SQLAlchemy; to this very store.

        Raises:
            WrongConnection: it is none of these, leads to another database, or commits by itself and has no
                transaction open; or the transaction was ended inside the block.
        """

    def reserving(self) -> AbstractContextManager[None]:
        """Enter a block in which user code will write: engines with one writer keep all other work in order."""

    def lending(self) -> AbstractContextManager[Any]:
        """Open a transaction that is committed at the end of the block, and yield its driver's connection.

        It is for user code, which must not end the transaction. What the thread writes by the store is part of it.
        """

    def take_turns(self, name: str) -> None:
        """Within a transaction: wait for the end of others that took turns under this name; until its end they wait.

        For what is looked for first and stored where it is not found.
        """

    def announce(self, topic: Topic) -> None:
        """Wake those who listen to `topic`, after the commit where a transaction is open."""

    def close(self) -> None:
        """Close connections and listeners of all threads."""
