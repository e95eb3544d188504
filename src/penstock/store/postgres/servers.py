"""Servers and signs of life in PostgreSQL."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from penstock import clock
from penstock.config import settings
from penstock.states import State, SubState
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import stored
from penstock.store.postgres.hooks import PostgresHooks
from penstock.store.postgres.jobs import PostgresJobs
from penstock.store.postgres.live import Listener, LiveLine
from penstock.store.postgres.machine import is_running, this_machine
from penstock.store.postgres.place import Place
from penstock.store.postgres.slices import PostgresSlices
from penstock.store.postgres.time import measure
from penstock.store.protocol import Store, Topic
from penstock.store.rows import ServerRow
from penstock.store.uploads import failure_of_upload

DRAFT_KEPT = timedelta(hours=1)
"""How long the draft of a dead process is kept: `penstock run --resume` begins it again."""

FORGET_SECONDS = 30.0
"""How often what processes left behind is looked for."""


class PostgresServers:
    """Servers and other signs of life."""

    connections: Connections
    place: Place
    sql: dict[str, str]
    live: LiveLine
    lost: dict[str, float]
    """When a lock was first seen free, for those whose process cannot be looked for from here."""
    _forgot = float("-inf")

    @again
    def register_server(self, row: ServerRow) -> None:
        """Store a server."""
        with self.connections.transaction() as session:
            session.execute(self.sql["register_server"], {name: stored(value) for name, value in row._asdict().items()})

    @again
    def beat(self, name: str, state: str, *, kinds: str = "{}", holding: int = 0, nodes: str = "[]") -> bool:
        """Raise a server's heartbeat counter, note how it is, and look at the store's clock."""
        told: list[datetime] = []

        def ask() -> datetime | None:
            values = (stored(state), kinds, holding, nodes, name)
            told.extend(moment for (moment,) in session.fetch(self.sql["beat"], values))
            return told[0] if told else None

        with self.connections.transaction() as session:
            measure(ask)
        return bool(told)

    @again
    def ask_server(self, name: str, command: str) -> bool:
        """Leave a command for a server and wake it."""
        with self.connections.transaction(Topic.WORK) as session:
            return session.change(self.sql["ask_server"], (stored(command), name)) > 0

    def command_of(self, name: str) -> str | None:
        """Return the command that was left for a server."""
        rows = self.connections.fetch(self.sql["command_of"], (name,))
        return rows[0][0] if rows else None

    @again
    def answer_command(self, name: str, command: str, answer: str) -> None:
        """Note what a server says to a command, which is done with."""
        with self.connections.transaction() as session:
            session.execute(self.sql["answer_command"], (stored(answer), name, stored(command)))

    def servers(self) -> list[ServerRow]:
        """Return all registered servers, oldest first."""
        return [ServerRow._make(row) for row in self.connections.fetch(self.sql["servers"])]

    def appear(self, name: str) -> "LockPresence":
        """Show a sign of life: a lock of this process's live connection."""
        return LockPresence(self.live, name)

    def is_present(self, name: str) -> bool | None:
        """Tell whether the process that appeared as `name` lives.

        While its lock is held, it does. One whose lock is free may only have lost its connection: on this machine its
        process is looked for; elsewhere it is not known until the lock has been free for `dead_after` seconds.
        """
        values = {"name": name, "key": f"{self.place.schema} {name}"}
        rows = self.connections.fetch_beside(self.sql["presence"], values)
        if not rows:
            self.lost.pop(name, None)
            return False
        ((machine, pid, locked, free),) = rows
        if locked and not free:
            self.lost.pop(name, None)
            return True
        if machine == this_machine() and not is_running(pid):
            return False
        if not locked:
            return None
        since = self.lost.setdefault(name, clock.monotonic())
        return False if clock.monotonic() - since >= settings().dead_after else None

    def drop_abandoned(self, *, whole: Store | None = None) -> int:
        """Remove drafts of processes that are gone, and fail jobs whose upload broke off."""
        touched = 0
        recent = clock.now() - DRAFT_KEPT
        for job_id, draft, uploader, created_at in self.connections.fetch(self.sql["abandoned_drafts"]):
            if uploader is not None and (self.is_present(uploader) is not False or (draft and created_at > recent)):
                continue
            assert isinstance(self, PostgresJobs)
            if draft:
                (whole or self).destroy_job(job_id)
                touched += 1
            else:
                touched += self._end_broken_upload(job_id, uploader, whole)
        self.release_abandoned_hooks()
        self._forget_the_gone()
        return touched

    def release_abandoned_hooks(self) -> None:
        """Let others take the hooks of processes that are gone."""
        assert isinstance(self, PostgresHooks)
        for name in self.hooks_servers():
            if self.is_present(name) is False:
                self.release_hooks(name)

    def listen(self, topic: Topic, callback: Callable[[], None]) -> Listener:
        """Call `callback` whenever a transaction touched `topic`."""
        return self.live.listen(topic, callback)

    def give_space_back(self) -> None:
        """Do nothing: autovacuum makes the space of what is gone free for the next job."""

    @again
    def _end_broken_upload(self, job_id: UUID, uploader: str, whole: Store | None) -> bool:
        """Drop what a dead process had uploaded, and fail the job where it still can; tells whether it did."""
        assert isinstance(self, PostgresJobs)
        assert isinstance(self, PostgresSlices)
        with self.connections.transaction():
            row = self.job(job_id)
            if row is None or row.uploader != uploader:
                return False
            if row.state is State.RUNNING and row.sub_state is SubState.BEFORE:
                return False  # What `before_batch` uploads goes with its worker: the job is queued again.
            (whole or self).drop_unfinished_upload(job_id)
            return self.update_job(job_id, {**failure_of_upload(row), "uploader": None})

    def _forget_the_gone(self) -> None:
        """Remove what processes left that did not end by themselves; now and then."""
        if clock.monotonic() - self._forgot < FORGET_SECONDS:
            return
        self._forgot = clock.monotonic()
        for (name,) in self.connections.fetch(self.sql["presences"]):
            if self.is_present(name) is False:
                with self.connections.transaction() as session:
                    session.execute(self.sql["remove_presence"], (name,))
                self.lost.pop(name, None)
        with self.connections.transaction() as session:
            session.execute(self.sql["drop_dead_listeners"], (f"{self.place.schema} ",))


class LockPresence:
    """A lock of the live connection, which goes with the process whatever ends it."""

    def __init__(self, line: LiveLine, name: str) -> None:
        self.name = name
        self._line = line
        self._shown = True
        line.show(name)

    def close(self) -> None:
        """Let the lock go."""
        if self._shown:
            self._shown = False
            with contextlib.suppress(Exception):
                self._line.hide(self.name)
