"""Watched folders as people see them: entries, and what a look into their folders would do."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from penstock.errors import ConfigurationError, PenstockError
from penstock.jobs.dirmon import DirmonJob
from penstock.jobs.entries import Entry, check_entry, entry_of, find_entry, move_entry
from penstock.jobs.looking import Found, look_at
from penstock.jobs.sights import Sight
from penstock.jobs.upload_file import Starting, files_being_started
from penstock.model.kinds import find_class
from penstock.service.auditing import acting
from penstock.service.confining import refuse_paths
from penstock.service.editing import values_of
from penstock.service.jobs import View
from penstock.service.people import By
from penstock.service.times import iso_text
from penstock.store.protocol import Store
from penstock.store.rows import EntryRow


def list_entries(store: Store, *, states: Collection[str] = ()) -> list[View]:
    """Return the entries by name; of these states only, where any are given."""
    return [view_of_entry(row) for row in store.entries() if not states or row.state in states]


def view_of_entry(row: EntryRow) -> View:
    """Return one entry."""
    return {**row._asdict(), "properties": json.loads(row.properties), "created_at": iso_text(row.created_at)}


def add_entry(store: Store, values: Mapping[str, Any], texts: Mapping[str, str] | None = None, *, by: By) -> View:
    """Store a new entry, which is pending: nothing is watched until it is enabled.

    Args:
        store: The store.
        values: What `Entry` has: name, pattern, kind, archive, after.
        texts: Fields of the job that each file becomes, as text.

    Raises:
        ConfigurationError: a value does not fit, and its field is named; or a folder does not lie in `allowed_roots`.
        UnknownKind: no class for its kind was imported.
        DuplicateEntry: another has its name or pattern.
    """
    return _added(store, values, texts or {}, by, "entry.add")


def edit_entry(
    store: Store, name: str, values: Mapping[str, Any], texts: Mapping[str, str] | None = None, *, by: By
) -> View:
    """Change an entry: all that is given, or nothing. Fields of the job are added to those that it has.

    Raises:
        EntryNotFound: there is none of the name.
        ConfigurationError: as for `add_entry`.
        DuplicateEntry: another has its new name or pattern.
    """
    with acting(store, by, "entry.edit", target_of_entry(name)) as act:
        row = find_entry(store, name)
        entry = _checked({**entry_of(row).model_dump(), **values}, texts or {})
        if act.person.remote:
            refuse_paths(find_class(entry.kind), entry.properties)
        changes = entry.to_row()._asdict()
        kept = {column: changes[column] for column in Entry.model_fields}
        with store.transaction():
            if not store.update_entry(name, kept, expect={"state": row.state}):
                raise ConfigurationError(
                    f"entry {name} was changed by somebody else meanwhile; look at it, and edit it again"
                )
            was = row._asdict()
            changed = [column for column in kept if kept[column] != was[column]]
            act.note({column: was[column] for column in changed}, {column: kept[column] for column in changed})
    return view_of_entry(find_entry(store, entry.name))


def copy_entry(
    store: Store, name: str, values: Mapping[str, Any], texts: Mapping[str, str] | None = None, *, by: By
) -> View:
    """Store a new entry that is as another but for what is given, which has a name and a pattern of its own.

    Raises:
        EntryNotFound: there is none of the name.
        ConfigurationError: as for `add_entry`.
        DuplicateEntry: another has its name or pattern.
    """
    return _added(store, {**entry_of(find_entry(store, name)).model_dump(), **values}, texts or {}, by, "entry.copy")


def enable_entry(store: Store, name: str, *, by: By) -> View:
    """Have a folder watched; makes the `DirmonJob`, where there is none, in the current store.

    Raises:
        EntryNotFound: there is none of the name.
        ConfigurationError: it is not valid any more.
        InvalidMove: it is enabled already.
    """
    with acting(store, by, "entry.enable", target_of_entry(name)) as act:
        before = find_entry(store, name)
        check_entry(entry_of(before).model_dump())
        with store.transaction():
            row = move_entry(store, name, "enable")
            DirmonJob.ensure()
            act.note({"state": before.state}, {"state": row.state})
    return view_of_entry(row)


def disable_entry(store: Store, name: str, *, by: By) -> View:
    """Have a folder no longer watched. What is being started is.

    Raises:
        EntryNotFound: there is none of the name.
        InvalidMove: it is not enabled.
    """
    with acting(store, by, "entry.disable", target_of_entry(name)) as act, store.transaction():
        before = find_entry(store, name)
        row = move_entry(store, name, "disable")
        act.note({"state": before.state}, {"state": row.state})
    return view_of_entry(row)


def remove_entry(store: Store, name: str, *, by: By) -> View:
    """Remove an entry; returns what it was.

    Raises:
        EntryNotFound: there is none of the name.
    """
    with acting(store, by, "entry.remove", target_of_entry(name)) as act, store.transaction():
        row = find_entry(store, name)
        store.delete_entry(name)
        act.note(view_of_entry(row))
    return view_of_entry(row)


def look_at_entries(store: Store, names: Sequence[str] = ()) -> list[View]:
    """Return what a look would do now about the files of entries, and do nothing.

    Args:
        store: The store, which must be the current one.
        names: Of the entries, enabled or not; empty means all that are enabled.

    Raises:
        EntryNotFound: there is none of a name.
    """
    rows = [find_entry(store, name) for name in names] or [row for row in store.entries() if row.state == "enabled"]
    waiting = DirmonJob.query.in_states("queued", "running", "paused").first()
    seen: Mapping[str, Sight] = waiting.seen if waiting is not None else {}
    starting = files_being_started(store)
    return [_look(row, seen, starting) for row in rows]


def _look(row: EntryRow, seen: Mapping[str, Sight], starting: Mapping[str, list[Starting]]) -> View:
    view: View = {"name": row.name, "state": row.state, "error": None, "files": []}
    try:
        view["files"] = [_view_of_file(file) for file in look_at(row, seen, starting)]
    except (PenstockError, OSError) as error:
        view["error"] = str(error)
    return view


def _view_of_file(file: Found) -> View:
    told = {"file": file.place, "verdict": file.verdict, "reason": file.reason}
    return {**told, "size": file.sight.size, "modified_at": iso_text(file.sight.modified)}


def _added(store: Store, values: Mapping[str, Any], texts: Mapping[str, str], by: By, right: str) -> View:
    with acting(store, by, right, target_of_entry(str(values.get("name")))) as act:
        row = _checked(values, texts).to_row()
        if act.person.remote:
            refuse_paths(find_class(row.kind), json.loads(row.properties))
        with store.transaction():
            store.insert_entry(row)
            act.note(after=view_of_entry(row))
    return view_of_entry(row)


def target_of_entry(name: str) -> str:
    """Return what the audit calls an entry."""
    return f"entry {name}"


def _checked(values: Mapping[str, Any], texts: Mapping[str, str]) -> Entry:
    merged = dict(values)
    if texts:
        cls = find_class(str(merged.get("kind")))
        for name in texts.keys() - cls.model_fields.keys():
            raise ConfigurationError(f"properties: {cls.kind} has no field {name!r}")
        merged["properties"] = {**merged.get("properties", {}), **values_of(cls, texts)}
    return check_entry(merged)
