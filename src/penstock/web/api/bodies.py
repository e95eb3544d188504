"""What requests of the API hold, as models: they check what comes, and are its description."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from penstock.service.listing import ListAsked
from penstock.service.moving import ACTIONS
from penstock.store.browsing import Listing

ActionName = Literal["retry", "pause", "resume", "abort", "fail", "destroy", "run-now"]
assert set(ActionName.__args__) == set(ACTIONS)  # type: ignore[attr-defined]
MOST_IDS = 1_000


class Body(BaseModel):
    """Something that is sent."""

    model_config = ConfigDict(extra="forbid")


class NewJob(Body):
    """A job to be made."""

    kind: str = Field(description="Its kind.", min_length=1, max_length=200)
    fields: dict[str, Any] = Field(default_factory=dict, description="Values of its fields.")
    input: str | None = Field(
        None, description="A path or URL of its records, which a server of the console can read, in allowed_roots."
    )


class Fields(Body):
    """Fields to be changed."""

    fields: dict[str, Any] = Field(description="New values of fields that may be edited.", min_length=1)


class Why(Body):
    """More about an action."""

    message: str = Field("", description="Why, for `fail`.", max_length=10_000)


class ListedJobs(Body):
    """Which jobs of a list."""

    listing: Listing = Listing.ALL
    kinds: list[str] = Field(default_factory=list, max_length=100)
    where: list[str] = Field(default_factory=list, max_length=100, description="Conditions as priority__lt=50.")
    search: str | None = None
    after: str | None = Field(None, description="`next` of the answer before.")

    def asked(self) -> ListAsked:
        """Return it as the service takes it."""
        return ListAsked(self.listing, self.kinds, self.where, self.search, None, self.after)


class Acts(Body):
    """Something to be done to several jobs: those named, or those of a list, in batches."""

    action: ActionName
    ids: list[str] | None = Field(None, max_length=MOST_IDS, description="Jobs. Else name a list in `all`.")
    all: ListedJobs | None = Field(None, description="All jobs of a list that match.")
    message: str = Field("", max_length=10_000)


class NewRecord(Body):
    """A record in the place of another."""

    record: str = Field(description="The whole record, as it is to be.")


class Failures(Body):
    """Which failed slices: those of one exception, or those with these numbers."""

    class_name: str | None = Field(None, min_length=1, description="The class of their exception.")
    slices: list[int] | None = Field(None, max_length=MOST_IDS, description="Their numbers.")


class Schedule(Body):
    """A schedule's text."""

    schedule: str = Field(min_length=1, max_length=1_000, description="As 0 1 * * * Europe/Berlin.")


class Entry(Body):
    """A watched folder; of one that is edited or copied, what is to be different."""

    name: str | None = None
    pattern: str | None = None
    kind: str | None = None
    archive: str | None = None
    after: Literal["archive", "delete"] | None = None
    properties: dict[str, Any] = Field(default_factory=dict, description="Fields of the job of each file.")

    def values(self) -> dict[str, Any]:
        """Return what is given."""
        return {name: value for name, value in self.model_dump(exclude={"properties"}).items() if value is not None}
