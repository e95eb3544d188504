"""What stands before every page: which hosts are answered, what a page may load, and which forms are taken."""

import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The hosts that are answered unless others are named: a foreign name that was made to lead here is not."""
ANY_HOST = "*"
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
CONTENT = (
    "default-src 'none'",
    "script-src 'nonce-{nonce}'",
    "style-src 'nonce-{nonce}'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
)
"""The content security policy: scripts and styles of ours only, and nothing from elsewhere."""


class Guard:
    """Refuses foreign hosts, gives each request a nonce, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(18)
        scope.setdefault("state", {})["nonce"] = nonce

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _guard(MutableHeaders(scope=message), nonce, secure=scope.get("scheme") == "https")
            await send(message)

        host = host_of(Headers(scope=scope).get("host", ""))
        if ANY_HOST not in self._hosts and host not in self._hosts:
            refusal = PlainTextResponse(
                f"This console does not answer to the host {host!r}. Allow it: penstock web --allow-host {host}\n", 400
            )
            await refusal(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def _guard(headers: MutableHeaders, nonce: str, *, secure: bool) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("content-security-policy", "; ".join(CONTENT).format(nonce=nonce))
    headers.setdefault("cache-control", "no-store")
    if secure:
        headers.setdefault("strict-transport-security", "max-age=31536000")


def host_of(header: str) -> str:
    """Return the name in a `Host` header, without its port, in lower case; empty where it is none."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def is_same_origin(request: Request) -> bool:
    """Tell whether a browser says that a request comes from a page of ours. One that says nothing may be ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
