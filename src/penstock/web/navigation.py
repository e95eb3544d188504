"""Where one can go, and how states look: a colour, an icon and a word, never a colour alone."""

from collections.abc import Mapping
from typing import NamedTuple


class Section(NamedTuple):
    """An entry of the side bar."""

    path: str
    title: str
    icon: str
    key: str
    """Behind `g`, the key that goes there."""
    action: str | None = None
    """What one must be allowed to, to see it."""


SECTIONS = (
    Section("/", "Overview", "overview", "o"),
    Section("/jobs", "Jobs", "jobs", "j"),
    Section("/schedules", "Schedules", "schedule", "c"),
    Section("/servers", "Servers", "server", "s"),
    Section("/dirmon", "Watched folders", "folder", "w"),
    Section("/audit", "Audit", "audit", "a"),
    Section("/settings", "Settings", "settings", "e"),
)


class ListedState(NamedTuple):
    """A list of jobs by state."""

    name: str
    """As `service.finding.STATES` has it."""
    title: str


STATE_LIST = (
    ListedState("running", "Running"),
    ListedState("queued_now", "Queued"),
    ListedState("scheduled", "Scheduled"),
    ListedState("paused", "Paused"),
    ListedState("failed", "Failed"),
    ListedState("completed", "Completed"),
    ListedState("aborted", "Aborted"),
)

TONES: Mapping[str, str] = {
    "queued": "queued",
    "queued_now": "queued",
    "scheduled": "scheduled",
    "running": "running",
    "starting": "queued",
    "paused": "paused",
    "stopping": "paused",
    "completed": "completed",
    "done": "completed",
    "enabled": "completed",
    "failed": "failed",
    "dead": "failed",
    "aborted": "aborted",
    "disabled": "aborted",
    "pending": "queued",
}
"""The icon and colour of each state of a job, a server, an entry or a slice."""
