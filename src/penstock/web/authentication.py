"""Who somebody is: nobody asks, a users file, a header of a trusted proxy, or a function of the host application."""

import getpass
import hashlib
import inspect
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import Forbidden
from penstock.service.people import EVERYBODY, Person
from penstock.web.sessions import Session
from penstock.web.throttling import Throttle
from penstock.web.users import User, Users
from penstock.web.visit import Visit

NOBODY = Person("nobody")
"""Whom pages see that need no sign-in."""


class Authentication(Protocol):
    """A way to tell who somebody is."""

    signs_in: bool
    """Whether there is a page to sign in."""

    def person(self, request: Request, session: Session) -> Person | None:
        """Return who asks, or None where one must sign in first.

        Raises:
            Forbidden: the one who asks may not see the console at all.
        """


class EverybodyIsAdmin:
    """Whoever reaches the console may do everything: for one that only its own machine reaches."""

    signs_in = False

    def __init__(self) -> None:
        try:
            self._login = getpass.getuser()
        except (OSError, KeyError):
            self._login = "local"

    def person(self, request: Request, session: Session) -> Person | None:
        """Return the owner of the process as admin."""
        return Person(self._login, ("admin",), address_of(request))


class UsersFile:
    """People sign in with a password of the users file."""

    signs_in = True

    def __init__(self, path: str | Path) -> None:
        self.users = Users(path)
        self.throttle = Throttle()

    def person(self, request: Request, session: Session) -> Person | None:
        """Return who has signed in, as long as they are a user with that password."""
        user = self.users.find(session.login) if session.login else None
        if user is None or session.proof != proof_of(user):
            return None
        return Person(user.login, user.roles or (EVERYBODY,), address_of(request))

    def sign_in(self, session: Session, login: str, password: str, address: str | None) -> float | None:
        """Sign somebody in, and return None; or the seconds to wait, 0 where the password was just wrong."""
        names = (f"login {login}", f"address {address}")
        wait = self.throttle.wait(*names)
        if wait > 0:
            return wait
        user = self.users.check(login, password)
        if user is None:
            self.throttle.note_wrong(*names)
            return 0.0
        self.throttle.note_right(*names)
        session.sign_in(user.login, proof_of(user))
        return None


class TrustedHeader:
    """A proxy has asked already, and says who it is in a header; from anywhere else the header is not believed.

    Args:
        header: Its name, as `X-Remote-User`.
        proxies: Addresses or networks of the proxy, as `127.0.0.1` or `10.0.0.0/8`.
        roles: What each login may do; one that is not named has `everybody`.
        everybody: The roles of all others. Empty: they see nothing.
    """

    signs_in = False

    def __init__(
        self,
        header: str,
        *,
        proxies: Sequence[str] = ("127.0.0.1", "::1"),
        roles: Mapping[str, Sequence[str]] | None = None,
        everybody: Sequence[str] = (EVERYBODY,),
    ) -> None:
        self._header = header
        self._proxies = [ipaddress.ip_network(each, strict=False) for each in proxies]
        self._roles = dict(roles or {})
        self._everybody = tuple(everybody)

    def person(self, request: Request, session: Session) -> Person | None:
        """Return whom the proxy names.

        Raises:
            Forbidden: the request comes from elsewhere, names nobody, or somebody without a role.
        """
        address = address_of(request)
        if not self._is_proxy(address):
            raise Forbidden(f"requests are taken from the proxy only, and this one came from {address}")
        # Twice the same header, one may be from the proxy and the other through it.
        logins = request.headers.getlist(self._header)
        if len(logins) != 1 or not logins[0].strip():
            raise Forbidden(f"the proxy did not say who it is: {self._header} was sent {len(logins)} times")
        login = logins[0].strip()
        roles = tuple(self._roles.get(login, self._everybody))
        if not roles:
            raise Forbidden(f"{login} has no role here")
        return Person(login, roles, address)

    def _is_proxy(self, address: str | None) -> bool:
        try:
            found = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(found in network for network in self._proxies if network.version == found.version)


class AskHost:
    """The application around the console says who it is.

    Args:
        ask: Is called with the request, in a thread. Returns a `Person`; or the roles and the login as a pair; or None
            for somebody who may not see the console.
    """

    signs_in = False

    def __init__(self, ask: Callable[[Request], Any]) -> None:
        if inspect.iscoroutinefunction(ask):
            raise TypeError("the function that says who it is must not be async: it is called in a thread")
        self._ask = ask

    def person(self, request: Request, session: Session) -> Person | None:
        """Return whom the application names.

        Raises:
            Forbidden: nobody.
        """
        told = self._ask(request)
        if told is None:
            raise Forbidden("the application does not know you: sign in there first")
        if isinstance(told, Person):
            return told
        roles, login = told
        return Person(str(login), tuple(roles), address_of(request))


def proof_of(user: User) -> str:
    """Return what a session must hold to be of this user and this password; it tells nothing of either."""
    return hashlib.sha256(f"{user.login}:{user.password}".encode()).hexdigest()[:24]


def address_of(request: Request) -> str | None:
    """Return from where a request came."""
    return request.client.host if request.client else None


def challenge(visit: Visit) -> Response:
    """Return what somebody gets who must sign in first: the page for it, which leads back to where they wanted."""
    wanted = visit.path if visit.request.method == "GET" and visit.path not in ("/", "/live") else ""
    return visit.redirect("/sign-in", query={"to": wanted})
