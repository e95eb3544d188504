"""ProcessingWindow: a job that starts only at certain times."""

from datetime import UTC, datetime, timedelta

from pydantic import field_validator

from penstock import clock
from penstock.hooks import before_create, before_retry
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.plugins.schedule import CronSchedule


class ProcessingWindow(Job, abstract=True):
    """Starts only within `processing_duration` seconds after an occurrence of `processing_schedule`.

    One that is made or retried outside the window waits for its next opening, in `run_at`. One that comes to be
    started outside it, because no server ran or all were busy, is queued again for the next opening. What has
    started goes on when the window closes.
    """

    processing_schedule: str = field(
        user_editable=True, copy_on_restart=True, description="When the window opens: a cron schedule."
    )
    processing_duration: float = field(
        gt=0, user_editable=True, copy_on_restart=True, description="Seconds for which it stays open."
    )

    @field_validator("processing_schedule")
    @classmethod
    def check_processing_schedule(cls, text: str) -> str:
        """Refuse what is no schedule."""
        CronSchedule(text)
        return text

    def is_window_open(self, moment: datetime | None = None) -> bool:
        """Tell whether the window is open, now or at another moment."""
        at = moment or clock.now()
        # A moment later: the first instant of a window belongs to it.
        opened = CronSchedule(self.processing_schedule).previous_before(at + timedelta(microseconds=1)).astimezone(UTC)
        return opened + timedelta(seconds=self.processing_duration) > at

    def closed_until(self) -> tuple[datetime, str] | None:
        """Return when the window opens next, unless it is open."""
        if self.is_window_open():
            return super().closed_until()
        return self._next_opening(clock.now()), "outside its processing window"

    @before_create
    @before_retry
    def wait_for_window(self) -> None:
        """Let `run_at` lie within the window."""
        start = max(self.run_at or clock.now(), clock.now())
        if not self.is_window_open(start):
            self.run_at = self._next_opening(start)

    def _next_opening(self, moment: datetime) -> datetime:
        return CronSchedule(self.processing_schedule).next_after(moment).astimezone(UTC)
