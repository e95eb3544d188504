"""Are we all right? One sentence, from what the overview tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.service.jobs import View
from penstock.service.times import span_text
from penstock.states import ServerState

LONG_WAIT = 600.0
"""Seconds after which a due job has waited long enough to be worth a look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How things are, and what to look at."""

    tone: str
    """`good`, `warn` or `bad`."""
    title: str
    reasons: Sequence[str]


def verdict_on(overview: View) -> Verdict:
    """Return how things are, from what `show_overview` returned."""
    bad, warn = _standing_still(overview), [*_dead(overview), *_failed(overview), *_waiting(overview)]
    if bad:
        return Verdict("bad", "Work is standing still", [*bad, *warn])
    if warn:
        return Verdict("warn", "Some things want a look", warn)
    working = any(each["state"] == ServerState.RUNNING for each in overview["servers"])
    return Verdict("good", "All is well", ["Work is done as it comes." if working else "Nothing waits to be done."])


def _standing_still(overview: View) -> list[str]:
    working = [
        each for each in overview["servers"] if each["state"] == ServerState.RUNNING and each["alive"] is not False
    ]
    waiting = overview["counts"]["queued_now"]
    if working or not (waiting or overview["counts"]["running"]):
        return []
    return [f"No server is running, and {waiting:,} {_jobs(waiting)} wait." if waiting else "No server is running."]


def _dead(overview: View) -> list[str]:
    dead = [each["name"] for each in overview["servers"] if each["alive"] is False]
    return [f"{', '.join(dead)} is dead. The next server on its host takes its work over."] if dead else []


def _failed(overview: View) -> list[str]:
    failed = overview["failed_last_hour"]
    return [f"{failed:,} {_jobs(failed)} failed in the last hour."] if failed else []


def _waiting(overview: View) -> list[str]:
    oldest = overview["oldest_waiting"]
    if oldest is None or oldest["seconds"] < LONG_WAIT:
        return []
    return [f"A {oldest['kind']} has been waiting for {span_text(oldest['seconds'])}."]


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"
