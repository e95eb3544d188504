"""The first records of an output, to be looked at before it is downloaded."""

from typing import Any
from uuid import UUID

from penstock.batch.download import opened
from penstock.batch.payloads import Payloads
from penstock.records import decode_records
from penstock.service.escapes import escaped
from penstock.service.jobs import View
from penstock.service.outputs import reading_output
from penstock.service.people import By
from penstock.store.protocol import Store

SHOWN = 100
"""Records at most."""
LONGEST = 2_000
"""Characters of a record; the rest is cut."""


def preview_output(store: Store, job_id: UUID, *, by: By, category: str | None = None, limit: int = 20) -> View:
    """Return the first records of an output of a batch job, whole or not yet, as text with control bytes escaped.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        ConfigurationError: it is no batch job, has no such output, or the keyring is missing that it takes.
        SealError: it does not open.
    """
    with reading_output(store, job_id, by, category, partial=True) as (job, chosen):
        payloads, records = Payloads(job.id), list[Any]()
        for row in store.outputs(job.id, chosen.name):
            records += decode_records(opened(row, chosen.name, payloads).payload)
            if len(records) >= limit:
                break
    shown = [escaped(record) for record in records[: min(limit, SHOWN)]]
    cut = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in shown]
    return {"id": str(job_id), "category": chosen.name, "records": cut, "more": len(records) > len(cut)}
