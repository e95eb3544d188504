"""The console: pages over the service layer, to be served by `penstock web` or mounted in an ASGI application."""

from typing import Any

from penstock.errors import MissingExtra


def console(**options: Any) -> Any:
    """Return the console as an ASGI application, which may be mounted under any path.

    Args:
        options: As `penstock.web.app.make_console` takes them: `store`, `authentication`, `allowed_hosts`, ….

    Raises:
        MissingExtra: the libraries of the `web` extra are not installed.
    """
    try:
        from penstock.web.app import make_console
    except ModuleNotFoundError as error:
        raise missing(error) from error
    return make_console(**options)


def missing(error: ModuleNotFoundError) -> Exception:
    """Return what to say of a library that is not there; the error itself where it is none of the extra."""
    name = (error.name or "").partition(".")[0]
    return error if name == "penstock" else MissingExtra(f"the console ({name})", "web")
