"""What is stored of records, to be put into another form, in SQLite."""

from collections.abc import Iterator
from uuid import UUID

from penstock.store.rows import KeptInput, KeptOutput
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.jobs import SQL

AT_ONCE = 16
"""Slices read at once: some megabytes."""


class SqliteKept:
    """Payloads, and exceptions of slices, one by one."""

    connections: Connections

    def kept_inputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptInput]:
        """Yield input slices, a page at a time."""
        told = {"job_id": job_id.bytes, "beginning": beginning, "length": len(beginning), "limit": AT_ONCE}
        after = {"category": "", "number": 0}
        while True:
            with self.connections.reading() as connection:
                page = [KeptInput._make(row) for row in connection.execute(SQL["kept_inputs"], {**told, **after})]
            yield from page
            if len(page) < AT_ONCE:
                return
            after = {"category": page[-1].category, "number": page[-1].number}

    def kept_outputs(self, job_id: UUID, beginning: bytes) -> Iterator[KeptOutput]:
        """Yield output slices, a page at a time."""
        told = {"job_id": job_id.bytes, "beginning": beginning, "length": len(beginning), "limit": AT_ONCE}
        after = {"category": "", "number": 0, "part": 0}
        while True:
            with self.connections.reading() as connection:
                page = [KeptOutput._make(row) for row in connection.execute(SQL["kept_outputs"], {**told, **after})]
            yield from page
            if len(page) < AT_ONCE:
                return
            after = {"category": page[-1].category, "number": page[-1].number, "part": page[-1].part}

    def replace_payload(self, row: KeptInput | KeptOutput, payload: bytes) -> bool:
        """Put another form of a payload in its place."""
        name = "replace_input" if isinstance(row, KeptInput) else "replace_output"
        with self.connections.transaction() as connection:
            written = connection.execute(SQL[name], {"id": row[0], "old": row.payload, "new": payload})
        return written.rowcount > 0

    def replace_exception(self, row: KeptInput, exception: str) -> bool:
        """Put another form of a slice's exception in its place."""
        with self.connections.transaction() as connection:
            values = {"id": row.slice_id, "old": row.exception, "new": exception}
            return connection.execute(SQL["replace_exception"], values).rowcount > 0
