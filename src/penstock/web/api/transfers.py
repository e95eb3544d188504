"""Files through the API, as they come and go: an upload goes into the store at once, and never on this disk."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from penstock.errors import BadRequest, TooLarge
from penstock.service.editing import create_job, find_target
from penstock.service.outputs import download_job
from penstock.service.people import demand
from penstock.service.records import resubmit_job
from penstock.service.uploads import base_name, limit_of_upload
from penstock.web.api.operations import Call
from penstock.web.streams import Incoming, fetched


async def receive(call: Call, request: Request) -> Any:
    """Make a batch job of the body of a request."""
    demand(call.person, "job.create")
    kind = call.query.get("kind")
    if not kind or ":" in kind:
        raise BadRequest("kind: name the kind of the job")
    cls, fields = find_target(kind), _fields(call.query.get("fields"))
    return await _taken(call, request, partial(create_job, call.store, cls, fields))


async def receive_corrected(call: Call, request: Request) -> Any:
    """Have the rejected records in the body of a request performed again."""
    return await _taken(call, request, lambda source, **named: resubmit_job(call.store, call.job_id, source, **named))


async def _taken(call: Call, request: Request, take: Callable[..., Any]) -> Any:
    """Return what a function makes of the body, which it reads in a thread while it still comes."""
    most = limit_of_upload()
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    file = Incoming(base_name(call.query.get("file_name")) or "upload")
    feeding = asyncio.ensure_future(_feed(request, file, most))
    source: IO[bytes] = file.as_file()
    try:
        view = await run_in_threadpool(take, by=call.person, source=source, file_name=file.name)
    except Exception:
        if feeding.done() and feeding.exception() is not None:
            raise feeding.exception() from None  # type: ignore[misc]
        raise
    finally:
        file.let_go()
        await asyncio.wait([feeding])
    return view


def _fields(text: str | None) -> Mapping[str, Any]:
    try:
        fields = json.loads(text or "{}")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise BadRequest("fields: a JSON object with values of fields")
    return fields


async def _feed(request: Request, file: Incoming, most: int) -> None:
    """Hand over what comes. What is longer than it may be ends as if the sender had gone: nothing of it is stored."""
    seen = 0
    try:
        async for piece in request.stream():
            seen += len(piece)
            if seen > most:
                file.broken = True
                break
            if piece:
                await file.put(piece)
    except ClientDisconnect:
        file.broken = True
    await file.put(None)
    if seen > most:
        raise _too_large(most)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the file is larger than {most:,} bytes, the setting max_upload; nothing of it is stored")


async def send(call: Call) -> Response:
    """Return an output of a batch job, while it is read from the store."""
    category, unfinished = call.query.get("category"), call.query.get("partial", False)

    def write(target: IO[bytes]) -> None:
        download_job(call.store, call.job_id, target, by=call.person, category=category, partial=unfinished)

    name = quote(f"{call.job_id}-{category or 'output'}.txt")
    return StreamingResponse(
        await fetched(write),  # What is refused is refused before the first byte.
        media_type="application/octet-stream",
        headers={
            "content-disposition": f"attachment; filename*=UTF-8''{name}",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )
