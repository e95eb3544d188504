"""Restart: a job that starts anew whenever it ends."""

from penstock.hooks import after_abort, after_complete, after_fail
from penstock.plugins.succession import Succession
from penstock.states import State


class Restart(Succession, abstract=True):
    """When it is completed or aborted, a new instance is queued with the fields marked `copy_on_restart`.

    One that fails is aborted, and so starts anew, unless it will be retried by itself. One that has expired ends
    for good. To end it otherwise, destroy it, or give it an `expires_at`.
    """

    @after_complete
    @after_abort
    def restart_when_ended(self) -> None:
        """Make the next instance."""
        if self.is_kept and not self.is_expired:
            self.succeed()

    @after_fail
    def restart_when_failed(self) -> None:
        """Abort the job, which makes the next instance."""
        if self.is_kept and self.state is State.FAILED and not self.will_be_retried() and not self.is_expired:
            self.abort()
