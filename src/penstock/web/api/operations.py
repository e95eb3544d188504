"""What an operation of the API is: a row from which its route, its checks and its description are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from penstock.errors import BadRequest
from penstock.service.people import Person
from penstock.store.protocol import Store

MOST_WHOLE = (1 << 53) - 1
"""The largest number that every language reads from JSON as it is."""


class Parameter(NamedTuple):
    """A part of a path or of a query."""

    name: str
    about: str
    schema: Mapping[str, Any] = {"type": "string"}
    repeated: bool = False


@dataclass(slots=True)
class Call:
    """One request, checked as far as the table says."""

    store: Store
    person: Person
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Any = None
    """The model that the operation names; None without."""

    @property
    def job_id(self) -> UUID:
        """The job of the path."""
        job_id: UUID = self.path["job_id"]
        return job_id


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table."""

    name: str
    method: str
    path: str
    """Below `/api/v1`; what is in braces is handed over by name."""
    about: str
    """What it does, in a sentence."""
    act: Callable[..., Any]
    """Gets the `Call`, in a thread; what it returns is the answer, as JSON. Streamed: see `transfers`."""
    body: type[BaseModel] | None = None
    query: Sequence[Parameter] = ()
    status: int = 200
    idempotent_by_key: bool = False
    """Whether a header `Idempotency-Key` has it done once, and answered alike."""
    streams: str | None = None
    """`upload`, where the request is a file; `download`, where the answer is one."""
    errors: Sequence[int] = field(default=(400, 401, 403, 404, 409, 503))


_PATH: Mapping[str, Mapping[str, Any]] = {
    "job_id": {"type": "string", "format": "uuid"},
    "record_number": {"type": "integer", "minimum": 1, "maximum": MOST_WHOLE},
    "slice_number": {"type": "integer", "minimum": 1, "maximum": MOST_WHOLE},
}


def schema_of_path(name: str) -> Mapping[str, Any]:
    """Return the schema of what stands in a path under this name."""
    return _PATH.get(name, {"type": "string", "minLength": 1})


def converted(value: str, schema: Mapping[str, Any], name: str) -> Any:
    """Return a text of a path or query as its schema has it.

    Raises:
        BadRequest: it does not fit.
    """
    if not value.isprintable():
        raise BadRequest(f"{name}: control characters are not taken")
    if schema.get("format") == "uuid":
        try:
            return UUID(value)
        except ValueError:
            raise BadRequest(f"{name}: {value!r} is no id of a job") from None
    if schema.get("type") == "integer":
        return _whole(value, schema, name)
    if schema.get("type") == "boolean":
        if value not in ("true", "false"):
            raise BadRequest(f"{name}: true or false, not {value!r}")
        return value == "true"
    if "enum" in schema and value not in schema["enum"]:
        raise BadRequest(f"{name}: {value!r} is none of {', '.join(schema['enum'])}")
    return value


def _whole(value: str, schema: Mapping[str, Any], name: str) -> int:
    low, high = schema.get("minimum", 0), schema.get("maximum", MOST_WHOLE)
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or not low <= int(value) <= high:
        raise BadRequest(f"{name}: a whole number from {low} to {high}, not {value!r}")
    return int(value)
