"""Singleton: one job of a kind at a time."""

from typing import ClassVar

from penstock.model.job import Job


class Singleton(Job, abstract=True):
    """Only one job of the class may be queued, running or paused; a second is refused with `DuplicateJob`.

    The store holds the key, so of any number that are made at once exactly one is stored. For one job for each
    value of some fields set `unique_by = ["customer"]`, which any job class may do.
    """

    unique_by: ClassVar[tuple[str, ...] | list[str] | None] = ()
