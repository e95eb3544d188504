"""Schedules as people see them: the jobs that come back by a cron text, and when they run next.

A schedule is a job with a `cron_schedule` that is queued, running or paused; when it ends, its next instance has it.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.errors import InvalidMove, JobNotFound, PenstockError
from penstock.plugins.cron import CronSchedule
from penstock.query import Filter, Query
from penstock.service.auditing import acting, target_of_job
from penstock.service.editing import edit_job
from penstock.service.jobs import View, get_job, view_of_job
from penstock.service.moving import ACTIONS, act_on_jobs
from penstock.service.people import By
from penstock.service.times import iso_text
from penstock.states import State
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

FIELD = "cron_schedule"
LIVE = (State.QUEUED, State.RUNNING, State.PAUSED)


def list_schedules(store: Store, *, kinds: Sequence[str] = ()) -> list[View]:
    """Return all schedules, the oldest first; `last` is the instance before, None where there is none any more."""
    query = Query(kinds=tuple(kinds), states=LIVE, filters=(Filter(FIELD, "gt", ""),))
    rows = list(store.find_jobs(query))
    last = _instances_before(store, rows)
    return [{**view_of_schedule(row), "last": last.get(str(row.id))} for row in rows]


def view_of_schedule(row: JobRow) -> View:
    """Return one schedule: its job, its `schedule`, and when it runs next."""
    text = _schedule_of(row)
    view = view_of_job(row)
    kept = {name: view[name] for name in ("id", "kind", "state", "description")}
    return {**kept, "schedule": text, "next_run_at": iso_text(_next_run(row, text))}


def next_times(text: str, count: int = 5, *, after: datetime | None = None) -> list[datetime]:
    """Return the next times of a cron text, in its zone.

    Args:
        text: The text.
        count: How many.
        after: The moment from which they are counted; None is now.

    Raises:
        InvalidSchedule: the text means nothing.
    """
    return CronSchedule(text).upcoming(after or clock.now(), count)


def schedule_of_job(store: Store, job_id: UUID) -> str:
    """Return the cron text of a job.

    Raises:
        JobNotFound: there is no such job, or it has no schedule.
    """
    return _schedule_of(get_job(store, job_id))


def edit_schedule(store: Store, job_id: UUID, text: str, *, by: By) -> View:
    """Give a schedule another text; when it runs next is planned anew.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job, or it has no schedule.
        InvalidMove: it is not queued, running or paused: its next instance has the schedule.
        UnknownKind: its class was not imported.
        InvalidSchedule: the text means nothing; nothing is changed.
        DuplicateJob: there is a job of the kind with this schedule.
    """
    with acting(store, by, "schedule.edit", target_of_job(job_id)):
        _live(store, job_id)
        CronSchedule(text)
    edit_job(store, job_id, {FIELD: text}, by=by, right="schedule.edit")
    return view_of_schedule(get_job(store, job_id))


def run_schedule_now(store: Store, job_id: UUID, *, by: By) -> View:
    """Let a schedule's job start at once; its next instance is planned when it ends, as ever.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job, or it has no schedule.
        InvalidMove: it is not queued.
    """
    with acting(store, by, "schedule.run-now", target_of_job(job_id)):
        _live(store, job_id)
    acted = act_on_jobs(store, ACTIONS["run-now"].name, [job_id], by=by)
    if acted.refused:
        raise InvalidMove(acted.refused[0].reason)
    return view_of_schedule(get_job(store, job_id))


def _live(store: Store, job_id: UUID) -> None:
    row = get_job(store, job_id)
    _schedule_of(row)
    if row.state not in LIVE:
        raise InvalidMove(f"job {job_id} is {row.state}; `penstock schedules list` shows the one that runs next")


def _schedule_of(row: JobRow) -> str:
    text: Any = json.loads(row.fields).get(FIELD)
    if not isinstance(text, str):
        raise JobNotFound(f"job {row.id} has no schedule; `penstock schedules list` shows those that have")
    return text


def _next_run(row: JobRow, text: str) -> datetime | None:
    """Return when a schedule runs next; None while it is paused, or where its text cannot be read."""
    if row.state is State.PAUSED:
        return None
    if row.state is State.QUEUED:
        return row.run_at or clock.now()
    try:
        return CronSchedule(text).next_after(clock.now())
    except (PenstockError, OverflowError):
        return None


def _instances_before(store: Store, rows: Sequence[JobRow]) -> dict[str, View]:
    """Return for each schedule's id the job that it followed, where that is still there."""
    if not rows:
        return {}
    followed = Filter("succeeded_by", "in", tuple(str(row.id) for row in rows))
    before = store.find_jobs(Query(kinds=tuple({row.kind for row in rows}), filters=(followed,)))
    return {
        json.loads(row.fields)["succeeded_by"]: {
            "id": str(row.id),
            "state": str(row.state),
            "ended_at": iso_text(row.completed_at),
        }
        for row in before
    }
