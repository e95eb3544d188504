"""Settings of a batch job class that cannot be, or cannot go together: refused when the class is made."""

import inspect
from typing import TYPE_CHECKING

from penstock.batch.rates import seconds_per_record
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.batch.record import BatchRecord

TABLES = ("list", "arrow", "pandas", "polars")
"""What `slice_as` may be."""


def refuse_impossible(cls: "type[BatchRecord]") -> None:
    """Refuse a class before it has jobs.

    Raises:
        ConfigurationError: a setting of it cannot be, or not beside another.
    """
    name = cls.__name__
    wrong = cannot_reject(cls, cls.model_fields["on_record_error"].default)
    if wrong is not None:
        raise ConfigurationError(f"{name}.{wrong}")
    if cls.slice_as not in TABLES:
        raise ConfigurationError(f"{name}.slice_as = {cls.slice_as!r}: it is one of {', '.join(TABLES)}")
    if inspect.iscoroutinefunction(cls.perform_slice):
        raise ConfigurationError(f"{name}.perform_slice is async, which only perform may be")
    if cls.rate_limit is not None:
        try:
            seconds_per_record(cls.rate_limit)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}.rate_limit: {error}") from None


def cannot_reject(cls: "type[BatchRecord]", on_record_error: str) -> str | None:
    """Return why jobs of a class cannot reject records; None where they can, or are not told to."""
    if on_record_error != "reject" or not cls.whole_slices:
        return None
    return (
        'on_record_error = "reject" cannot go with Transaction or StoreTransaction:'
        " what a rejected record wrote would be committed"
    )
