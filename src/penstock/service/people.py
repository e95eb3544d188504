"""People, their roles, and what each role may do: the one table that API, pages and documentation read."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigurationError, Forbidden
from penstock.model.sealing import is_sealed
from penstock.store.rows import JobRow

LOGIN_FIELD = "login"
"""The field of a job that names the person whose job it is."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a person may do. A role includes all that stand below it in `ROLES`."""

    name: str
    meaning: str
    actions: tuple[str, ...]
    own_only: bool = False
    """Whether the actions are for jobs only whose `login` is the person's."""


ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(
            "admin",
            "create and destroy jobs, remove watched folders, see to tokens",
            ("job.create", "job.destroy", "entry.remove", "token.add", "token.remove", "token.list"),
        ),
        Role(
            "editor",
            "see and correct records",
            ("record.read", "record.edit", "record.delete", "record.reject", "record.resubmit"),
        ),
        Role(
            "operator",
            "pause, resume, stop, kill and remove servers, and see their threads",
            ("server.pause", "server.resume", "server.stop", "server.kill", "server.dump", "server.destroy"),
        ),
        Role(
            "manager",
            "edit, pause, resume, retry, abort, fail and run jobs now; schedules; outputs",
            (
                "job.edit", "job.pause", "job.resume", "job.retry", "job.abort", "job.fail", "job.run-now",
                "schedule.edit", "schedule.run-now", "output.read",
            ),
        ),
        Role(
            "dirmon",
            "add, edit, copy, enable and disable watched folders",
            ("entry.add", "entry.edit", "entry.copy", "entry.enable", "entry.disable"),
        ),
        Role(
            "user",
            "edit, pause, resume, retry and abort own jobs, and read their outputs",
            ("job.edit", "job.pause", "job.resume", "job.retry", "job.abort", "output.read"),
            own_only=True,
        ),
        Role("view", "look at jobs, servers, schedules and watched folders", ("read",)),
    )
}  # fmt: skip
"""All roles, the one that may most first."""
EVERYBODY = "view"
"""The role that everybody has."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts.

    Raises:
        ConfigurationError: a role is unknown.
    """

    login: str
    roles: Collection[str] = (EVERYBODY,)
    origin: str | None = None
    """From where: an address, or the host of a command line. It stands in the audit."""
    remote: bool = True
    """Whether it is through the console or the API: paths and URLs must then lie in `allowed_roots`."""

    def __post_init__(self) -> None:
        for role in self.roles:
            if role not in ROLES:
                raise ConfigurationError(f"there is no role {role!r}; known: {', '.join(ROLES)}")


By = Person | str
"""Who acts: a person, or the login of one who may do everything, as whoever has the store's URL may."""


def person_of(by: By) -> Person:
    """Return who acts."""
    return by if isinstance(by, Person) else Person(by, ("admin",), "command line", remote=False)


def roles_with(roles: Collection[str]) -> tuple[Role, ...]:
    """Return these roles and all that they include."""
    names = list(ROLES)
    first = min((names.index(role) for role in (*roles, EVERYBODY)), default=len(names))
    return tuple(ROLES.values())[first:]


def may(person: Person, action: str, job: JobRow | Mapping[str, Any] | None = None) -> bool:
    """Tell whether a person may do something.

    Args:
        person: Who.
        action: One of those in `ROLES`.
        job: The job it is about, a row or what `show_job` returned. None is nobody's own.

    Raises:
        ConfigurationError: there is no such action.
    """
    if action not in ACTION_NAMES:
        raise ConfigurationError(f"there is no action {action!r}; known: {', '.join(sorted(ACTION_NAMES))}")
    return any(
        action in role.actions and (not role.own_only or _is_own(person, job)) for role in roles_with(person.roles)
    )


def demand(person: Person, action: str, job: JobRow | Mapping[str, Any] | None = None) -> None:
    """Refuse what a person may not do.

    Raises:
        Forbidden: the roles do not allow it; the role that would is named.
    """
    if not may(person, action, job):
        lowest = [role.name for role in ROLES.values() if action in role.actions and not role.own_only][-1]
        held = ", ".join(sorted(person.roles)) or EVERYBODY
        raise Forbidden(f"{person.login} may not {action}: it takes the role {lowest}, and there is {held}")


def _is_own(person: Person, job: JobRow | Mapping[str, Any] | None) -> bool:
    if job is None:
        return False
    fields = json.loads(job.fields) if isinstance(job, JobRow) else job.get("fields") or {}
    login = fields.get(LOGIN_FIELD)
    return not is_sealed(login) and login == person.login


ACTION_NAMES = frozenset(action for role in ROLES.values() for action in role.actions)
"""Everything that takes a role."""
