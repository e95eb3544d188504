"""Assertions about the jobs that code has enqueued."""

from typing import Any, TypeVar

from penstock.model.job import Job

J = TypeVar("J", bound=Job)


def enqueued(cls: type[J], **fields: Any) -> list[J]:
    """Return the queued jobs of a class and its subclasses with these values, oldest first, scheduled ones too."""
    return [job for job in cls.query.queued if all(getattr(job, name) == value for name, value in fields.items())]


def assert_enqueued(cls: type[J], *, count: int | None = None, **fields: Any) -> J:
    """Check that such a job is queued, and return the oldest.

    Args:
        cls: The class; its subclasses count too.
        count: Exactly so many; None for at least one.
        fields: Values that a job must have.

    Raises:
        AssertionError: there are none, or not so many; the message lists what is queued of the class.
    """
    found = enqueued(cls, **fields)
    if not found or (count is not None and len(found) != count):
        wanted = "at least one" if count is None else f"exactly {count}"
        raise AssertionError(f"{wanted} {_words(cls, fields)} should be queued, {len(found)} is; {_present(cls)}")
    return found[0]


def assert_not_enqueued(cls: type[Job], **fields: Any) -> None:
    """Check that no such job is queued.

    Raises:
        AssertionError: there is one.
    """
    found = enqueued(cls, **fields)
    if found:
        raise AssertionError(f"no {_words(cls, fields)} should be queued, {len(found)} is; {_present(cls)}")


def _words(cls: type[Job], fields: dict[str, Any]) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{cls.__name__}({values})"


def _present(cls: type[Job]) -> str:
    queued = enqueued(cls)
    if not queued:
        return f"no {cls.__name__} is"
    return "of the class there are: " + "; ".join(
        _words(type(job), {name: getattr(job, name) for name in job.model_fields_set}) for job in queued[:10]
    )
