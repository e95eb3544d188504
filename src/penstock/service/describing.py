"""What a kind of job is and which fields it has, as its class says."""

import inspect
import json
from typing import Any

from pydantic.fields import FieldInfo

from penstock.batch.job import BatchJob
from penstock.model.fields import LateDefault, has_fact
from penstock.model.job import Job

View = dict[str, Any]


def describe_kind(cls: type[Job], *, standard: bool = False) -> View:
    """Return what a class says of itself and of each of its fields.

    Args:
        cls: The class.
        standard: Whether the fields that all jobs have are told too; those it gives another default always are.
    """
    fields = [_view(name, info) for name, info in cls.model_fields.items() if standard or _is_own(cls, name)]
    return {"kind": cls.kind, "batch": cls.batch, "meaning": inspect.getdoc(cls) or "", "fields": fields}


def _is_own(cls: type[Job], name: str) -> bool:
    common = (BatchJob if issubclass(cls, BatchJob) else Job).model_fields.get(name)
    return common is None or _default(common) != _default(cls.model_fields[name])


def _view(name: str, info: FieldInfo) -> View:
    return {
        "name": name,
        "type": _type_text(info.annotation),
        "default": _default(info),
        "editable": has_fact(info, "user_editable"),
        "encrypted": has_fact(info, "encrypted"),
        "meaning": info.description or "",
    }


def _default(info: FieldInfo) -> str:
    """Return the default as a person would write it; empty where there is none, so that a value must be given."""
    if info.is_required():
        return ""
    if info.default_factory is None:
        return json.dumps(info.default, default=str)
    if isinstance(info.default_factory, LateDefault) or info.default_factory_takes_validated_data:
        return "(by the other fields)"
    # Told in words where it differs from job to job, or is more than a few words.
    made = info.get_default(call_default_factory=True)
    return json.dumps(made, default=str) if made in ({}, [], ()) else "(made for each job)"


def _type_text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
