"""Who calls the command line."""

from getpass import getuser
from socket import gethostname

from penstock.service.people import Person


def me() -> Person:
    """Return who calls: whoever has the URL of the store may do everything, and is named in the audit."""
    return Person(_login(), ("admin",), f"command line on {gethostname()}", remote=False)


def _login() -> str:
    try:
        return getuser()
    except (KeyError, OSError):
        return "unknown"  # A container may run under a number that nobody has.
