"""Between the rows of the protocol and what PostgreSQL keeps: moments, ids and texts as it has types for them."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from struct import Struct
from typing import Any
from uuid import UUID

from psycopg import adapters as defaults
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import Format

from penstock.states import State, SubState
from penstock.store.rows import JobRow

JOB_COLUMNS = JobRow.__struct_fields__
"""The columns of a job in the order in which they are selected."""

_TYPES = {
    "id": "uuid", "batch": "bool", "draft": "bool", "destroy_on_complete": "bool", "priority": "int2",
    "percent_complete": "int2", "attempt": "int4", "failure_count": "int4", "crash_count": "int4",
    "record_count": "int8", "result": "bytea", "created_at": "timestamptz", "run_at": "timestamptz",
    "expires_at": "timestamptz", "started_at": "timestamptz", "completed_at": "timestamptz",
    "throttled_at": "timestamptz", "held_until": "timestamptz",
}  # fmt: skip
COPIED_TYPES = (*(_TYPES.get(name, "text") for name in JOB_COLUMNS), "bool")
"""The types of the columns of a new job in COPY, `runnable` last. JSON is text there: its bytes are the same."""

PAYLOAD_TYPES = ("int8", "bytea")
OUTPUT_TYPES = ("uuid", "text", "int8", "int8", "int8", "bytea")
"""Those of the payload of a slice and of an output in COPY. In an array bytes would go as text: twice as many, which
cost twenty times as much to write and to read."""

NO_NUL = "\u2400"
"""What is kept in place of the character NUL, which PostgreSQL has no room for in text: the picture of it.

The document and exceptions are JSON, where it is an escape: they come back as they went.
"""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_UUID = 2950
_NO_DIMENSION, _ONE_DIMENSION = Struct(">iiI"), Struct(">iiIii")
_ID_LENGTH = (16).to_bytes(4)


class _MomentLoader(Loader):
    """Reads a moment as an aware datetime in UTC, whatever zone the session is in."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        """Return the moment of microseconds since 2000."""
        return _EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True))


class Ids(list[UUID]):
    """Job ids that go as one array. As a list of any values, each costs as much as finding it."""


class _IdsDumper(Dumper):
    """Writes ids in the binary form of an array: its dimension, and each with its length before it."""

    format = Format.BINARY
    oid = 2951
    """`uuid[]` in `pg_type`."""

    def dump(self, obj: Ids) -> Buffer:
        """Return the array."""
        if not obj:
            return _NO_DIMENSION.pack(0, 0, _UUID)
        lengths_and_ids = _ID_LENGTH + _ID_LENGTH.join([job_id.bytes for job_id in obj])
        return _ONE_DIMENSION.pack(1, 0, _UUID, len(obj), 1) + lengths_and_ids


@cache
def adapters() -> AdaptersMap:
    """Return how values are read and written on our connections."""
    found = AdaptersMap(defaults)
    found.register_loader("timestamptz", _MomentLoader)
    # As the text that was stored: JSON comes as just that.
    text = found.get_loader(found.types["text"].oid, Format.BINARY)
    assert text is not None
    found.register_loader("json", text)
    found.register_dumper(Ids, _IdsDumper)
    return found


def stored(value: Any) -> Any:
    """Return a Python value as PostgreSQL keeps it.

    Raises:
        ValueError: it is a moment without a time zone.
    """
    if isinstance(value, str):
        return str(value).replace("\0", NO_NUL)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; give an aware datetime")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_FINITE.get(value, "NaN")
    return value


NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}

_STATES = {str(state): state for state in State}
_SUB_STATES = {str(state): state for state in SubState}
_STATE, _SUB_STATE = JOB_COLUMNS.index("state"), JOB_COLUMNS.index("sub_state")


def job_row(columns: tuple[Any, ...]) -> JobRow:
    """Return the job of a selected row."""
    values = list(columns)
    values[_STATE] = _STATES[values[_STATE]]
    values[_SUB_STATE] = _SUB_STATES.get(values[_SUB_STATE])
    return JobRow(*values)


def job_parameters(row: JobRow, now: datetime) -> list[Any]:
    """Return the columns of a new job, and last whether it may be claimed."""
    values = [value if type(value) in _AS_IT_IS else stored(value) for value in _VALUES(row)]
    due = all(moment is None or moment <= now for moment in (row.run_at, row.held_until))
    values.append(row.state is State.QUEUED and due and not row.draft)
    return values


_VALUES = attrgetter(*JOB_COLUMNS)
_AS_IT_IS = frozenset({type(None), bool, int, bytes, UUID})
