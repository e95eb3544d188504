"""The store in two parts: which of them does what, and the steps that take both."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import NoReturn, cast
from uuid import UUID

from penstock import clock
from penstock.errors import ConfigurationError, JobNotFound, StoreError
from penstock.states import State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import (
    Accounts,
    ClaimedSlice,
    JobRow,
    KeptInput,
    KeptOutput,
    NewOutput,
    NewSlice,
    SliceRow,
    SliceSettlement,
    TableSize,
)
from penstock.store.split.work import Key, Work, key_of

OF_JOBS = (
    "insert_unless_taken", "job", "update_job", "index_fields", "find_jobs", "drafts", "count_jobs", "count_by_state",
    "release_due_jobs", "next_due", "candidates", "waiting_groups", "limits", "any_running", "hold_job", "claim_jobs",
    "start_batch", "next_of_rate", "spend_rate", "settle_jobs", "hand_back_job", "let_go", "job_standings",
    "remove_jobs", "jobs_due_for_hooks", "claim_hooks", "finish_hooks", "release_hooks",
    "register_server", "beat", "ask_server", "command_of", "answer_command", "servers", "appear", "is_present",
    "listen",
    "insert_entry", "entries", "entry", "update_entry", "delete_entry",
    "fact", "note_fact", "forget_fact", "take_turns", "announce",
    "browse", "counts_up_to", "is_indexed", "oldest_waiting",
    "add_audit", "audit", "add_figures", "figures", "add_log_lines", "log_lines",
    "add_token", "tokens", "token_of_digest", "remove_token",
    "begin_answer", "keep_answer", "drop_answer", "drop_answers",
)  # fmt: skip
"""What the first store does alone."""
OF_SLICES = (
    "running_slices", "failed_slices", "slice_counts", "standing", "first_unfinished", "outputs", "progress",
    "statistics", "failed_slice", "failed_payload", "kept_inputs", "kept_outputs", "slice_owners",
    "slice_strip", "slice_counts_up_to",
)  # fmt: skip
"""What the second store does alone."""
_TWO_STORES = (
    "with a slices_store nothing is completed in the transaction of another connection: "
    "slices and jobs are in two stores; do without slices_store, or without that transaction"
)
AT_ONCE = 500
"""Jobs looked at in one read."""


class SplitStore:
    """Jobs in one store, their slices in another. What stands in neither table above is below."""

    def __init__(self, jobs: Store, slices: Store) -> None:
        self.url = jobs.url
        self.slices_url = slices.url
        self._jobs = jobs
        self._slices = slices
        self._local = threading.local()
        self._guard = threading.Lock()
        self._settled: set[Key] = set()
        """Settlements that hold in the second store, of turns that were undone in the first: they will come again."""
        self._owed: list[tuple[UUID, ClaimedSlice]] = []
        """Slices of turns that were undone, still to be handed back."""
        for part, names in ((jobs, OF_JOBS), (slices, OF_SLICES)):
            for name in names:
                setattr(self, name, getattr(part, name))

    # Transactions --------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what the thread writes happen together in each store, and in both or none unless the process dies."""
        if self._work is not None:
            yield
            return
        self._hand_back_owed()
        work = Work()
        try:
            with self._jobs.transaction():
                self._local.work = work
                try:
                    with work.joined():
                        yield
                    for job_id in work.changed:
                        self._look_again_at(job_id)
                finally:
                    self._local.work = None
        except BaseException:
            self._undo(work)
            raise
        for act in work.after:
            act()

    def joining(self, connection: object) -> NoReturn:
        """Refuse: what is completed in a transaction of the caller's is completed in one store.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(_TWO_STORES)

    def reserving(self) -> NoReturn:
        """Refuse, as `lending` does: nobody could be lent what is kept in order.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(_TWO_STORES)

    def lending(self) -> NoReturn:
        """Refuse: what is done in a transaction that is lent is completed with it, in one store.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(_TWO_STORES)

    # Claims --------------------------------------------------------------------------------------

    def claim_slices(self, job_id: UUID, *, server: str, limit: int, max_bytes: int) -> list[ClaimedSlice]:
        """Take queued slices at once; handed back when the transaction is undone."""
        taken = self._slices.claim_slices(job_id, server=server, limit=limit, max_bytes=max_bytes)
        if self._work is not None:
            # Without payloads: they may be large, and a turn may take many.
            self._work.claimed += [(job_id, claimed._replace(payload=b"")) for claimed in taken]
        if not taken and limit > 0 and not self._slices.standing(job_id).queued:
            # The first store finds no slices in itself, so that the job is no candidate any more.
            self._jobs.claim_slices(job_id, server=server, limit=1, max_bytes=1)
            if self._slices.standing(job_id).queued:  # It came back meanwhile, and was told of before that.
                self._look_again_at(job_id)
        return taken

    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store how slices ended, at once; those of a turn that was undone hold already."""
        with self._guard:
            held = {key_of(settled) for settled in settlements} & self._settled
            self._settled -= held
        fresh = [settled for settled in settlements if key_of(settled) not in held]
        refused = self._slices.settle_slices(fresh, server=server) if fresh else []
        if self._work is not None:
            self._work.settled |= {key_of(settled) for settled in settlements if settled not in refused}
        for job_id in {settled.job_id for settled in settlements if settled.rests and settled not in refused}:
            self._look_again_at(job_id)
        return refused

    def hand_back_slice(
        self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool, server: str | None = None
    ) -> int | None:
        """Queue a slice again, at once."""
        crashes = self._slices.hand_back_slice(job_id, claimed, crashed=crashed, server=server)
        self._look_again_at(job_id)  # Whatever it found: it may be the second time.
        return crashes

    def release_server(self, server: str, *, heartbeat: int | None = None) -> int:
        """Queue a dead server's slices again, look at every job that it may have left halfway, and then its jobs.

        One that goes on after its heartbeat was looked at has lost its slices all the same: their attempts fence it.
        """
        beats = {row.name: row.heartbeat for row in self._jobs.servers()} if heartbeat is not None else {}
        if beats.get(server) != heartbeat:
            return 0
        released = self._slices.release_server(server)
        owners = self._slices.slice_owners()
        while page := list(islice(owners, AT_ONCE)):
            for job_id, standing in self._jobs.job_standings(page).items():
                if standing == (State.RUNNING, SubState.PROCESSING):
                    if self._slices.progress(job_id).rejected:
                        self._jobs.update_job(
                            job_id, {"destroy_on_complete": False}, expect={"destroy_on_complete": True}
                        )
                    self._look_again_at(job_id)
        return released + self._jobs.release_server(server, heartbeat=heartbeat)

    # Slices --------------------------------------------------------------------------------------

    def append_slices(self, job_id: UUID, category: str, slices: Sequence[NewSlice]) -> int:
        """Store input slices behind those there are; then the job is a candidate."""
        self._join()
        try:
            last = self._slices.append_slices(job_id, category, slices)
        except JobNotFound:
            row = self._jobs.job(job_id)
            if row is None or (row.draft and row.uploader is None):
                raise
            self._slices.insert_unless_taken(_place_for(row))
            last = self._slices.append_slices(job_id, category, slices)
        self._note_change(job_id)
        return last

    def drop_unfinished_upload(self, job_id: UUID) -> None:
        """Remove slices beyond the job's `record_count`, of which the second store is told."""
        row = self._jobs.job(job_id)
        if row is not None:
            self._join()
            self._slices.update_job(job_id, {"record_count": row.record_count})
            self._slices.drop_unfinished_upload(job_id)

    def retry_slices(self, job_id: UUID, *, only: Sequence[int] | None = None) -> int:
        """Queue failed slices again."""
        self._join()
        retried = self._slices.retry_slices(job_id, only=only)
        self._note_change(job_id)
        return retried

    def pass_failed_record(self, row: SliceRow, job_id: UUID, output: NewOutput | None, *, by: str) -> bool:
        """Pass the record at which a failed slice stopped."""
        self._join()
        passed = self._slices.pass_failed_record(row, job_id, output, by=by)
        self._note_change(job_id)
        return passed

    def take_back_rejects(self, job_id: UUID, category: str, places: Sequence[tuple[int, int]], *, by: str) -> int:
        """Remove rejected records, as if they had not been processed yet."""
        self._join()
        return self._slices.take_back_rejects(job_id, category, places, by=by)

    def edit_failed_slice(self, row: SliceRow, job_id: UUID, payload: bytes) -> bool:
        """Put another payload in the place of a failed slice's."""
        self._join()
        return self._slices.edit_failed_slice(row, job_id, payload)

    def replace_payload(self, row: KeptInput | KeptOutput, payload: bytes) -> bool:
        """Put another form of a payload in its place."""
        self._join()
        return self._slices.replace_payload(row, payload)

    def replace_exception(self, row: KeptInput, exception: str) -> bool:
        """Put another form of a slice's exception in its place."""
        self._join()
        return self._slices.replace_exception(row, exception)

    def accounts(self, job_id: UUID) -> Accounts:
        """Add up where the records are; how many there were is in the first store."""
        row = self._jobs.job(job_id)
        return self._slices.accounts(job_id)._replace(uploaded=(row and row.record_count) or 0)

    # Jobs that go --------------------------------------------------------------------------------

    def insert_jobs(self, rows: Iterable[JobRow]) -> None:
        """Store new jobs. Nothing is left over of an earlier one of the same id."""
        made = list(rows)
        for row in made:
            if row.batch and self._slices.job(row.id) is not None and self._jobs.job(row.id) is None:
                self._slices.destroy_job(row.id)
        self._jobs.insert_jobs(made)

    def destroy_job(self, job_id: UUID) -> bool:
        """Hide the job, remove its slices, then the job; in a transaction the slices go after it."""
        row = self._jobs.job(job_id)
        if row is None:
            return False
        if not row.batch:
            return self._jobs.destroy_job(job_id)
        if self._work is not None:
            self._work.after.append(partial(self._slices.destroy_job, job_id))
        else:
            self._jobs.update_job(job_id, {"draft": True, "uploader": None})
            self._slices.destroy_job(job_id)
        return self._jobs.destroy_job(job_id)

    def drop_slices(self, job_id: UUID) -> None:
        """Remove all slices, outputs and progress of a job; in a transaction, after it."""
        if self._work is not None:
            self._work.after.append(partial(self.drop_slices, job_id))
            return
        if self._jobs.job(job_id) is None:
            self._slices.destroy_job(job_id)
        self._slices.drop_slices(job_id)

    def drop_abandoned(self, *, whole: Store | None = None) -> int:
        """Remove drafts of processes that are gone, with their slices, and fail jobs whose upload broke off."""
        return self._jobs.drop_abandoned(whole=whole or cast("Store", self))

    # Both stores ---------------------------------------------------------------------------------

    def give_space_back(self) -> None:
        """Return unused space of both to the file system."""
        self._jobs.give_space_back()
        self._slices.give_space_back()

    def table_sizes(self) -> list[TableSize]:
        """Return how large the tables of both are."""
        return [*self._jobs.table_sizes(), *self._slices.table_sizes()]

    def damage(self) -> list[str]:
        """Return what either engine finds wrong."""
        return [*self._jobs.damage(), *self._slices.damage()]

    def close(self) -> None:
        """Close both."""
        self._jobs.close()
        self._slices.close()

    # Steps ---------------------------------------------------------------------------------------

    @property
    def _work(self) -> Work | None:
        """The transaction that the thread has open, or None."""
        return getattr(self._local, "work", None)

    def _join(self) -> None:
        if self._work is not None:
            self._work.join(self._slices)

    def _note_change(self, job_id: UUID) -> None:
        if self._work is not None:
            self._work.changed.add(job_id)
        else:
            self._look_again_at(job_id)

    def _look_again_at(self, job_id: UUID) -> None:
        """Make a job a candidate that runs and is not held: it may have slices again, or be at its end."""
        row = self._jobs.job(job_id)
        processing = {"state": State.RUNNING, "sub_state": SubState.PROCESSING}
        if row is not None and all(getattr(row, name) == value for name, value in processing.items()):
            self._jobs.update_job(job_id, {"sub_state": SubState.PROCESSING}, expect=processing)

    def _undo(self, work: Work) -> None:
        with self._guard:
            self._settled |= work.settled
            self._owed += work.claimed
        self._hand_back_owed()

    def _hand_back_owed(self) -> None:
        """Hand back what was claimed in vain; what cannot be now, before the next transaction."""
        if not self._owed:
            return
        with self._guard:
            owed, self._owed = self._owed, []
        try:
            while owed:
                job_id, claimed = owed[-1]
                self.hand_back_slice(job_id, claimed, crashed=False)
                owed.pop()
        except StoreError:
            with self._guard:
                self._owed += owed


def _place_for(row: JobRow) -> JobRow:
    """Return the row of a job in the second store."""
    return JobRow(row.id, row.kind, batch=True, created_at=clock.now(), state=State.PAUSED)
