"""Forms for jobs: a new one from the fields of its class and a file, and the fields of one that there is."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.errors import PenstockError
from penstock.ids import parse_id
from penstock.model.kinds import find_class
from penstock.service.editing import create_job, edit_job
from penstock.service.forms import describe_kind, list_kinds
from penstock.service.job_view import view_job
from penstock.service.jobs import View, get_job, view_of_job
from penstock.service.people import demand
from penstock.service.uploads import preview_upload
from penstock.web.fields import FIELD_PREFIX, text_of_value, texts_given
from penstock.web.routing import check_token, get, post
from penstock.web.streams import Incoming
from penstock.web.uploads import Upload
from penstock.web.visit import Visit

NOT_ASKED = frozenset({"percent_complete", "input_category", "output_categories"})
"""Fields that people do not fill in: what happens sets them, or the class."""
MOST_LOOKED_AT = 1 << 17


@get("/jobs/new")
def new(visit: Visit) -> Response:
    """Show the kinds, or the form for one of them."""
    demand(visit.person, "job.create")
    return _new_form(visit, visit.query.get("kind", ""), {}, None)


@post("/jobs/new", streamed=True)
async def create(visit: Visit) -> Response:
    """Make a job of a form and the file that comes with it, which goes into the store as it comes."""
    upload = await Upload.begin(visit.request)
    try:
        check_token(visit, upload.fields.get("token"))
        return await upload.finish(lambda file: _created(visit, upload.fields, file))
    finally:
        await upload.drain()


@post("/jobs/preview", streamed=True)
async def preview(visit: Visit) -> Response:
    """Tell what the beginning of a file seems to be."""
    check_token(visit, visit.request.headers.get("x-token"))
    beginning = b""
    async for piece in visit.request.stream():
        beginning += piece
        if len(beginning) > MOST_LOOKED_AT:
            break
    told = await run_in_threadpool(preview_upload, beginning[:MOST_LOOKED_AT], visit.query.get("name"))
    size = visit.query.get("size", "")
    return visit.render("preview.html", file=told, size=int(size) if size.isdecimal() and len(size) < 16 else None)


@get("/jobs/{job_id}/edit")
def edit(visit: Visit, job_id: str) -> Response:
    """Show the fields of a job that may be edited."""
    row = get_job(visit.store, parse_id(job_id))
    demand(visit.person, "job.edit", row)
    return _edit_form(visit, job_id, None, None)


@post("/jobs/{job_id}/edit")
def save(visit: Visit, job_id: str) -> Response:
    """Store what was edited."""
    row = get_job(visit.store, parse_id(job_id))
    demand(visit.person, "job.edit", row)
    fields = _editable(visit, job_id)
    now = {each["name"]: text_of_value(each["value"]) for each in fields}
    texts = texts_given(visit.form, fields)
    changed = {name: text for name, text in texts.items() if text != now.get(name, "")}
    try:
        if changed:
            edit_job(visit.store, row.id, {name: text or "null" for name, text in changed.items()}, by=visit.person)
    except PenstockError as error:
        return _edit_form(visit, job_id, texts, error)
    said = f"{', '.join(changed)} changed." if changed else "Nothing was changed."
    return visit.redirect(f"/jobs/{job_id}", said, "good" if changed else "plain")


def _created(visit: Visit, fields: Mapping[str, str], file: Incoming | None) -> Response:
    """Make the job; called in a thread, while its file still comes."""
    kind = fields.get("kind", "")
    try:
        cls = find_class(kind)
        texts = {name: text for name, text in texts_given(fields, describe_kind(kind)["fields"]).items() if text != ""}
        source, name = (file.as_file(), file.name) if file is not None else (None, None)
        made = create_job(visit.store, cls, texts, by=visit.person, source=source, file_name=name)
    except PenstockError as error:
        return _new_form(visit, kind, fields, error)
    count = f" with {made['record_count']:,} records" if made["record_count"] is not None else ""
    return visit.redirect(f"/jobs/{made['id']}", f"{kind}{count} is queued.")


def _new_form(visit: Visit, kind: str, given: Mapping[str, str], error: PenstockError | None) -> Response:
    kinds = [each for each in list_kinds(visit.store) if each["has_form"]]
    chosen = describe_kind(kind) if any(each["kind"] == kind for each in kinds) else None
    fields = [each for each in chosen["fields"] if each["name"] not in NOT_ASKED] if chosen else []
    values = {each["name"]: given.get(FIELD_PREFIX + each["name"], text_of_value(each["default"])) for each in fields}
    return visit.render(
        "new_job.html",
        status=error.http_status if error else 200,
        kinds=kinds,
        chosen=chosen,
        fields=fields,
        values=values,
        error=str(error) if error else None,
        wrong=_wrong(error, values),
    )


def _edit_form(visit: Visit, job_id: str, given: Mapping[str, str] | None, error: PenstockError | None) -> Response:
    row = get_job(visit.store, parse_id(job_id))
    find_class(row.kind)
    fields = _editable(visit, job_id)
    values = {each["name"]: text_of_value(each["value"]) for each in fields} | dict(given or {})
    return visit.render(
        "edit_job.html",
        status=error.http_status if error else 200,
        job=view_of_job(row),
        fields=fields,
        values=values,
        error=str(error) if error else None,
        wrong=_wrong(error, values),
    )


def _editable(visit: Visit, job_id: str) -> list[View]:
    """Return the fields of a job that may be edited, with their values, those of its own class first."""
    view = view_job(visit.store, parse_id(job_id), by=visit.person)
    return sorted((each for each in view["fields"] if each["editable"]), key=lambda each: bool(each.get("standard")))


def _wrong(error: PenstockError | None, names: Mapping[str, Any]) -> list[str]:
    """Return the fields that an error is about: its message names each before a colon."""
    return [name for name in names if error is not None and f"{name}: " in str(error)]
