"""Classes whose instances are rows, and the columns that such a class has."""

import dataclasses
import types
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, is_typeddict


def columns_of(annotation: Any) -> list[str] | None:
    """Return the field names of a class of rows, in their order; None for anything else.

    Such a class is a dataclass, a TypedDict, a NamedTuple, a pydantic model (its computed fields come last) or a
    msgspec Struct. An optional one (`Row | None`) has the columns of the class.
    """
    found = _fields(bare_class(annotation))
    return None if found is None else list(found)


def bare_class(annotation: Any) -> Any:
    """Return the class of an annotation, without `| None`, `Annotated` and type parameters; None of a larger union."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return bare_class(rest[0]) if len(rest) == 1 else None
    if hasattr(annotation, "__metadata__"):
        return bare_class(annotation.__origin__)
    return get_origin(annotation) or annotation


@lru_cache(maxsize=256)
def _fields(cls: Any) -> tuple[str, ...] | None:
    if not isinstance(cls, type):
        return None
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        return (*cls.model_fields, *getattr(cls, "model_computed_fields", ()))
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if is_typeddict(cls):
        return tuple(_all_annotations(cls))
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return tuple(cls._fields)
    return getattr(cls, "__struct_fields__", None)


def _all_annotations(cls: type) -> list[str]:
    # A TypedDict holds those of its bases already, in the order of inheritance.
    return list(getattr(cls, "__annotations__", {}))
