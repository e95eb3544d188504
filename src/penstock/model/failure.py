"""How something failed, as it is stored and shown."""

import json
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

MAX_MESSAGE = 10_000
MAX_FRAMES = 50
SEALED_MESSAGE = "$sealed:"
"""How the message of a failure begins that is sealed, because a field of its job is."""

_OURS = str(Path(__file__).parent.parent)


@dataclass(slots=True)
class Failure:
    """An exception as data."""

    class_name: str
    message: str
    backtrace: list[str] = field(default_factory=list)
    """Innermost frame last; frames of Penstock itself are left out."""
    worker_name: str | None = None
    record_number: int | None = None
    """The record of a batch job that failed, from 1."""

    @property
    def summary(self) -> str:
        """The class and the message in one line."""
        if self.message.startswith(SEALED_MESSAGE):
            return f"{self.class_name}: (sealed)"
        first_line = self.message.partition("\n")[0]
        return f"{self.class_name}: {first_line}" if first_line else self.class_name

    def to_json(self) -> str:
        """Return the text that is stored."""
        return json.dumps(asdict(self))


def parse_failure(text: str | None) -> Failure | None:
    """Return the failure that `to_json` wrote, or None for None."""
    if text is None:
        return None
    known: dict[str, Any] = json.loads(text)
    return Failure(**{name: value for name, value in known.items() if name in Failure.__slots__})


def describe(error: BaseException, *, worker_name: str | None = None, record_number: int | None = None) -> Failure:
    """Return an exception as data; long messages and deep stacks are cut."""
    return Failure(
        class_name=_class_name(type(error)),
        message=_message(error)[:MAX_MESSAGE],
        backtrace=_frames(error.__traceback__),
        worker_name=worker_name,
        record_number=record_number,
    )


def let_go(error: BaseException | None) -> None:
    """Take its traceback off an exception that was described, and off those it came from.

    A frame holds what its code did, perhaps gigabytes; and one of ours holds the exception, so that the two would keep
    each other until the next full garbage collection.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _class_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error).encode("utf-8", "backslashreplace").decode()
    except Exception:
        return f"(its message cannot be shown: {type(error).__name__}.__str__ raises)"


def _frames(trace: TracebackType | None) -> list[str]:
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OURS)]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line or ''}" for frame in frames[-MAX_FRAMES:]]
