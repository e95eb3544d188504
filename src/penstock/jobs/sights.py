"""How a file looked when somebody looked at it."""

from typing import NamedTuple

from pydantic import AwareDatetime


class Sight(NamedTuple):
    """Two looks that saw the same have seen the same file, unchanged."""

    size: int
    """Bytes."""
    modified: AwareDatetime
    """When it was last written."""
