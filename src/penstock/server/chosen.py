"""Which jobs a server works on, where not on all of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from penstock.errors import ConfigurationError
from penstock.query import Filter


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a server is told to work on. By default on every kind that its workers know."""

    only: UUID | None = None
    """This one job and nothing else."""
    include: str | None = None
    """Kinds that match this regular expression, anywhere in their name."""
    exclude: str | None = None
    """Kinds that do not match this one."""
    where: Sequence[Filter] = ()
    """Jobs that meet all of these. Those that do not are read again and again, unless the fields are indexed."""

    def __post_init__(self) -> None:
        for option, pattern in (("include", self.include), ("exclude", self.exclude)):
            if pattern is not None:
                _compiled(option, pattern)

    def includes(self, kind: str) -> bool:
        """Tell whether jobs of a kind may be claimed."""
        if self.include is not None and not _compiled("include", self.include).search(kind):
            return False
        return self.exclude is None or not _compiled("exclude", self.exclude).search(kind)


@cache
def _compiled(option: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(f"--{option} {pattern!r} is no regular expression: {error}") from None
