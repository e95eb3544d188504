"""Sessions: a signed cookie with who signed in, what is still to be said, and the seed of form tokens."""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

COOKIE = "penstock_session"
LASTS = 12 * 3600
"""Seconds after which one must sign in again; counted from the last page that changed the session."""
MOST_SAID = 2_000
"""Characters of one message: a cookie holds 4 KB."""


@dataclass
class Session:
    """What a browser brings with it. `changed` decides whether it is sent back."""

    id: str
    login: str | None = None
    proof: str | None = None
    """Ties a login to the password it was made with."""
    said: list[list[str]] = field(default_factory=list)
    """Messages for the next page: each its tone and its text."""
    changed: bool = False

    def say(self, text: str, tone: str = "good") -> None:
        """Have the next page show a message; `tone` is `good`, `bad` or `plain`."""
        self.said = [*self.said[-2:], [tone, text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"]]
        self.changed = True

    def hear(self) -> list[list[str]]:
        """Return the messages, which are then said."""
        told, self.said = self.said, []
        self.changed = self.changed or bool(told)
        return told

    def sign_in(self, login: str, proof: str) -> None:
        """Note who it is, under a new id: one that was planted before is worth nothing."""
        self.id, self.login, self.proof, self.changed = secrets.token_urlsafe(18), login, proof, True

    def sign_out(self) -> None:
        """Forget who it was."""
        self.id, self.login, self.proof, self.changed = secrets.token_urlsafe(18), None, None, True


class Sessions:
    """Reads and writes sessions, and makes the tokens that forms carry."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._signer = URLSafeTimedSerializer(secret, salt="penstock-session")

    def read(self, connection: HTTPConnection) -> Session:
        """Return the session of a request; a new one where there is none, or it is forged or too old."""
        try:
            told: dict[str, Any] = self._signer.loads(connection.cookies.get(COOKIE, ""), max_age=LASTS)
            return Session(str(told["i"]), told.get("l"), told.get("p"), list(told.get("s", ())))
        except (BadSignature, KeyError, TypeError, AttributeError):
            return Session(secrets.token_urlsafe(18), changed=True)

    def write(self, session: Session, response: Response, *, path: str, secure: bool) -> None:
        """Send a session back where it changed."""
        if not session.changed:
            return
        told = {"i": session.id, "l": session.login, "p": session.proof, "s": session.said}
        text = self._signer.dumps({name: value for name, value in told.items() if value})
        if isinstance(text, bytes):  # pragma: no cover - by its types it may be.
            text = text.decode()
        response.set_cookie(COOKIE, text, max_age=LASTS, path=path, secure=secure, httponly=True, samesite="strict")

    def token(self, session: Session) -> str:
        """Return what a form must carry to be taken as ours."""
        return hmac.new(self._secret, f"form:{session.id}".encode(), "sha256").hexdigest()

    def is_token(self, session: Session, given: object) -> bool:
        """Tell whether a form carried it."""
        return isinstance(given, str) and hmac.compare_digest(self.token(session).encode(), given.encode())
