"""Paths and URLs that come from elsewhere: what the fields of a job name must lie in `allowed_roots`.

A class says which of its fields are paths by `path_fields`, and which two name the kind and the fields of another job
by `fields_of_another_job`; those of the jobs that come with Penstock do. So none of these is imported for it.
"""

from collections.abc import Mapping
from typing import Any

from penstock.errors import ConfigurationError, UnknownKind
from penstock.model.job import Job
from penstock.model.kinds import find_class
from penstock.service.uploads import refuse_path

CATEGORIES = ("input_category", "output_categories")
OPTIONS = ("source_options", "target_options")
"""Options of a scheme may lead to another host than the URL."""


def refuse_paths(cls: type[Job], values: Mapping[str, Any]) -> None:
    """Refuse values of fields that name a file or a host outside of `allowed_roots`.

    Raises:
        ConfigurationError: a value does, or there are no such roots; the field is named.
    """
    for name in getattr(cls, "path_fields", ()):
        if values.get(name) is not None:
            _refuse(name, str(values[name]))
    if getattr(cls, "path_fields", ()):
        for name in OPTIONS:
            if values.get(name):
                raise ConfigurationError(f"{name}: options of a file may not be given from elsewhere")
    for name in CATEGORIES:
        for category in _categories(values.get(name)):
            if category.get("file_name"):
                _refuse(f"{name}.file_name", str(category["file_name"]))
    another: tuple[str, str] | None = getattr(cls, "fields_of_another_job", None)
    if another is not None and isinstance(properties := values.get(another[1]), Mapping):
        try:
            inner = find_class(str(values.get(another[0])))
        except UnknownKind:
            return  # Which nobody here can make: the job is refused where it is checked.
        refuse_paths(inner, properties)


def _refuse(name: str, path: str) -> None:
    try:
        refuse_path(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _categories(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list | tuple) else [value]
    plain = [it.model_dump() if hasattr(it, "model_dump") else it for it in items]
    return [it for it in plain if isinstance(it, Mapping)]
