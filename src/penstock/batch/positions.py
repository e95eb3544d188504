"""Which record is performed, where several are at once."""

from contextvars import ContextVar
from typing import Any, NamedTuple

performed_position: ContextVar[int | None] = ContextVar("performed_position", default=None)
"""The position in its slice, behind those done before, of the record that the running coroutine performs; None outside
of one: then records are performed one after another."""


class Position(NamedTuple):
    """Where `perform` is: the record it was called with follows those that have results."""

    first_record: int
    results: list[Any]
    numbers: list[int] | None = None
    """Of records that come back, each one's number in the job."""
    in_record: bool = True
    """Whether a record is performed, and no hook of the slice."""

    @property
    def position(self) -> int:
        """Which record of those that are performed now, from 0."""
        at = performed_position.get()
        return len(self.results) if at is None else at

    @property
    def record_number(self) -> int:
        """The number in the job of the record being performed, from 1."""
        at = self.position
        return self.first_record + at if self.numbers is None else self.numbers[at]
