"""The description of the API as OpenAPI 3.1, made of its table."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from penstock.service.listing import COUNTED
from penstock.web.api.operations import Operation, Parameter, schema_of_path

_TITLES = {
    400: "What was sent does not fit.",
    401: "No token, or none that is known.",
    403: "The roles of the token do not allow it.",
    404: "There is no such thing.",
    409: "It does not apply to what is there now.",
    413: "It is larger than is taken.",
    503: "The store cannot do it now.",
}


def described(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for operation in operations:
        paths.setdefault(f"/api/v1{operation.path}", {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": version("penstock"),
            "description": f"Background jobs and large-file batch processing. Counts stop at {COUNTED:,}.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.about,
        "parameters": [
            *[_in_path(name) for name in re.findall(r"{(\w+)}", operation.path)],
            *map(_in_query, operation.query),
        ],
        "responses": {str(operation.status): _answer(operation), **_failures(operation)},
    }
    if operation.idempotent_by_key:
        told["parameters"].append(_KEY)
    if operation.streams == "upload":
        binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        told["requestBody"] = {"required": True, "content": binary}
    elif operation.body is not None:
        name = operation.body.__name__
        schema = operation.body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
        required = any(info.is_required() for info in operation.body.model_fields.values())
        reference = {"$ref": f"#/components/schemas/{name}"}
        told["requestBody"] = {"required": required, "content": {"application/json": {"schema": reference}}}
    return told


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "It is done once for each key, and answered alike for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema_of_path(name)}


def _in_query(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.repeated else parameter.schema
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": parameter.about,
        "schema": schema,
    }


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.streams == "download":
        return {
            "description": "The file.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    return {"description": "What is asked for.", "content": {"application/json": {"schema": {}}}}


def _failures(operation: Operation) -> dict[str, Any]:
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": _TITLES[status], "content": schema} for status in operation.errors}
