"""Log handlers of the user's own: functions, named by the setting `log_handlers`, that return them."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from penstock.errors import ConfigurationError
from penstock.server.app import function_of

HandlerSource = str | Callable[[], Any]
"""What gives handlers: `module:function`, or the function."""


def handlers_from(sources: Iterable[HandlerSource]) -> list[logging.Handler]:
    """Call each function and return all handlers.

    Raises:
        ConfigurationError: it cannot be found, raises, or returns something else; it is named.
    """
    return [handler for source in sources for handler in _handlers_from(source)]


def _handlers_from(source: HandlerSource) -> list[logging.Handler]:
    try:
        return _handlers_of(function_of(source)())
    except ConfigurationError as error:
        raise ConfigurationError(f"setting log_handlers: {name_of(source)}: {error}") from None
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ConfigurationError(f"setting log_handlers: {name_of(source)} raised {what}") from error


def importable_name(source: HandlerSource, setting: str = "log_handlers") -> str:
    """Return the name by which another process finds a function that a setting gives.

    Raises:
        ConfigurationError: it would not find it.
    """
    name = name_of(source)
    if callable(source) and (name.startswith("__main__:") or "<" in name):
        raise ConfigurationError(
            f"setting {setting}: workers cannot import {name}; give a function at the top of a module"
        )
    return name


def name_of(source: HandlerSource) -> str:
    """Return what to call a source of handlers."""
    if isinstance(source, str):
        return source
    return f"{getattr(source, '__module__', '?')}:{getattr(source, '__qualname__', repr(source))}"


def _handlers_of(returned: Any) -> list[logging.Handler]:
    found = list(returned) if isinstance(returned, list | tuple) else [returned]
    wrong = [handler for handler in found if not isinstance(handler, logging.Handler)]
    if wrong:
        raise ConfigurationError(f"it returned {wrong[0]!r}; a logging.Handler or a list of them is wanted")
    return found
