"""`OnDemand` and `OnDemandBatch`: jobs whose code comes with them."""

import getpass
import socket
from collections.abc import Callable
from typing import Any

from pydantic import PrivateAttr, field_validator

from penstock.batch.job import BatchJob
from penstock.hooks import after_batch, before_batch
from penstock.jobs.code import function_of, refuse_broken
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.plugins.cron import Cron
from penstock.plugins.retry import Retry


def _person() -> str:
    """Return who runs this process, and where."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return socket.gethostname()


class OnDemand(Cron, Retry, Job):
    """Run code that comes with the job: the body of a function that is given `job` and `data`.

    Workers refuse it unless their setting `allow_on_demand_code` is on. The code of a stored job cannot be edited: who
    may edit jobs may not thereby run code.
    """

    retry_limit = 0
    destroy_on_complete = False
    cron_singleton = False

    code: str = field(copy_on_restart=True, description="Python; it sees `job` and `data`.")
    data: dict[str, Any] = field(
        default_factory=dict, user_editable=True, copy_on_restart=True, description="What the code works on."
    )
    created_by: str = field(default_factory=_person, copy_on_restart=True, description="Who made the job.")

    @field_validator("code")
    @classmethod
    def check_code(cls, code: str) -> str:
        """Refuse what is no Python."""
        return refuse_broken(code)

    def perform(self) -> Any:
        """Run the code; with `collect_output`, what it returns is kept."""
        return function_of(self.code, "job", "data")(self, self.data)


class OnDemandBatch(Cron, Retry, BatchJob):
    """Run code that comes with the job for each record: the body of a function given `record`, `job` and `data`.

    `before_code` may upload records (`job.upload(…)`), `after_code` may download results. Workers refuse it unless
    their setting `allow_on_demand_code` is on.
    """

    priority = 90
    retry_limit = 0
    destroy_on_complete = False
    cron_singleton = False

    code: str = field(copy_on_restart=True, description="Python; sees `record`, `job`, `data`.")
    before_code: str | None = field(
        None, copy_on_restart=True, description="Python that runs once before; sees `job`, `data`."
    )
    after_code: str | None = field(
        None, copy_on_restart=True, description="Python that runs once after; sees `job`, `data`."
    )
    data: dict[str, Any] = field(
        default_factory=dict, user_editable=True, copy_on_restart=True, description="What the code works on."
    )
    created_by: str = field(default_factory=_person, copy_on_restart=True, description="Who made the job.")

    _function: Callable[..., Any] | None = PrivateAttr(None)

    @field_validator("code", "before_code", "after_code")
    @classmethod
    def check_code(cls, code: str | None) -> str | None:
        """Refuse what is no Python."""
        return None if code is None else refuse_broken(code)

    @before_batch
    def run_before_code(self) -> None:
        """Run `before_code`."""
        self._run(self.before_code)

    @after_batch
    def run_after_code(self) -> None:
        """Run `after_code`."""
        self._run(self.after_code)

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Run the code for a record."""
        if self._function is None:
            self._function = function_of(self.code, "record", "job", "data")
        return self._function(record, self, self.data)

    def _run(self, code: str | None) -> None:
        if code is not None:
            function_of(code, "job", "data")(self, self.data)
