"""Cron: a job that comes back by a schedule."""

import json
from datetime import UTC

from pydantic import field_validator

from penstock import clock
from penstock.hooks import after_abort, after_complete, after_fail, after_start, before_save
from penstock.model.fields import field
from penstock.plugins.schedule import CronSchedule, InvalidSchedule
from penstock.plugins.succession import Succession
from penstock.states import State

__all__ = ["Cron", "CronSchedule", "InvalidSchedule"]


class Cron(Succession, abstract=True):
    """Runs at the times of `cron_schedule`: when one instance ends, however it ends, the next is queued.

    The next one is made from the fields marked `copy_on_restart`. It takes the schedule with it: an instance that
    failed stays without one, to be looked at, and retried runs once. Times that passed while nothing ran, or while
    the one before ran, come once. An instance that has expired has no next one; destroyed, the schedule is gone.
    """

    cron_schedule: str | None = field(
        None,
        user_editable=True,
        copy_on_restart=True,
        indexed=True,  # So that schedules are found however many other jobs there are.
        description="When to run, as `0 1 * * mon-fri Europe/Berlin`.",
    )
    cron_singleton: bool = field(
        True,
        user_editable=True,
        copy_on_restart=True,
        description="Whether only one job of the kind may wait or run with the same schedule.",
    )
    cron_after_start: bool = field(
        False,
        user_editable=True,
        copy_on_restart=True,
        description="Whether the next instance is made when this one starts, so that runs may overlap.",
    )

    @field_validator("cron_schedule")
    @classmethod
    def check_cron_schedule(cls, text: str | None) -> str | None:
        """Refuse what is no schedule."""
        if text is not None:
            CronSchedule(text)
        return text

    def unique_key(self) -> str | None:
        """Return the kind with the schedule, unless `unique_by` says otherwise or `cron_singleton` is off."""
        if self.unique_by is not None or not (self.cron_singleton and self.cron_schedule):
            return super().unique_key()
        return f"{self.kind} cron {' '.join(self.cron_schedule.split())}"

    @before_save
    def plan_next_run(self) -> None:
        """Set `run_at` where the schedule changed, unless `run_at` was changed by hand."""
        planned = json.loads(self._as_stored).get("cron_schedule") if self.is_stored else None
        by_hand = self.run_at != (self.row.run_at if self.is_stored else None)
        if self.cron_schedule and self.cron_schedule != planned and not by_hand:
            self.run_at = CronSchedule(self.cron_schedule).next_after(clock.now()).astimezone(UTC)

    @after_start
    def schedule_next_at_start(self) -> None:
        """Make the next instance now, where `cron_after_start` says so."""
        if self.cron_after_start:
            self._hand_on()

    @after_complete
    @after_abort
    def schedule_next_at_end(self) -> None:
        """Make the next instance."""
        self._hand_on()

    @after_fail
    def schedule_next_after_failure(self) -> None:
        """Make the next instance, unless this one will be tried again by itself."""
        if self.state is State.FAILED and not self.will_be_retried():
            self._hand_on()

    def _hand_on(self) -> None:
        if self.is_kept and self.cron_schedule and not self.is_expired:
            self.succeed(cron_schedule=None)
