"""What is worked on now, where, and since when; longest first."""

from penstock import clock
from penstock.service.jobs import View, view_of_job
from penstock.store.browsing import Listing, Wanted
from penstock.store.protocol import Store

MOST = 100
"""Running jobs that are told: the most urgent of them."""


def work_under_way(store: Store) -> list[View]:
    """Return the running jobs, those that run longest first; of a batch job how many slices are worked on.

    Each is as `view_of_job` has it, with `worker`, `slices` (None of a regular job) and `seconds` since it started.
    """
    now = clock.now()
    told = []
    for row in store.browse(Listing.RUNNING, Wanted(), limit=MOST, scan=MOST).rows:
        slices = store.running_slices(row.id) if row.batch else None
        seconds = (now - row.started_at).total_seconds() if row.started_at else 0.0
        told.append({**view_of_job(row), "worker": row.worker, "slices": slices, "seconds": seconds})
    return sorted(told, key=lambda view: -view["seconds"])
