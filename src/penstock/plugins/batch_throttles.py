"""What makes big batch jobs give way: windows in which their slices run, and a priority that falls with their size."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from pydantic import model_validator

from penstock import clock
from penstock.hooks import before_batch
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.plugins.schedule import CronSchedule

LEAST_URGENT = 100


class ThrottleWindows(Job, abstract=True):
    """Slices run only within `primary_duration` seconds after an occurrence of `primary_schedule`, or the same of the
    secondary one.

    A job that has started rests between two slices when the windows are closed, and goes on when one opens. Without a
    primary schedule slices always run.
    """

    primary_schedule: str | None = field(
        None, user_editable=True, copy_on_restart=True, description="When the first window opens: a cron schedule."
    )
    primary_duration: float | None = field(
        None, gt=0, user_editable=True, copy_on_restart=True, description="Seconds for which it stays open."
    )
    secondary_schedule: str | None = field(
        None, user_editable=True, copy_on_restart=True, description="When a second window opens."
    )
    secondary_duration: float | None = field(
        None, gt=0, user_editable=True, copy_on_restart=True, description="Seconds for which that stays open."
    )

    @model_validator(mode="after")
    def check_windows(self) -> Self:
        """Refuse what is no schedule, and one without a duration."""
        for name in ("primary", "secondary"):
            schedule, duration = getattr(self, f"{name}_schedule"), getattr(self, f"{name}_duration")
            if schedule is not None:
                CronSchedule(schedule)
            if (schedule is None) is not (duration is None):
                raise ValueError(f"{name}_schedule and {name}_duration go together")
        return self

    def slices_closed_until(self) -> tuple[datetime, str] | None:
        """Return when a window opens next, unless one is open."""
        if self.primary_schedule is None:
            return super().slices_closed_until()
        now = clock.now()
        windows = [
            (CronSchedule(schedule), duration)
            for schedule, duration in (
                (self.primary_schedule, self.primary_duration),
                (self.secondary_schedule, self.secondary_duration),
            )
            if schedule is not None and duration is not None
        ]
        if any(_is_open(schedule, duration, now) for schedule, duration in windows):
            return super().slices_closed_until()
        opens = min(schedule.next_after(now).astimezone(UTC) for schedule, _ in windows)
        return opens, "outside the windows of its slices"


class LowerPriority(Job, abstract=True):
    """Makes a batch job less urgent by one for each `lower_priority_count` records, when it starts."""

    lower_priority_count: ClassVar[int] = 100_000

    @before_batch
    def lower_priority(self) -> None:
        """Add to `priority`, up to 100."""
        self.priority = min(LEAST_URGENT, self.priority + (self.row.record_count or 0) // self.lower_priority_count)


def _is_open(schedule: CronSchedule, duration: float, now: datetime) -> bool:
    # A moment later: the first instant of a window belongs to it.
    opened = schedule.previous_before(now + timedelta(microseconds=1)).astimezone(UTC)
    return opened + timedelta(seconds=duration) > now
