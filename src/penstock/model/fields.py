"""Fields of a job class: `field()` with the facts that belong to a field, said at the field."""

from collections.abc import Callable
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

_UNSET: Any = object()


def field(
    default: Any = _UNSET,
    *,
    default_factory: Callable[[], Any] | None = None,
    user_editable: bool = False,
    copy_on_restart: bool = False,
    description: str | None = None,
    **constraints: Any,
) -> Any:
    """Declare a field of a job class.

    Args:
        default: The value when none is given. Without it and `default_factory` the field is required.
        default_factory: Makes the default, for each job anew.
        user_editable: A person may change it on a stored job.
        copy_on_restart: The next instance of a repeating job gets its value.
        description: What it means, shown where a person edits it.
        constraints: What pydantic's `Field` knows: `ge`, `le`, `min_length`, `pattern`, …
    """
    facts: dict[str, Any] = {"user_editable": user_editable, "copy_on_restart": copy_on_restart}
    given: dict[str, Any] = {} if default is _UNSET else {"default": default}
    if default_factory is not None:
        given["default_factory"] = default_factory
    return Field(**given, description=description, json_schema_extra=facts, **constraints)


def has_fact(info: FieldInfo, fact: str) -> bool:
    """Tell whether a field was declared with the fact `user_editable` or `copy_on_restart`."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(fact))
