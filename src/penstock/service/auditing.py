"""The audit: every action of a person leaves a line, in the transaction of what was done; so does a refused one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.errors import PenstockError, StoreError
from penstock.service.people import By, Person, demand, person_of
from penstock.service.times import iso_text
from penstock.store.protocol import Store
from penstock.store.rows import AuditRow, JobRow

MOST_TEXT = 4_000
"""Characters of what was before, and of what is after; longer ones are cut and say so."""
LINES = 100
"""Lines that are told where nobody asks for another number."""

View = dict[str, Any]


class Act:
    """An action under way. `note` writes its line, and belongs into the transaction of what is done."""

    def __init__(self, store: Store, person: Person, action: str, target: str) -> None:
        self.person = person
        self._store = store
        self._action = action
        self.target = target

    def note(self, before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None) -> None:
        """Write the line: what was before and what is after, as far as it changed. Nothing in it may be secret."""
        self._write(_text(before), _text(after), None)

    def note_failure(self, error: PenstockError) -> None:
        """Write that it was refused or failed, and why."""
        self._write(None, None, str(error)[:MOST_TEXT])

    def _write(self, before: str | None, after: str | None, error: str | None) -> None:
        told = (self._action, self.target, before, after, error)
        self._store.add_audit(AuditRow(0, clock.now(), self.person.login, self.person.origin, *told))


@contextmanager
def acting(store: Store, by: By, action: str, target: str, *, job: JobRow | None = None) -> Iterator[Act]:
    """Let a person do something in the `with` block, where the roles allow it; what goes wrong leaves a line.

    Args:
        store: The store.
        by: Who.
        action: One of those in `people.ROLES`.
        target: What it is done to: `job …`, `entry …`, `server …`.
        job: The job it is done to, of which the person may be the owner.

    Raises:
        Forbidden: the roles do not allow it.
    """
    act = Act(store, person_of(by), action, target)
    try:
        demand(act.person, action, job)
        yield act
    except PenstockError as error:
        with suppress(StoreError):  # Where the store itself is in trouble, that is what is told.
            act.note_failure(error)
        raise


def note_refusal(store: Store, by: By, action: str, error: PenstockError) -> None:
    """Note that something was refused whose own line was undone together with it."""
    with suppress(StoreError):
        Act(store, person_of(by), action, "request").note_failure(error)


def target_of_job(job_id: UUID) -> str:
    """Return what the audit calls a job."""
    return f"job {job_id}"


def list_audit(
    store: Store,
    *,
    target: str | None = None,
    who: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = LINES,
) -> list[View]:
    """Return lines of the audit, the newest first.

    Args:
        store: The store.
        target: Only of this one, as `job 01a1…` or `entry orders`.
        who: Only of this person.
        action: Only of this action.
        before: Only lines with a lower `id`: the last one of the page before.
        limit: At most so many.
    """
    rows = store.audit(target=target, who=who, action=action, before=before, limit=limit)
    return [_view(row) for row in rows]


def trail_of_job(store: Store, job_id: UUID, *, limit: int = LINES) -> list[View]:
    """Return what people did to a job, the newest first. It outlives the job."""
    return list_audit(store, target=target_of_job(job_id), limit=limit)


def _view(row: AuditRow) -> View:
    told = {name: None if (text := getattr(row, name)) is None else json.loads(text) for name in ("before", "after")}
    return {**row._asdict(), "at": iso_text(row.at), **told}


def _text(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    text = json.dumps(values, default=str)
    return text if len(text) <= MOST_TEXT else json.dumps({"cut": text[: MOST_TEXT - 100]})
