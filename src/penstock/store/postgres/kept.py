"""What is stored of records, to be put into another form, in PostgreSQL."""

from collections.abc import Iterator
from uuid import UUID

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import stored
from penstock.store.rows import KeptInput, KeptOutput

AT_ONCE = 16
"""Slices read at once: some megabytes."""


class PostgresKept:
    """Payloads, and exceptions of slices, one by one."""

    connections: Connections
    sql: dict[str, str]

    def kept_inputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptInput]:
        """Yield input slices, a page at a time."""
        told = {"job_id": job_id, "beginning": beginning, "length": len(beginning), "limit": AT_ONCE}
        after = {"category": "", "number": 0}
        while True:
            page = [KeptInput._make(row) for row in self.connections.fetch(self.sql["kept_inputs"], {**told, **after})]
            yield from page
            if len(page) < AT_ONCE:
                return
            after = {"category": page[-1].category, "number": page[-1].number}

    def kept_outputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptOutput]:
        """Yield output slices, a page at a time."""
        told = {"job_id": job_id, "beginning": beginning, "length": len(beginning), "limit": AT_ONCE}
        after = {"category": "", "number": 0, "part": 0}
        while True:
            found = self.connections.fetch(self.sql["kept_outputs"], {**told, **after})
            page = list(map(KeptOutput._make, found))
            yield from page
            if len(page) < AT_ONCE:
                return
            after = {"category": page[-1].category, "number": page[-1].number, "part": page[-1].part}

    @again
    def replace_payload(self, row: KeptInput | KeptOutput, payload: bytes) -> bool:
        """Put another form of a payload in its place."""
        name = "replace_input" if isinstance(row, KeptInput) else "replace_output"
        with self.connections.transaction() as session:
            return session.change(self.sql[name], {"id": row[0], "old": row.payload, "new": payload}) > 0

    @again
    def replace_exception(self, row: KeptInput, exception: str) -> bool:
        """Put another form of a slice's exception in its place."""
        with self.connections.transaction() as session:
            values = {"id": row.slice_id, "old": stored(row.exception), "new": stored(exception)}
            return session.change(self.sql["replace_exception"], values) > 0
