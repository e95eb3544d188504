"""Waiting for the end of a job."""

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from penstock import clock
from penstock.errors import WaitTimeout
from penstock.states import ENDED
from penstock.store import Topic, current_store

if TYPE_CHECKING:
    from penstock.model.job import Job

CHECK_SECONDS = 1.0
"""How often the job is looked at without a wake-up, in case one was lost."""


def wait_for_end(job: "Job", timeout: float | None) -> None:
    """Read a job again until it has ended; see `Job.wait`."""
    deadline = None if timeout is None else clock.monotonic() + timeout
    ended = threading.Event()
    with closing(current_store().listen(Topic.ENDED, ended.set)):
        while job.reload().state not in ENDED:
            left = CHECK_SECONDS if deadline is None else deadline - clock.monotonic()
            if left <= 0:
                raise WaitTimeout(f"job {job.id} is still {job.state} after {timeout:g} s")
            ended.wait(min(left, CHECK_SECONDS))
            ended.clear()
