"""Are we all right? What an operator looks at first, at the same cost however much there is."""

from datetime import timedelta
from typing import Any

from penstock import clock
from penstock.service.jobs import View, line_of_job, progress_of, view_of_job
from penstock.service.listing import counts_of_jobs
from penstock.service.servers import list_servers
from penstock.service.times import iso_text
from penstock.states import State
from penstock.store.browsing import Listing, Wanted
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

SHOWN = 10
"""Running batch jobs and failed jobs that are shown."""
LOOKED = 100
"""Running jobs among which batch jobs are looked for."""
HOUR = timedelta(hours=1)
MOST_MINUTES = 7 * 24 * 60


def show_overview(store: Store, *, minutes: int = 60) -> View:
    """Return how things stand: counts, what waits longest, what failed, figures by the minute, servers, batch jobs.

    Args:
        store: The store.
        minutes: How far back the figures go, up to a week.
    """
    now = clock.now()
    figures = figures_of(store, minutes=max(minutes, 60))
    past_hour = [line for line in figures if line["minute"] >= (iso_text(now - HOUR) or "")]
    return {
        "at": iso_text(now),
        "counts": counts_of_jobs(store),
        "oldest_waiting": _oldest(store),
        "failed_last_hour": sum(line["failed"] for line in past_hour),
        "completed_last_hour": sum(line["completed"] for line in past_hour),
        "figures": figures[-minutes:],
        "servers": list_servers(store),
        "running_batches": running_batches(store),
        "last_failed": [line_of_job(row) for row in store.browse(Listing.FAILED, Wanted(), limit=SHOWN, scan=100).rows],
    }


def figures_of(store: Store, *, minutes: int = 60) -> list[View]:
    """Return what all servers did in each of the last minutes, the oldest first; minutes without anything are zeros."""
    last = clock.now().replace(second=0, microsecond=0)
    span = min(max(1, minutes), MOST_MINUTES)
    first = last - timedelta(minutes=span - 1)
    found = {row.minute: row._asdict() for row in store.figures(first)}
    nothing = dict.fromkeys(("completed", "failed", "retried", "records", "failed_slices"), 0)
    moments = [first + timedelta(minutes=number) for number in range(span)]
    return [{**nothing, **found.get(moment, {}), "minute": iso_text(moment)} for moment in moments]


def running_batches(store: Store) -> list[View]:
    """Return batch jobs under way, the most urgent first, each with its progress and the time it will still take."""
    page = store.browse(Listing.RUNNING, Wanted(), limit=LOOKED, scan=LOOKED)
    rows = [row for row in page.rows if row.batch][:SHOWN]
    return [{**view_of_job(row), **pace_of(store, row)} for row in rows]


def pace_of(store: Store, row: JobRow) -> dict[str, Any]:
    """Return how far a batch job is, its records a second since it started, and when it will have ended at that pace.

    Both are None while they cannot be told. What it was paused counts as time it took.
    """
    told = progress_of(store, row)
    processed = told.get("processed")
    until = row.completed_at or clock.now()
    seconds = (until - row.started_at).total_seconds() if row.started_at else 0.0
    rate = processed / seconds if processed and seconds > 0 else None
    left = None
    if rate and row.record_count is not None and row.completed_at is None:
        left = max(0.0, row.record_count - int(processed or 0)) / rate
    ends_at = iso_text(clock.now() + timedelta(seconds=left)) if left is not None and left < 10**8 else None
    return {**told, "records_per_second": rate, "seconds_left": left, "ends_at": ends_at}


def _oldest(store: Store) -> View | None:
    job_id = store.oldest_waiting()
    row = store.job(job_id) if job_id is not None else None
    if row is None or row.state is not State.QUEUED:  # One that runs may have slices that nobody has taken.
        return None
    since = max(filter(None, (row.created_at, row.run_at)))
    return {**view_of_job(row), "waiting_since": iso_text(since), "seconds": (clock.now() - since).total_seconds()}
