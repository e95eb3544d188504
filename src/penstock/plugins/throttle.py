"""Throttles: what holds jobs back although they are due.

- `throttle_running_jobs = 3` on a class: so many of its jobs run at once, in the whole store, exactly. With
  `throttle_group` set on jobs, of any classes, the limit is for the jobs of the group.
- `dependent_jobs = ["ImportJob"]`: a job of the class starts only when no job of these kinds runs.
- `@throttle("the disk is nearly full")` on a method: asked before a job starts, in a worker.
"""

from penstock.hooks import Throttle, throttle

__all__ = ["Throttle", "throttle"]
