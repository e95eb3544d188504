"""Hooks that are due, in SQLite."""

import heapq
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any
from uuid import UUID

from penstock.store.protocol import Topic
from penstock.store.rows import JobRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import job_row
from penstock.store.sqlite.jobs import SQL, SqliteJobs

AT_ONCE = 100
"""Jobs whose hooks are offered at once."""


class SqliteHooks:
    """Who runs the hooks that follow a move."""

    connections: Connections

    def jobs_due_for_hooks(self, kinds: Collection[str]) -> list[JobRow]:
        """Return the oldest jobs of these kinds that have hooks due which nobody is running."""
        with self.connections.reading() as connection:
            walks = [connection.execute(SQL["jobs_due_for_hooks"], (kind,)) for kind in kinds]
            # By their first column, the id: no two are the same.
            rows = list(islice(heapq.merge(*walks), AT_ONCE))
            for walk in walks:
                walk.close()
        return list(map(job_row, rows))

    def claim_hooks(self, job_id: UUID, *, server: str) -> bool:
        """Take the hooks that are due for a job."""
        with self.connections.transaction() as connection:
            return connection.execute(SQL["claim_hooks"], (server, job_id.bytes)).rowcount > 0

    def finish_hooks(self, job_id: UUID, *, server: str, ran: str, changes: Mapping[str, Any]) -> bool:
        """Note that `server` ran some hooks; those that became due meanwhile are behind them in the list."""
        with self.connections.transaction() as connection:
            row = connection.execute(SQL["hooks_of"], (job_id.bytes,)).fetchone()
            if row is None or row[1] != server:
                return False
            left = row[0].split()[len(ran.split()) :]
            if left:
                self.connections.touch(Topic.WORK)
            due = {"pending_hooks": " ".join(left) or None, "hooks_server": None}
            assert isinstance(self, SqliteJobs)
            return self.update_job(job_id, {**changes, **due})

    def release_hooks(self, server: str) -> None:
        """Let others take the hooks that `server` had taken and not finished."""
        with self.connections.transaction(Topic.WORK) as connection:
            connection.execute(SQL["release_hooks"], (server,))

    def hooks_servers(self) -> list[str]:
        """Return everybody who has taken hooks and not finished them."""
        with self.connections.reading() as connection:
            return [row[0] for row in connection.execute(SQL["hooks_servers"]).fetchall()]
