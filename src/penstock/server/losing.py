"""Pieces of work that were lost: not started, or gone with their worker. They are queued again, or fail for good."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from penstock import events
from penstock.model.failure import Failure
from penstock.model.sealing import TAG
from penstock.server.berths import is_repeatable
from penstock.server.ending import Endings
from penstock.server.ledger import Ending, Ledger, Returned
from penstock.server.messages import Decision, JobDone
from penstock.server.settling import (
    MOST_CRASHES,
    UNKNOWN_SECONDS,
    HeldDue,
    HeldHook,
    HeldJob,
    HeldSlice,
    crash_of_job,
    crash_of_slice,
    lost_job,
    lost_slice,
    move_values,
    summary_of,
    timed_out,
)
from penstock.states import Move, State
from penstock.store.rows import JobRow

_SEALED = ('"encrypt":true', f'"{TAG}"')


class Losses:
    """Gives pieces back."""

    def __init__(self, ledger: Ledger, endings: Endings) -> None:
        self._ledger = ledger
        self._endings = endings
        self._crashed_jobs: set[UUID] = set()

    def note_crashes(self, returned: Iterable[Returned]) -> None:
        """Note which jobs died with their workers, before any of these is handed back.

        Hooks of theirs that were on the same worker are not to blame for it, and run again however often it happens.
        """
        crashed = (back.piece.subject for back in returned if back.evidence is not None)
        self._crashed_jobs.update(held.row.id for held in crashed if isinstance(held, HeldJob))

    def park_unknown(self, back: Returned, row: JobRow) -> None:
        """Give back a job whose worker had no class for it, as while a new version is being put in place."""
        self._park(back, row, self._ledger.now + timedelta(seconds=UNKNOWN_SECONDS))

    def park_due(self, back: Returned, held: HeldDue, decided: Decision) -> None:
        """Give back hooks that met trouble of the store's: they are as due as before, and their kind rests."""
        self._park(back, held.row, decided.at or self._ledger.now)
        self._ledger.announce(events.JobHeld(held.row.id, held.row.kind, f"{held.moments}: {decided.reason}"))

    def _park(self, back: Returned, row: JobRow, until: datetime) -> None:
        self.hand_back(back)
        self._ledger.outcome.held_kinds[row.kind] = until

    def hand_back(self, back: Returned) -> None:
        """Queue a piece again; one that has killed too many workers, or took too long, fails instead."""
        held, evidence = back.piece.subject, self._told_of(back)
        if back.overdue:
            self._time_out(back)
            return
        if (evidence is not None or back.lost) and isinstance(held, HeldJob) and not self._may_run_again(held.row):
            self._fail_lost(held.row, lost_job(held.row, back.evidence or "", self._ledger.now, back.worker))
            return
        blameless = evidence is None or (isinstance(held, HeldDue) and held.row.id in self._crashed_jobs)
        crashes = 0 if blameless else _crashes_before(held) + 1
        if evidence is not None and crashes >= MOST_CRASHES:
            self._quarantine(back, evidence)
        elif isinstance(held, HeldSlice):
            self._ledger.store.hand_back_slice(
                held.job_id, held.claimed, crashed=crashes > 0, server=self._ledger.server
            )
        elif isinstance(held, HeldDue):
            self._hand_back_due(held, crashes)
        elif self._hand_back_job(held.row, crashed=crashes > 0):
            self._ledger.note_move(held.row, None)
            if crashes and not held.row.batch:
                self._make_due(held.row, Move.REQUEUE)
        else:
            self._ledger.store.let_go(held.row.id, held.row.attempt, server=self._ledger.server)

    def _may_run_again(self, row: JobRow) -> bool:
        return is_repeatable(row, self._ledger.kinds.get(row.kind))

    def _hand_back_job(self, row: JobRow, *, crashed: bool) -> bool:
        back = self._ledger.store.hand_back_job(row.id, row.attempt, crashed=crashed, server=self._ledger.server)
        return back is not None

    def _told_of(self, back: Returned) -> str | None:
        """Return how a worker died; without its last words where they may quote what is sealed."""
        held, evidence = back.piece.subject, back.evidence
        kind = held.kind if isinstance(held, HeldSlice) else held.row.kind
        facts = self._ledger.kinds.get(kind)
        if evidence is None or not ((facts is not None and facts.sealed) or self._is_sealed(held)):
            return evidence
        return f"{evidence.partition(chr(10))[0]}\n(what it wrote is not kept: the job is sealed)"

    def _is_sealed(self, held: HeldSlice | HeldJob | HeldHook | HeldDue) -> bool:
        """Tell whether this one job has anything sealed, whatever its class says. Asked after a crash only."""
        row = self._ledger.store.job(held.job_id) if isinstance(held, HeldSlice) else held.row
        return row is not None and any(mark in row.fields for mark in _SEALED)

    def _hand_back_due(self, held: HeldDue, crashes: int) -> None:
        if crashes:
            self._ledger.store.update_job(held.row.id, {"crash_count": crashes})
        self._ledger.store.finish_hooks(held.row.id, server=self._ledger.server, ran="", changes={})

    def _quarantine(self, back: Returned, evidence: str) -> None:
        held = back.piece.subject
        if isinstance(held, HeldSlice):
            self._endings.settle_slices([(held, crash_of_slice(held, evidence, back.place, back.worker), None)])
        elif isinstance(held, HeldDue):
            failure = Failure("WorkerCrashed", f"in {held.moments}, {MOST_CRASHES} times; {evidence}", [], back.worker)
            self._endings.settle_due(held, JobDone(0, 0.0, failure.to_json(), None, {}, {}))
        else:
            self._fail_lost(held.row, crash_of_job(held.row, evidence, self._ledger.now, back.worker))

    def _fail_lost(self, row: JobRow, values: dict[str, Any]) -> None:
        """Fail a job whose worker is gone."""
        values = {**values, **self._ledger.due_after(row, [Move.FAIL])}
        if self._ledger.store.update_job(row.id, values, expect={"state": State.RUNNING, "attempt": row.attempt}):
            self._ledger.note_move(row, values)
            self._ledger.note_ending(Ending(row, Move.FAIL, failure=values["exception"]))
            self._ledger.announce(events.JobFailed(row.id, row.kind, summary_of(values["exception"]), 0.0))
        else:
            self._ledger.note_refusal(row)

    def _make_due(self, row: JobRow, move: Move) -> None:
        """Make the hooks due that follow a move which the store has made already."""
        values = self._ledger.due_after(row, [move])
        if values and self._ledger.store.update_job(row.id, values):
            self._ledger.note_move(row, values)

    def _time_out(self, back: Returned) -> None:
        """Fail a piece that was told to end, did not, and lost its worker for it."""
        held = back.piece.subject
        failure = timed_out(back.worker, back.place)
        if isinstance(held, HeldSlice):
            self._endings.settle_slices([(held, lost_slice(held, failure), None)])
        elif isinstance(held, HeldDue):
            self._endings.settle_due(held, JobDone(0, 0.0, failure.to_json(), None, {}, {}))
        else:
            given = {"exception": failure.to_json()}
            self._fail_lost(held.row, move_values(held.row, Move.FAIL, self._ledger.now, given))


def _crashes_before(held: HeldSlice | HeldJob | HeldHook | HeldDue) -> int:
    return held.claimed.crash_count if isinstance(held, HeldSlice) else held.row.crash_count
