"""Outputs of a batch job: their first records, and the whole as a file."""

import re
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from penstock.batch.categories import REJECTS
from penstock.ids import parse_id
from penstock.model.kinds import known_kinds
from penstock.service.jobs import get_job, view_of_job
from penstock.service.outputs import download_job
from penstock.service.previews import SHOWN, preview_output
from penstock.web.routing import get
from penstock.web.streams import fetched
from penstock.web.visit import Visit

EXTENSIONS = {"csv": "csv", "tsv": "tsv", "psv": "psv", "jsonl": "jsonl", "xlsx": "xlsx", "parquet": "parquet"}


@get("/jobs/{job_id}/output/{category}")
def output(visit: Visit, job_id: str, category: str) -> Response:
    """Show the first records of an output."""
    found = parse_id(job_id)
    row = get_job(visit.store, found)
    told = preview_output(visit.store, found, category=category, by=visit.person, limit=SHOWN)
    return visit.render("output.html", job=view_of_job(row), output=told)


@get("/jobs/{job_id}/download/{category}")
async def download(visit: Visit, job_id: str, category: str) -> Response:
    """Send an output as a file, as it is read: nothing of it is kept here."""
    found = parse_id(job_id)
    row = get_job(visit.store, found)
    write = partial(
        download_job,
        visit.store,
        found,
        by=visit.person,
        category=category,
        partial=visit.query.get("partial") == "yes",
    )
    body = await fetched(write)
    name = f"{_plain(row.kind)}-{str(found)[-12:]}-{_plain(category)}.{_extension(row.kind, category)}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


def _plain(text: str) -> str:
    """Return text as part of a file name: no path, no quotes, nothing that a shell would take for something."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "output"


def _extension(kind: str, category: str) -> str:
    cls: Any = known_kinds().get(kind)
    declared = cls.model_fields["output_categories"].get_default(call_default_factory=True) if cls else []
    formats = {getattr(each, "name", None): getattr(each, "format", None) for each in declared or ()}
    return EXTENSIONS.get(formats.get(category) or "", "csv" if category == REJECTS else "txt")
