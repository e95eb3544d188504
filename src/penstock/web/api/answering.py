"""Requests answered: who asks, whether it fits the table, what the service says, and the status of its errors."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from penstock import clock
from penstock.errors import BadRequest, KeyReused, NotSignedIn, PenstockError, TooLarge
from penstock.service.auditing import note_refusal
from penstock.service.tokens import person_of_token
from penstock.store.protocol import Store
from penstock.store.rows import AnswerRow
from penstock.web.api.openapi import described
from penstock.web.api.operations import Call, Operation, converted, schema_of_path

log = logging.getLogger("penstock.web")
PREFIX = "/api/v1"
MOST_BODY = 20 << 20
"""Bytes of a request that is no upload: one record may have 16 MiB."""
KEPT = timedelta(hours=24)
"""How long an answer is given again to the same idempotency key."""
MOST_KEY = 200
KEY = "idempotency-key"

GetStore = Callable[[], Store]
Endpoint = Callable[[Request], Awaitable[Response]]


def routes_of(operations: Sequence[Operation], store: GetStore) -> list[BaseRoute]:
    """Return routes for operations, with that of their description, and an answer for what there is not."""
    found: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation
    description = described(operations)

    async def openapi(_: Request) -> Response:
        return JSONResponse(description)

    routes: list[BaseRoute] = [Route("/openapi.json", openapi)]
    # What is written out goes before what is in braces: `/jobs/act` is no job.
    for path, methods in sorted(found.items(), key=lambda it: it[0].count("{")):
        routes.append(_Any(path, _endpoint(methods, store)))
    routes.append(_Any("/{rest:path}", _nothing))
    return [Mount(PREFIX, routes=routes)]


class _Any(Route):
    """A route for every method, so that those that are not taken are answered as JSON too."""

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        super().__init__(path, endpoint, include_in_schema=False)
        self.methods = set()


async def _nothing(request: Request) -> Response:
    return _told(404, "NotFound", f"there is nothing at {request.url.path}; see {PREFIX}/openapi.json")


def _endpoint(methods: Mapping[str, Operation], store: GetStore) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        operation = methods.get(request.method)
        if operation is None:
            allowed = ", ".join(sorted(methods))
            answer = _told(405, "MethodNotAllowed", f"{request.method} is not taken here; what is: {allowed}")
            answer.headers["allow"] = allowed
            return answer
        try:
            return await _answer(operation, request, store)
        except PenstockError as error:
            return failure(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("%s %s", request.method, request.url.path)
            return _told(500, "Defect", "something broke here; the log of the console tells what")

    return endpoint


def failure(error: PenstockError) -> Response:
    """Return what an error is told as: its class, and what it says."""
    answer = _told(error.http_status, type(error).__name__, str(error))
    if isinstance(error, NotSignedIn):
        answer.headers["www-authenticate"] = "Bearer"
    return answer


def _told(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"error": {"type": kind, "message": message}}, status_code=status)


async def _answer(operation: Operation, request: Request, get_store: GetStore) -> Response:
    store = await run_in_threadpool(get_store)
    person = await run_in_threadpool(_person, store, request)
    path = {name: converted(value, schema_of_path(name), name) for name, value in request.path_params.items()}
    call = Call(store, person, path, _query(operation, request))
    if operation.streams == "download":
        response: Response = await operation.act(call)
        return response
    if operation.streams == "upload":
        return await _once_streamed(operation, request, call)
    raw = await _body(request)
    call.body = _parsed(operation, request, raw)
    return await run_in_threadpool(_once, operation, request, call, raw)


def _person(store: Store, request: Request) -> Any:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("send a token, as `Authorization: Bearer …`; `penstock web token add` makes one")
    return person_of_token(store, token.strip(), origin=request.client.host if request.client else None)


def _query(operation: Operation, request: Request) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in operation.query}
    given = request.query_params
    for name in given:
        if name not in known:
            raise BadRequest(f"query: {name!r} is not taken; what is: {', '.join(known) or 'nothing'}")
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        texts = given.getlist(name)
        if len(texts) > 1 and not parameter.repeated:
            raise BadRequest(f"query: {name} comes once")
        found = [converted(text, parameter.schema, name) for text in texts]
        if found:
            values[name] = found if parameter.repeated else found[0]
    return values


async def _body(request: Request) -> bytes:
    gathered = bytearray()
    async for piece in request.stream():
        gathered += piece
        if len(gathered) > MOST_BODY:
            raise TooLarge(f"the request is larger than {MOST_BODY >> 20} MiB")
    return bytes(gathered)


def _parsed(operation: Operation, request: Request, raw: bytes) -> Any:
    if operation.body is None:
        return None
    if not raw and not any(info.is_required() for info in operation.body.model_fields.values()):
        return operation.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # Which no form of another site can send.
        raise BadRequest("the body is JSON, and its Content-Type application/json")
    try:
        return operation.body.model_validate(_json(raw))
    except ValidationError as error:
        parts = [
            f"{'.'.join(map(str, part['loc'])) or 'body'}: {part['msg']}" for part in error.errors(include_input=False)
        ]
        raise BadRequest("; ".join(parts)[:2_000]) from None


def _json(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # Half of a surrogate pair is no text.
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {str(error)[:200]}") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# Done once ---------------------------------------------------------------------------------------


def _once(operation: Operation, request: Request, call: Call, raw: bytes) -> Response:
    key = _key(operation, request, call)
    if key is None:
        return JSONResponse(_plain(operation.act(call)), status_code=operation.status)
    note = AnswerRow(key, _digest(request, raw), clock.now(), None, None)
    try:
        with call.store.transaction():
            call.store.take_turns(f"answer {key}")
            present = call.store.begin_answer(note)
            if present is not None:
                return _again(present, note)
            body = json.dumps(_plain(operation.act(call)))
            call.store.keep_answer(key, operation.status, body)
    except PenstockError as error:
        note_refusal(call.store, call.person, operation.name, error)  # Its own line went with the transaction.
        raise
    return Response(body, operation.status, media_type="application/json")


async def _once_streamed(operation: Operation, request: Request, call: Call) -> Response:
    key = _key(operation, request, call)
    if key is None:
        return JSONResponse(_plain(await operation.act(call, request)), status_code=operation.status)
    note = AnswerRow(key, _digest(request, b""), clock.now(), None, None)
    await run_in_threadpool(call.store.drop_answers, note.created_at - KEPT)
    present = await run_in_threadpool(call.store.begin_answer, note)
    if present is not None:
        return _again(present, note)
    try:
        body = json.dumps(_plain(await operation.act(call, request)))
    except BaseException:
        call.store.drop_answer(key)
        raise
    await run_in_threadpool(call.store.keep_answer, key, operation.status, body)
    return Response(body, operation.status, media_type="application/json")


def _key(operation: Operation, request: Request, call: Call) -> str | None:
    """Return under what an answer is kept: keys of different people are different."""
    given = request.headers.get(KEY)
    if given is None or not operation.idempotent_by_key:
        return None
    if not 0 < len(given) <= MOST_KEY or not given.isprintable():
        raise BadRequest(f"{KEY}: from 1 to {MOST_KEY} characters that can be shown")
    if operation.streams is None:
        call.store.drop_answers(clock.now() - KEPT)
    return hashlib.sha256(json.dumps([call.person.login, operation.name, given]).encode()).hexdigest()


def _digest(request: Request, raw: bytes) -> str:
    told = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(told + raw).hexdigest()


def _again(present: AnswerRow, note: AnswerRow) -> Response:
    if present.request != note.request:
        raise KeyReused(f"{KEY}: it came with another request before; take a new one for each")
    if present.status is None:
        raise KeyReused(f"{KEY}: the first request with it is still being answered; ask again later")
    return Response(
        present.body, present.status, media_type="application/json", headers={"idempotency-replayed": "true"}
    )


def _plain(value: Any) -> Any:
    """Return a view as JSON has it: whole, and without numbers that are none."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=str)
