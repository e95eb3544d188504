"""The jobs that files become: made from a kind, fields, and the place of the file."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from penstock.batch.categories import MAIN
from penstock.batch.job import BatchJob
from penstock.errors import ConfigurationError
from penstock.model.job import Job
from penstock.model.kinds import find_class

FILE_FIELDS = ("upload_file_name", "full_file_name")
"""Fields that take the place of a file, in jobs that read it themselves."""
_ANY_FILE = "/file"


def refuse_target(kind: str, properties: Mapping[str, Any], *, after: str = "archive") -> None:
    """Refuse a kind that can do nothing with a file, or fields that it does not take.

    Raises:
        UnknownKind: no class for the kind was imported.
        ConfigurationError: see above; the field is named. Or the file is to be deleted, and the job reads it later.
    """
    cls = find_class(kind)
    if cls.abstract:
        raise ConfigurationError(f"{kind} is only a base for other classes; it has no jobs of its own")
    if not issubclass(cls, BatchJob) and file_field(cls) is None:
        raise ConfigurationError(
            f"{kind} takes no file: it is no batch job, and has no field {' or '.join(FILE_FIELDS)}"
        )
    if not issubclass(cls, BatchJob) and after == "delete":
        raise ConfigurationError(f"after: {kind} reads the file when it runs, so that it cannot be deleted before")
    make_target(kind, properties, _ANY_FILE)


def make_target(kind: str, properties: Mapping[str, Any], place: str, *, job_id: UUID | None = None) -> Job:
    """Return the job for a file, not stored yet; settings of categories are merged into those of its class.

    Raises:
        UnknownKind: no class for the kind was imported.
        ConfigurationError: it has no such field, or a value does not fit; the field is named.
    """
    cls = find_class(kind)
    for name in properties:
        if name not in cls.model_fields:
            raise ConfigurationError(f"properties: {kind} has no field {name!r}")
        if name in cls.sealed_fields.names:
            raise ConfigurationError(f"properties: {name} of {kind} is encrypted, and would be readable here")
    values = {name: _merged(cls, name, value) for name, value in properties.items()}
    field = None if issubclass(cls, BatchJob) else file_field(cls)
    try:
        job = cls(**values, **({field: place} if field else {}))
    except ValidationError as error:
        told = [(".".join(map(str, part["loc"])), part["msg"]) for part in error.errors(include_input=False)]
        raise ConfigurationError("; ".join(f"properties: {name}: {text}" for name, text in told)) from None
    if job_id is not None:
        job.row.id = job_id
    return job


def file_field(cls: type[Job]) -> str | None:
    """Return the field of a class that takes the place of a file, or None."""
    return next((name for name in FILE_FIELDS if name in cls.model_fields), None)


def _merged(cls: type[Job], name: str, value: Any) -> Any:
    """Return a category's settings over those that the class has for it; any other value as it is."""
    if name == "input_category" and isinstance(value, Mapping):
        return {**_default(cls, name).model_dump(exclude_unset=True), **value}
    if name == "output_categories" and isinstance(value, list):
        known = {each["name"]: each for each in map(_as_mapping, _default(cls, name))}
        return [
            {**known.get(item.get("name", MAIN), {}), **item} if isinstance(item, Mapping) else known.get(item, item)
            for item in value
        ]
    return value


def _as_mapping(category: Any) -> dict[str, Any]:
    """Return an output category as it was declared: a bare name, or settings."""
    told = {} if isinstance(category, str) else category.model_dump(exclude_unset=True)
    return {"name": category if isinstance(category, str) else category.name, **told}


def _default(cls: type[Job], name: str) -> Any:
    return cls.model_fields[name].get_default(call_default_factory=True, validated_data={})
