"""Why jobs wait, in words, from what the store says of them, of limits, and of servers."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.service.times import time_text
from penstock.states import ServerState, State, SubState
from penstock.store.protocol import Store
from penstock.store.rows import JobRow, ServerRow

Facts = dict[str, Any]
"""What a server says of one kind: `limit`, how many may run at once; `depends_on`, kinds that must not run; `name`,
under which its jobs are counted, where that is another one; `only`, the one job that it works on, where there is."""


def why_waiting(store: Store, rows: Iterable[JobRow]) -> dict[UUID, str | None]:
    """Return for each job why it does not run although nobody has ended it; None for one that has no such reason.

    That is: a person paused it, it is for later, a throttle or a limit holds it back, a kind runs that it must not
    run beside, or no server would run it. One that merely waits its turn has no reason. Servers and limits are read
    once, whatever the number of jobs, and their kinds once each.
    """
    present = _Present(store, clock.now())
    return {row.id: present.reason(row) for row in rows}


_UNSERVED: Sequence[tuple[ServerState, str | None]] = (
    (ServerState.RUNNING, None),
    (ServerState.STARTING, "the server is starting"),
    (ServerState.PAUSED, "all servers that know it are paused"),
    (ServerState.STOPPING, "all servers that know it are stopping"),
)
"""Why a job waits that servers know which are in these states; the first that any of them is in decides."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A server that lives, with what it says of its kinds."""

    row: ServerRow
    kinds: dict[str, Facts]

    def facts_for(self, row: JobRow) -> Facts | None:
        """Return what it says of a job's kind; None where it would not run the job."""
        facts = self.kinds.get(row.kind)
        return facts if facts is not None and facts.get("only") in (None, str(row.id)) else None


class _Present:
    """The store at one moment, read as far as it is asked for."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store = store
        self._now = now
        self._running_kinds: dict[tuple[str, ...], str | None] = {}
        self._heads: dict[str, JobRow | None] = {}

    def reason(self, row: JobRow) -> str | None:
        """Return why one job waits, or None."""
        if row.state is State.PAUSED:
            return f"paused{_since(row.completed_at)}"
        if row.state is State.QUEUED and row.run_at is not None and row.run_at > self._now:
            return f"{_retry(row) or 'scheduled'} at {time_text(row.run_at)}"
        if row.state is State.QUEUED:
            return self._held(row) or self._unserved(row) or self._throttled(row)
        if row.state is State.RUNNING and row.batch and row.sub_state is SubState.PROCESSING:
            return self._held(row) or self._unserved(row)
        return None

    def _held(self, row: JobRow) -> str | None:
        """Return why one job is not claimed before a moment to come, which a throttle or a retry has set."""
        if row.held_until is None or row.held_until <= self._now:
            return None
        return (
            f"{row.throttled_by or _retry(row) or 'held'}{_since(row.throttled_at)} until {time_text(row.held_until)}"
        )

    # Servers -------------------------------------------------------------------------------------

    def _unserved(self, row: JobRow) -> str | None:
        """Return why no server would run a job, or None where one would."""
        if not self._servers:
            return "no server is running"
        states = {server.row.state for server in self._servers if server.facts_for(row) is not None}
        if not states and any(server.row.state == ServerState.STARTING for server in self._servers):
            states = {ServerState.STARTING}  # What it knows it tells when its workers have imported the app.
        return next((text for state, text in _UNSERVED if state in states), f"no server knows kind {row.kind}")

    @cached_property
    def _servers(self) -> list[_Known]:
        return [
            _Known(row, json.loads(row.kinds))
            for row in self._store.servers()
            if self._store.is_present(row.name) is not False
        ]

    # Throttles -----------------------------------------------------------------------------------

    def _throttled(self, row: JobRow) -> str | None:
        """Return what holds a due job back that a server knows. The server that allows most decides."""
        running = [server for server in self._servers if server.row.state == ServerState.RUNNING]
        known = [facts for server in running if (facts := server.facts_for(row)) is not None]
        reasons = [self._dependency(facts) or self._full_limit(row, facts) for facts in known]
        if None not in reasons:
            return reasons[0]
        return f"{row.throttled_by}{_since(row.throttled_at)}" if row.throttled_by else self._behind(row)

    def _dependency(self, facts: Facts) -> str | None:
        kinds = tuple(facts.get("depends_on") or ())
        if kinds not in self._running_kinds:
            self._running_kinds[kinds] = self._store.any_running(kinds) if kinds else None
        found = self._running_kinds[kinds]
        return None if found is None else f"a {found} runs, beside which it must not run"

    def _full_limit(self, row: JobRow, facts: Facts) -> str | None:
        limit = facts.get("limit")
        if limit is None:
            return None
        name = row.throttle_group or facts.get("name", row.kind)
        running = self._limits.get(name, 0)
        return f"{running} of {limit} running under limit {name}" if running >= limit else None

    @cached_property
    def _limits(self) -> dict[str, int]:
        return self._store.limits()

    def _behind(self, row: JobRow) -> str | None:
        """Return what holds back the most urgent job of the kind, which is asked for all of them."""
        if row.kind not in self._heads:
            self._heads[row.kind] = next(iter(self._store.candidates([row.kind], limit=1)), None)
        head = self._heads[row.kind]
        if head is None or head.state is not State.QUEUED or head.throttled_by is None or row.throttle_group:
            return None
        return f"{head.throttled_by}{_since(head.throttled_at)}, as job {head.id} before it"


def _retry(row: JobRow) -> str | None:
    return "failed, to be tried again" if row.exception is not None else None


def _since(moment: datetime | None) -> str:
    return "" if moment is None else f" since {time_text(moment)}"
