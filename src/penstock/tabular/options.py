"""Options that are given late: beside those that a format was set up with."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from penstock.errors import ConfigurationError

F = TypeVar("F")


def with_options(form: F, options: Mapping[str, Any] | None) -> F:
    """Return a format, which is a dataclass, with some of its options replaced.

    Raises:
        ConfigurationError: There is no such option.
    """
    fields: Any = form
    known = [field.name for field in dataclasses.fields(fields)]
    if unknown := sorted((options or {}).keys() - set(known)):
        raise ConfigurationError(f"{fields.name} has no option {', '.join(unknown)}; known are: {', '.join(known)}")
    return dataclasses.replace(fields, **options) if options else form
