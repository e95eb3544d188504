"""`FunctionJob`: the job behind a function, with what belongs to every function."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from penstock import clock
from penstock.functions import destination
from penstock.functions.arguments import Arguments
from penstock.functions.places import group_of
from penstock.functions.run import drive, drive_async, plan
from penstock.model.fields import field
from penstock.plugins.retry import Retry
from penstock.states import State

if TYPE_CHECKING:
    from penstock.functions.function import JobFunction

PROGRESS_SECONDS = 0.1
"""How long after a progress value the next one is held back: the newest is stored when the run ends at the latest."""


class FunctionJob(Retry, abstract=True):
    """One call of a job function. Its arguments are fields, under the names of the parameters.

    A parameter that is called like a field of every job, as `id` or `priority`, is a field with `_` behind its name.
    """

    function: ClassVar["JobFunction[Any, Any]"]
    answers: ClassVar[bool] = True

    destroy_on_complete = False
    collect_output = True
    retry_limit = 9

    backoff: float | Literal["growing"] = field(
        5.0,
        user_editable=True,
        copy_on_restart=True,
        description="Seconds by which the pause before each retry is longer than the one before; or as Retry has it.",
    )
    period: float | None = field(
        None, gt=0, user_editable=True, description="Seconds from each completion to the next run; None: it runs once."
    )
    repeatable: bool = field(True, description="Whether it may run again when the worker or node is lost that ran it.")
    node: str | None = field(None, user_editable=True, description="The node that is to run it, if it can.")
    not_node: str | None = field(None, user_editable=True, description="The node that must not run it.")
    strict: bool = field(False, user_editable=True, description="Whether no other node than `node` may run it.")
    heavy: bool = field(
        False,
        user_editable=True,
        description="Whether it is to have a process of its own while it runs, where its node keeps any.",
    )
    runs: int = field(0, description="Periods that are through.")
    added: dict[str, Any] = field(default_factory=dict, description="What the steps of the run added to its arguments.")
    progress: Any = field(None, description="What the run last said of how far it is.")
    abort_counts_as: Literal["success", "error"] | None = field(
        None, description="Of a job that its own run aborted: what that means for who waits for it."
    )

    _told_at: float = float("-inf")

    def perform(self) -> Any:
        """Call the function and its steps."""
        return drive(plan(self))

    def report_progress(self, value: Any) -> None:
        """Say how far the run is: any storable value. Seldom enough, it is passed on at once; the newest stays.

        A function gets the job in a parameter called `job_itself`.
        """
        self.progress = value
        now = clock.monotonic()
        if self.is_kept and now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            destination.current().tell_progress(self, value)

    def retry_delay(self, failures: int) -> float:
        """Return the seconds to wait after a failure that comes after `failures` others: linear unless told else."""
        if self.period is not None:
            return self.period
        if self.function.backoff is not None:
            return self.function.backoff(failures + 1)
        return super().retry_delay(failures) if self.backoff == "growing" else (failures + 1) * self.backoff

    def bind_to_places(self) -> None:
        """Have the job claimed only where it may run, and show what it waits for.

        Raises:
            ValueError: no node may run it; or it is in a throttle group of its own.
        """
        if self.strict and self.node is None:
            raise ValueError("strict=True needs node=")
        if self.strict and self.node == self.not_node:
            raise ValueError(f"no node may run it: node= and not_node= are both {self.node!r}")
        if self.throttle_group is not None:
            raise ValueError("throttle_group= cannot be had together with strict=, not_node= or heavy=")
        self.throttle_group = group_of(self.node, self.not_node, strict=self.strict, heavy=self.heavy)
        self.row.throttled_by = f"waits for {self._place()}"

    def _place(self) -> str:
        if self.strict:
            return f"node {self.node!r}"
        return f"another node than {self.not_node!r}" if self.not_node is not None else "a process of its own"

    # For the run ---------------------------------------------------------------------------------

    def note_added(self, arguments: Arguments) -> None:
        """Keep what the steps added."""
        added = arguments.added()
        if added:
            self.added = added

    def keep_failure(self, error: BaseException) -> None:
        """Keep why an errback ended the job."""
        self.abort_counts_as = "error"
        if self._attempt is not None:
            self._attempt.failure = self.describe(error)

    def end_run(self) -> None:
        """Note that the run succeeded: a periodic job is queued for its next one, with all its tries."""
        if self.has_moved:
            self.abort_counts_as = "success" if self.state is State.ABORTED else None
        elif self.period is not None and self.is_in_attempt:
            self.failed_at_list, self.errors = [], []
            self.runs += 1
            self.snooze(self.period)


class AsyncFunctionJob(FunctionJob, abstract=True):
    """One call of an `async` job function."""

    async def perform(self) -> Any:
        """Call the function and its steps, and await what is to be awaited."""
        return await drive_async(plan(self))
