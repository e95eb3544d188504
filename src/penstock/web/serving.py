"""The console as a server of its own."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from penstock.errors import ConfigurationError
from penstock.web.app import make_console
from penstock.web.authentication import Authentication
from penstock.web.security import LOOPBACK

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - they are what is looked for.


def serve(
    *,
    host: str,
    port: int,
    authentication: Authentication | None,
    allowed_hosts: tuple[str, ...] = (),
    secret: str | None = None,
    ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve the console until SIGTERM or Ctrl-C.

    Args:
        host: The address to listen at.
        port: The port; 0 takes a free one.
        authentication: Who somebody is; None: everybody is admin, which is refused beyond loopback.
        allowed_hosts: Names under which it answers, beside the address and those of loopback.
        secret: What cookies are signed with; None: made anew.
        ready: Is called with the URL, once it listens.

    Raises:
        ConfigurationError: it would be open to others without authentication, or the address cannot be taken.
    """
    import uvicorn

    if authentication is None and not is_loopback(host):
        raise ConfigurationError(
            f"--host {host} lets others reach the console, where everybody would be admin: make somebody a user with "
            "`penstock web user add`, and name the file with --users; or name the header of a proxy with --user-header"
        )
    own = () if host in WILDCARDS else (host,)
    app = make_console(authentication=authentication, allowed_hosts=(*LOOPBACK, *own, *allowed_hosts), secret=secret)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{listening.getsockname()[1]}/")
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
    config = uvicorn.Config(app, timeout_graceful_shutdown=3, proxy_headers=False, lifespan="off", **options)
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        raise ConfigurationError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    listening.set_inheritable(True)
    return listening
