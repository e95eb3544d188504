"""The users file: who may sign in, with which roles; passwords as argon2 hashes. Written whole or not at all."""

import json
import os
import secrets
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError
from penstock.service.people import ROLES

SHORTEST = 10
"""Characters of a password."""
MOST = 1_000
"""Characters of a password that are hashed; longer ones are refused, which costs nothing."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in."""

    login: str
    roles: tuple[str, ...]
    password: str
    """Its hash."""


class Users:
    """Reads and writes the file. It is read again whenever it has changed."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._seen: tuple[int, int] | None = None
        self._users: dict[str, User] = {}
        self._secret = ""
        self._lock = threading.Lock()

    def all(self) -> list[User]:
        """Return the users by login.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        self._read()
        return [self._users[login] for login in sorted(self._users)]

    def find(self, login: str) -> User | None:
        """Return a user, or None."""
        self._read()
        return self._users.get(login)

    @property
    def secret(self) -> str:
        """What cookies are signed with: sessions outlive the process, and end when the file is made anew."""
        self._read()
        return self._secret

    def add(self, login: str, password: str, roles: Iterable[str]) -> None:
        """Add a user, or give one that there is another password and roles; their sessions end.

        Raises:
            ConfigurationError: a role is unknown, the login is blank, or the password too short; nothing is written.
        """
        chosen = tuple(roles)
        for role in chosen:
            if role not in ROLES:
                raise ConfigurationError(f"there is no role {role!r}; known: {', '.join(ROLES)}")
        if not login or not login.isprintable() or login != login.strip():
            raise ConfigurationError(
                f"login {login!r}: it must not be blank, begin or end in blanks, or hold control characters"
            )
        if not SHORTEST <= len(password) <= MOST:
            raise ConfigurationError(f"the password must have {SHORTEST} to {MOST} characters")
        self._read(missing_ok=True)
        self._write({**self._users, login: User(login, chosen, self._hasher.hash(password))})

    def remove(self, login: str) -> None:
        """Remove a user; their sessions end.

        Raises:
            ConfigurationError: there is none.
        """
        if self.find(login) is None:
            raise ConfigurationError(f"{self.path}: there is no user {login!r}")
        self._write({name: user for name, user in self._users.items() if name != login})

    def check(self, login: str, password: str) -> User | None:
        """Return the user whose password this is, or None; takes as long for one that there is not."""
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > MOST:
            return None
        user = self.find(login)
        try:
            self._hasher.verify(user.password if user else self._nobody, password)
        except (VerificationError, InvalidHashError):
            return None
        return user

    @cached_property
    def _hasher(self) -> Any:
        from argon2 import PasswordHasher

        return PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        return str(self._hasher.hash(secrets.token_urlsafe(16)))

    def _read(self, *, missing_ok: bool = False) -> None:
        with self._lock:
            try:
                found = self.path.stat()
                seen = (found.st_mtime_ns, found.st_ino)
                if seen == self._seen:
                    return
                told = json.loads(self.path.read_text("utf-8"))
                users = [User(each["login"], tuple(each["roles"]), each["password"]) for each in told["users"]]
                self._users = {user.login: user for user in users}
                self._secret, self._seen = str(told["secret"]), seen
            except FileNotFoundError:
                if not missing_ok:
                    raise ConfigurationError(
                        f"there is no users file {self.path}: make it with `penstock web user add`"
                    ) from None
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(f"{self.path}: this is no users file that can be read: {error}") from None

    def _write(self, users: dict[str, User]) -> None:
        told = {
            "secret": self._secret or secrets.token_urlsafe(32),
            "users": [{"login": u.login, "roles": list(u.roles), "password": u.password} for u in users.values()],
        }
        # 0600 from the beginning, as mkstemp makes it: the secret signs cookies.
        handle, name = tempfile.mkstemp(dir=self.path.absolute().parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise
