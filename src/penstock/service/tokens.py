"""Tokens of programs that use the API: made, listed, removed, recognised. Shown once; stored as a hash."""

import hashlib
import json
import secrets
from collections.abc import Sequence

from penstock import clock
from penstock.errors import ConfigurationError, DuplicateEntry, EntryNotFound, NotSignedIn
from penstock.service.auditing import acting
from penstock.service.jobs import View
from penstock.service.people import By, Person
from penstock.service.times import iso_text
from penstock.store.protocol import Store
from penstock.store.rows import TokenRow

PREFIX = "pst_"
"""What a token begins with, so that those who look for secrets that leaked find it."""


def add_token(store: Store, name: str, *, by: By, login: str | None = None, roles: Sequence[str] = ()) -> View:
    """Make a token for a program, which acts under `login` with these roles. Its `token` is told now and never again.

    Raises:
        Forbidden: the roles of `by` do not allow it.
        ConfigurationError: a role is unknown, or the name is none.
        DuplicateEntry: another has the name.
    """
    with acting(store, by, "token.add", target_of_token(name)) as act:
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise ConfigurationError("a token needs a name that can be shown")
        person = Person(login or name, tuple(roles) or ("view",))
        token = f"{PREFIX}{secrets.token_urlsafe(32)}"
        row = TokenRow(name, digest_of(token), person.login, json.dumps(list(person.roles)), clock.now())
        with store.transaction():
            if not store.add_token(row):
                raise DuplicateEntry(f"there is a token {name!r} already; remove it first")
            act.note(after={"login": person.login, "roles": list(person.roles)})
    return {**_view(row), "token": token}


def list_tokens(store: Store, *, by: By) -> list[View]:
    """Return all tokens by name, without what they are.

    Raises:
        Forbidden: the roles do not allow it.
    """
    with acting(store, by, "token.list", "tokens"):
        return [_view(row) for row in store.tokens()]


def remove_token(store: Store, name: str, *, by: By) -> View:
    """Remove a token: from now on it opens nothing.

    Raises:
        Forbidden: the roles do not allow it.
        EntryNotFound: there is none of the name.
    """
    with acting(store, by, "token.remove", target_of_token(name)) as act, store.transaction():
        if not store.remove_token(name):
            raise EntryNotFound(f"there is no token {name!r}; `penstock web token list` shows those that there are")
        act.note()
    return {"name": name}


def person_of_token(store: Store, token: str, *, origin: str | None) -> Person:
    """Return who holds a token.

    Raises:
        NotSignedIn: it is none of ours, or was removed.
    """
    row = store.token_of_digest(digest_of(token))
    if row is None:
        raise NotSignedIn("the token is none that is known here; `penstock web token add` makes one")
    return Person(row.login, tuple(json.loads(row.roles)), origin)


def digest_of(token: str) -> str:
    """Return what a token is hashed to. It is long and random: nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def target_of_token(name: str) -> str:
    """Return what the audit calls a token."""
    return f"token {name}"


def _view(row: TokenRow) -> View:
    return {
        "name": row.name,
        "login": row.login,
        "roles": json.loads(row.roles),
        "created_at": iso_text(row.created_at),
    }
