"""Watched folders: the entries, what a look would do now, and the form for one."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from penstock.config import settings
from penstock.errors import EntryNotFound, PenstockError
from penstock.service.dirmon import (
    add_entry,
    copy_entry,
    disable_entry,
    edit_entry,
    enable_entry,
    list_entries,
    look_at_entries,
    remove_entry,
)
from penstock.service.forms import describe_kind, list_kinds
from penstock.service.jobs import View
from penstock.service.people import demand
from penstock.web.confirming import ask, is_confirmed
from penstock.web.fields import FIELD_PREFIX, text_of_value, texts_given
from penstock.web.pages.job_forms import NOT_ASKED
from penstock.web.routing import get, post
from penstock.web.visit import Visit

STATES = ("pending", "enabled", "failed", "disabled")
FIELDS = ("name", "pattern", "kind", "archive", "after")
MOST_FILES = 200


@get("/dirmon")
def entries(visit: Visit) -> Response:
    """Show the entries."""
    state = visit.query.get("state", "")
    found = list_entries(visit.store)
    counts = {each: sum(entry["state"] == each for entry in found) for each in STATES}
    shown = [entry for entry in found if state in ("", entry["state"])]
    roots = settings().allowed_roots
    return visit.render("dirmon.html", entries=shown, counts=counts, total=len(found), state=state, roots=roots)


@get("/dirmon/new")
def new(visit: Visit) -> Response:
    """Show the form for an entry; `copy` names one to begin with."""
    copied = visit.query.get("copy")
    demand(visit.person, "entry.copy" if copied else "entry.add")
    begun = {**_entry(visit, copied), "name": "", "pattern": ""} if copied else {}
    return _form(visit, "Copy of an entry" if copied else "Watch a folder", "/dirmon/new", begun, copied=copied or "")


@post("/dirmon/new")
def add(visit: Visit) -> Response:
    """Store a new entry."""
    copied = visit.text("copy")
    if visit.text("choose") == "kind":
        return _form(visit, "Watch a folder", "/dirmon/new", _values(visit), copied=copied)
    try:
        values, texts = _values(visit), _texts(visit)
        if copied:
            view = copy_entry(visit.store, copied, values, texts, by=visit.person)
        else:
            view = add_entry(visit.store, values, texts, by=visit.person)
    except PenstockError as error:
        return _form(visit, "Watch a folder", "/dirmon/new", _values(visit), error=error, copied=copied)
    return visit.redirect(
        f"/dirmon/{view['name']}", f"{view['name']} is stored. Nothing is watched until it is enabled."
    )


@get("/dirmon/{name}")
def entry(visit: Visit, name: str) -> Response:
    """Show an entry, and what a look into its folder would do now."""
    found = _entry(visit, name)
    look = look_at_entries(visit.store, [name])[0]
    return visit.render("entry.html", entry=found, look=look, most=MOST_FILES)


@get("/dirmon/{name}/edit")
def edit(visit: Visit, name: str) -> Response:
    """Show the form for an entry that there is."""
    demand(visit.person, "entry.edit")
    return _form(visit, f"Edit {name}", f"/dirmon/{name}/edit", _entry(visit, name), name=name)


@post("/dirmon/{name}/edit")
def save(visit: Visit, name: str) -> Response:
    """Store what was edited."""
    try:
        view = edit_entry(visit.store, name, _values(visit), _texts(visit), by=visit.person)
    except PenstockError as error:
        return _form(visit, f"Edit {name}", f"/dirmon/{name}/edit", _values(visit), error=error, name=name)
    return visit.redirect(f"/dirmon/{view['name']}", f"{view['name']} is stored.")


@post("/dirmon/{name}/enable")
def enable(visit: Visit, name: str) -> Response:
    """Have a folder watched."""
    enable_entry(visit.store, name, by=visit.person)
    return visit.redirect(f"/dirmon/{name}", f"{name} is watched.")


@post("/dirmon/{name}/disable")
def disable(visit: Visit, name: str) -> Response:
    """Have a folder no longer watched."""
    disable_entry(visit.store, name, by=visit.person)
    return visit.redirect(f"/dirmon/{name}", f"{name} is no longer watched.")


@post("/dirmon/{name}/remove")
def remove(visit: Visit, name: str) -> Response:
    """Remove an entry."""
    if not is_confirmed(visit):
        text = "Files in its folder stay where they are. This cannot be undone."
        at = f"/dirmon/{name}"
        return ask(visit, f"Remove {name}?", text, do="Remove it", target=f"{at}/remove", back=at)
    remove_entry(visit.store, name, by=visit.person)
    return visit.redirect("/dirmon", f"{name} is removed.")


def _entry(visit: Visit, name: str) -> View:
    found = next((each for each in list_entries(visit.store) if each["name"] == name), None)
    if found is None:
        raise EntryNotFound(f"there is no watched folder {name!r}")
    return found


def _values(visit: Visit) -> dict[str, Any]:
    """Return what was typed of the entry itself."""
    return {name: visit.text(name).strip() for name in FIELDS if visit.text(name).strip()}


def _fields_of(kind: str) -> list[View]:
    return [each for each in describe_kind(kind)["fields"] if each["name"] not in NOT_ASKED]


def _texts(visit: Visit) -> dict[str, str]:
    """Return fields of the job that were typed and differ from those of its class."""
    fields = _fields_of(visit.text("kind"))
    usual = {each["name"]: text_of_value(each["default"]) for each in fields}
    return {name: text for name, text in texts_given(visit.form, fields).items() if text not in ("", usual[name])}


def _form(
    visit: Visit,
    title: str,
    target: str,
    values: Mapping[str, Any],
    *,
    error: PenstockError | None = None,
    copied: str = "",
    name: str = "",
) -> Response:
    kinds = [each for each in list_kinds(visit.store) if each["has_form"]]
    kind = str(values.get("kind", ""))
    fields = _fields_of(kind) if any(each["kind"] == kind for each in kinds) else []
    stored = values.get("properties", {})
    given = {each["name"]: text_of_value(stored.get(each["name"], each["default"])) for each in fields}
    given |= {
        each: visit.text(FIELD_PREFIX + each) for each in given if visit.form.get(FIELD_PREFIX + each) is not None
    }
    return visit.render(
        "edit_entry.html",
        status=error.http_status if error else 200,
        title=title,
        target=target,
        entry={field: values.get(field, "") for field in FIELDS},
        name=name,
        copied=copied,
        kinds=kinds,
        fields=fields,
        values=given,
        error=str(error) if error else None,
        roots=settings().allowed_roots,
    )
