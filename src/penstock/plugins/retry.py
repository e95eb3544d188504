"""Retry: a job that fails is tried again by itself, later and later."""

import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import AwareDatetime

from penstock import clock
from penstock.errors import InvalidMove, JobNotFound
from penstock.hooks import after_fail
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.states import Move, State, SubState

MOST_ERRORS = 25
"""Errors that are kept, the newest ones."""
MOST_TIMES = 1000
"""Moments of failures that are kept."""
ERROR_LENGTH = 500
_ELSEWHERE = frozenset({"SlicesFailed", "penstock.errors.JobTimeout"})
"""Failures decided outside the job's own code that are worth another try. Nobody retries what kills its workers."""


class Retry(Job, abstract=True):
    """Tried again after a failure, `retry_limit` times, each time after a longer pause with a random part.

    Meanwhile the job is queued, and its exception stays to be seen. A batch job goes on at its failed records.
    """

    retry_limit: int = field(
        25, ge=0, le=1000, user_editable=True, copy_on_restart=True, description="Tries after the first; 0 for none."
    )
    failed_at_list: list[AwareDatetime] = field(default_factory=list, description="When it failed, each time.")
    errors: list[str] = field(default_factory=list, description="How it failed, the newest times.")
    failures_seen: int = field(0, description="Failures that were decided on here.")

    kept_of_failures: ClassVar[tuple[str, ...]] = ("failed_at_list", "errors", "failures_seen")

    retry_rules: ClassVar[Mapping[type[BaseException], int]] = {}
    """Limits for exceptions and their subclasses instead of `retry_limit`: `{ValueError: 0, TimeoutError: 100}`."""

    def retry_delay(self, failures: int) -> float:
        """Return the seconds to wait after a failure that comes after `failures` others.

        It grows with the fourth power, from 15 seconds to days, with up to 30 seconds more for each failure, at
        random, so that jobs that failed together do not come back together.
        """
        return failures**4 + 15 + random.uniform(0, 30) * (failures + 1)  # noqa: S311

    def plan_retry(self, error: BaseException) -> datetime | None:
        """Note the failure, and return when to try again, or None when it was tried often enough."""
        return self._note(self.describe(error).summary, self._limit_for(error))

    def will_be_retried(self) -> bool:
        """Tell whether a failure that was decided elsewhere is about to be followed by another try."""
        return self._failed_elsewhere() and self._is_worth_it(self.retry_limit)

    @after_fail
    def retry_what_failed_elsewhere(self) -> None:
        """Try again where not the job's own code failed: a batch job's slices did, or it was killed at its time-out."""
        failure = self.exception
        if failure is None or not self._failed_elsewhere():
            return
        at = self._note(failure.summary, self.retry_limit)
        if at is None:
            self.save()
            return
        goes_on = self.batch and self.sub_state in (SubState.PROCESSING, SubState.AFTER)
        with suppress(InvalidMove, JobNotFound):  # Somebody has aborted or retried it meanwhile, or destroyed it.
            self._move(Move.RETRY, {"held_until" if goes_on else "run_at": at, "exception": failure.to_json()})

    def _failed_elsewhere(self) -> bool:
        seen = self.failure_count <= self.failures_seen
        failure = self.exception
        return bool(
            self.is_kept and self.state is State.FAILED and not seen and failure and failure.class_name in _ELSEWHERE
        )

    def _note(self, summary: str, limit: int) -> datetime | None:
        now, failures = clock.now(), len(self.failed_at_list)
        worth = self._is_worth_it(limit)
        self.failed_at_list = [*self.failed_at_list, now][-MOST_TIMES:]
        self.errors = [*self.errors, summary[:ERROR_LENGTH]][-MOST_ERRORS:]
        self.failures_seen = self.failure_count if self.state is State.FAILED else self.failure_count + 1
        return now + timedelta(seconds=self.retry_delay(failures)) if worth else None

    def _is_worth_it(self, limit: int) -> bool:
        return len(self.failed_at_list) < min(limit, MOST_TIMES) and not self.is_expired

    def _limit_for(self, error: BaseException) -> int:
        """Return the limit of the rule that fits most closely."""
        for cls in type(error).__mro__:
            if cls in self.retry_rules:
                return self.retry_rules[cls]
        return self.retry_limit
