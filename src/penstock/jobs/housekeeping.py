"""`Housekeeping`: jobs that ended long ago are removed."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice

from penstock import clock
from penstock.model.fields import field
from penstock.model.job import Job, load_job
from penstock.model.kinds import known_kinds
from penstock.plugins.cron import Cron
from penstock.query import Filter, Query
from penstock.states import State
from penstock.store import Store, current_store
from penstock.store.rows import JobRow

log = logging.getLogger("penstock.jobs")

AT_ONCE = 100
"""Jobs removed in the first transaction. Never fewer: their commit alone would take most of the time."""
MOST_AT_ONCE = 500
LONGEST_SECONDS = 0.01
"""How long a transaction is to take: where there is one writer at a time, claims wait for its end."""
REST = 2
"""How often as long as a transaction took nothing is removed after it."""
_DESTROY_HOOKS = ("before_destroy", "after_destroy")


class Housekeeping(Cron, Job):
    """Remove jobs that have been aborted, completed or failed, paused or queued, for so many days; with their slices.

    A retention of None keeps them for ever. Of paused jobs the days count from when they were paused, of queued ones
    from when they were made. Comes every 15 minutes.
    """

    cron_schedule = "*/15 * * * *"
    priority = 25
    description = "Removes old jobs"

    aborted_days: float | None = field(
        7.0, ge=0, user_editable=True, copy_on_restart=True, description="Days after which jobs that were aborted go."
    )
    completed_days: float | None = field(
        7.0, ge=0, user_editable=True, copy_on_restart=True, description="Days after which jobs that were completed go."
    )
    failed_days: float | None = field(
        14.0, ge=0, user_editable=True, copy_on_restart=True, description="Days after which jobs that failed go."
    )
    paused_days: float | None = field(
        None, ge=0, user_editable=True, copy_on_restart=True, description="Days after which jobs that were paused go."
    )
    queued_days: float | None = field(
        None,
        ge=0,
        user_editable=True,
        copy_on_restart=True,
        description="Days after which jobs that were made and still wait go.",
    )
    removed: dict[str, int] = field(default_factory=dict, description="How many jobs of each state it removed.")

    def perform(self) -> None:
        """Remove what is old enough, state by state."""
        store = current_store()
        for state, days in self._retentions().items():
            if days is not None:
                count = _remove(store, state, clock.now() - timedelta(days=days))
                self.removed = {**self.removed, str(state): count}
        log.info("removed %s", ", ".join(f"{count:,} {state}" for state, count in self.removed.items()) or "nothing")

    def _retentions(self) -> dict[State, float | None]:
        return {
            State.ABORTED: self.aborted_days,
            State.COMPLETED: self.completed_days,
            State.FAILED: self.failed_days,
            State.PAUSED: self.paused_days,
            State.QUEUED: self.queued_days,
        }


def _remove(store: Store, state: State, before: datetime) -> int:
    """Remove the jobs that have been in a state since before a moment; returns how many."""
    since = "created_at" if state is State.QUEUED else "completed_at"
    found = store.find_jobs(Query(states=(state,), filters=(Filter(since, "lt", before),)))
    pace = Pace()
    count = 0
    while rows := list(islice(found, pace.size)):
        with pace.kept():
            count += _remove_some(store, rows, state)
    return count


class Pace:
    """How much is removed at once, by what the last time took, and how long nothing is then."""

    def __init__(self) -> None:
        self.size = AT_ONCE

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Measure what is done in the block, and rest behind it."""
        began = clock.monotonic()
        yield
        took = clock.monotonic() - began
        if took > LONGEST_SECONDS:
            self.size = max(AT_ONCE, self.size // 2)
        elif took < LONGEST_SECONDS / 2:
            self.size = min(MOST_AT_ONCE, self.size + self.size // 2 + 1)
        time.sleep(took * REST)


def _remove_some(store: Store, rows: list[JobRow], state: State) -> int:
    """Remove jobs. Those without slices and hooks in one transaction; the others each in its own."""
    plain = [row.id for row in rows if not (row.batch or _has_hooks(row))]
    apart = [row for row in rows if row.batch or _has_hooks(row)]
    return store.remove_jobs(plain, state) + sum(_remove_one(store, row, state) for row in apart)


def _remove_one(store: Store, row: JobRow, state: State) -> bool:
    """Remove a job, unless somebody has moved it meanwhile: whoever retries it keeps it."""
    if _has_hooks(row):
        return _destroy_with_hooks(store, row, state)
    if not store.update_job(row.id, {"draft": True, "uploader": None}, expect={"state": state, "draft": False}):
        return False
    return store.destroy_job(row.id)


def _destroy_with_hooks(store: Store, row: JobRow, state: State) -> bool:
    current = store.job(row.id)
    if current is None or current.state is not state:
        return False
    try:
        load_job(current).destroy()
    except Exception:
        log.exception("%s %s stays: its hooks refused its removal", row.kind, row.id)
        return False
    return True


def _has_hooks(row: JobRow) -> bool:
    cls = known_kinds().get(row.kind)
    return cls is not None and any(name in cls.hooks for name in _DESTROY_HOOKS)
