"""Forms for jobs: what a class takes, told so that a page, a program or a person can ask for it."""

import inspect
import json
from typing import Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from penstock.batch.job import BatchJob
from penstock.errors import UnknownKind
from penstock.model.fields import LateDefault, has_fact
from penstock.model.job import Job
from penstock.model.kinds import known_kinds
from penstock.service.jobs import View
from penstock.store.protocol import Store

INNER = frozenset({"failed_at_list", "errors", "failures_seen", "output_categories"})
"""Fields that jobs keep for themselves."""


def list_kinds(store: Store) -> list[View]:
    """Return the kinds of jobs that are known: to this process, with a form, and to servers that live."""
    served: dict[str, list[str]] = {}
    for row in store.servers():
        for kind in json.loads(row.kinds):
            served.setdefault(kind, []).append(row.name)
    kinds = sorted({kind for kind, cls in known_kinds().items() if not cls.abstract} | served.keys())
    return [
        {
            "kind": kind,
            "has_form": kind in known_kinds(),
            "summary": _summary(known_kinds().get(kind)),
            "batch": bool(known_kinds()[kind].batch) if kind in known_kinds() else None,
            "servers": served.get(kind, []),
        }
        for kind in kinds
    ]


def describe_kind(kind: str) -> View:
    """Return what a new job of a kind takes: its fields with types, choices, defaults and what they mean.

    Raises:
        UnknownKind: its class was not imported: only that knows.
    """
    cls = known_kinds().get(kind)
    if cls is None or cls.abstract:
        known = ", ".join(sorted(name for name, it in known_kinds().items() if not it.abstract)) or "none"
        raise UnknownKind(f"no class for kind {kind!r} was imported; known: {known}")
    fields = [describe_field(name, info) for name, info in cls.model_fields.items() if name not in INNER]
    takes_input = issubclass(cls, BatchJob)
    return {
        "kind": kind,
        "text": inspect.cleandoc(cls.__doc__ or ""),
        "batch": cls.batch,
        "needs_input": takes_input and "before_batch" not in cls.hooks,
        "takes_input": takes_input,
        "fields": [*_own_first(fields)],
    }


def describe_field(name: str, info: FieldInfo) -> View:
    """Return what a field takes: `schema` is JSON Schema, `choices` what it must be one of, where there is that.

    `standard` tells that all jobs have it, `overridden` that they have it with another default.
    """
    schema = _schema(info)
    default = _default(info)
    common = BatchJob.model_fields.get(name)
    return {
        "name": name,
        "type": _type_of(schema),
        "schema": schema,
        "choices": _choices(schema),
        "required": info.is_required(),
        "default": default,
        "description": info.description,
        "user_editable": has_fact(info, "user_editable"),
        "indexed": has_fact(info, "indexed"),
        "sealed": has_fact(info, "encrypted"),
        "standard": common is not None,
        "overridden": common is not None and default != _default(common),
    }


def _own_first(fields: list[View]) -> list[View]:
    return sorted(fields, key=lambda field: (field["standard"], not field["required"]))


def _summary(cls: type[Job] | None) -> str | None:
    return None if cls is None or not cls.__doc__ else inspect.cleandoc(cls.__doc__).partition("\n")[0]


def _schema(info: FieldInfo) -> dict[str, Any]:
    annotation: Any = info.annotation
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticUserError, TypeError, ValueError):
        return {}  # A type that only its class knows how to check.


def _default(info: FieldInfo) -> Any:
    if info.is_required() or isinstance(info.default_factory, LateDefault):
        return None
    try:
        value = info.get_default(call_default_factory=True, validated_data={})
    except Exception:  # A factory of the user's own, which may need what is not here.
        return None
    return None if value is PydanticUndefined else to_jsonable_python(value, fallback=str)


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    options = schema.get("anyOf", [schema])
    return [_resolved(it, schema) for it in options if it.get("type") != "null"]


def _resolved(part: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    found: dict[str, Any] = whole.get("$defs", {}).get(name, part)
    return found


def _type_of(schema: dict[str, Any]) -> str:
    """Return a word for what a field takes: `text`, `integer`, `date`, …; `json` where there is none."""
    options = _alternatives(schema)
    if len(options) != 1:
        return "json"
    option = options[0]
    named = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
    if "enum" in option or "const" in option:
        return "choice"
    return str(option.get("format") or named.get(str(option.get("type")), "json"))


def _choices(schema: dict[str, Any]) -> list[Any] | None:
    options = _alternatives(schema)
    if len(options) == 1 and "enum" in options[0]:
        return list(options[0]["enum"])
    return [options[0]["const"]] if len(options) == 1 and "const" in options[0] else None
