"""Whether work is done: not whether a process exists, but whether what is due is taken up. And figures for machines."""

from datetime import timedelta

from penstock import clock
from penstock.service.jobs import View
from penstock.service.listing import counts_of_jobs
from penstock.states import ServerState
from penstock.store.protocol import Store

STUCK = timedelta(minutes=5)
"""A job that may start and has waited so long, while nothing ends, is a sign that nothing goes on."""


def progress_made(store: Store) -> View:
    """Return whether work is done, `ok`, and the `reason` where it is not.

    It is, when nothing is due; or when a server that lives claims work and either something ended or the oldest job
    that may start came within `STUCK`. Servers of another host count as living.
    """
    servers = store.servers()
    working = [row for row in servers if row.state == ServerState.RUNNING and store.is_present(row.name) is not False]
    job_id = store.oldest_waiting()
    oldest = store.job(job_id) if job_id is not None else None
    told: View = {"ok": True, "reason": None, "servers": len(working), "waiting": oldest is not None}
    if oldest is None:
        return told
    since = max(filter(None, (oldest.created_at, oldest.run_at)))
    told["waiting_seconds"] = round(max(0.0, (clock.now() - since).total_seconds()), 1)
    if not working:
        return {**told, "ok": False, "reason": "jobs are due, and no server works"}
    if clock.now() - since > STUCK and not _anything_ended(store):
        minutes = int(STUCK.total_seconds() // 60)
        return {**told, "ok": False, "reason": f"a job has waited for more than {minutes} min, and nothing ended"}
    return told


def figures_text(store: Store) -> str:
    """Return figures of the store in the text form of Prometheus: jobs by list, servers, the oldest that waits.

    Counts stop at 10,000. What servers do is told by each of them, with `penstock server --metrics`.
    """
    counts = counts_of_jobs(store)
    health = progress_made(store)
    lines = [
        "# HELP penstock_jobs_stored Jobs in the store, by list; counting stops at 10000.",
        "# TYPE penstock_jobs_stored gauge",
        *(f'penstock_jobs_stored{{state="{name}"}} {count}' for name, count in counts.items()),
        "# HELP penstock_servers Servers that claim work.",
        "# TYPE penstock_servers gauge",
        f"penstock_servers {health['servers']}",
        "# HELP penstock_oldest_waiting_seconds How long the oldest job that may start has waited.",
        "# TYPE penstock_oldest_waiting_seconds gauge",
        f"penstock_oldest_waiting_seconds {health.get('waiting_seconds', 0)}",
        "# HELP penstock_progress Whether work is done that is due.",
        "# TYPE penstock_progress gauge",
        f"penstock_progress {int(health['ok'])}",
    ]
    return "\n".join(lines) + "\n"


def _anything_ended(store: Store) -> bool:
    since = (clock.now() - STUCK).replace(second=0, microsecond=0)
    return any(row.completed or row.failed or row.retried or row.records for row in store.figures(since))
