"""Hooks that are due, in PostgreSQL."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import job_row
from penstock.store.postgres.jobs import PostgresJobs
from penstock.store.protocol import Topic
from penstock.store.rows import JobRow

AT_ONCE = 100
"""Jobs whose hooks are offered at once."""


class PostgresHooks:
    """Who runs the hooks that follow a move."""

    connections: Connections
    sql: dict[str, str]

    def jobs_due_for_hooks(self, kinds: Collection[str]) -> list[JobRow]:
        """Return the oldest jobs of these kinds that have hooks due which nobody is running."""
        values = {"kinds": list(kinds), "limit": AT_ONCE}
        return list(map(job_row, self.connections.fetch(self.sql["jobs_due_for_hooks"], values)))

    @again
    def claim_hooks(self, job_id: UUID, *, server: str) -> bool:
        """Take the hooks that are due for a job."""
        with self.connections.transaction() as session:
            return session.change(self.sql["claim_hooks"], (server, job_id)) > 0

    @again
    def finish_hooks(self, job_id: UUID, *, server: str, ran: str, changes: Mapping[str, Any]) -> bool:
        """Note that `server` ran some hooks; those that became due meanwhile are behind them in the list."""
        with self.connections.transaction() as session:
            rows = session.fetch(self.sql["hooks_of"], (job_id,))
            if not rows or rows[0][1] != server:
                return False
            left = rows[0][0].split()[len(ran.split()) :]
            if left:
                session.topics.add(Topic.WORK)
            due = {"pending_hooks": " ".join(left) or None, "hooks_server": None}
            assert isinstance(self, PostgresJobs)
            return self.update_job(job_id, {**changes, **due})

    @again
    def release_hooks(self, server: str) -> None:
        """Let others take the hooks that `server` had taken and not finished."""
        with self.connections.transaction(Topic.WORK) as session:
            session.execute(self.sql["release_hooks"], (server,))

    def hooks_servers(self) -> list[str]:
        """Return everybody who has taken hooks and not finished them."""
        return [name for (name,) in self.connections.fetch(self.sql["hooks_servers"])]
