"""A log record as a line: text for people, JSON for programs. Whatever was logged, one record is one line of JSON."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from penstock.errors import ConfigurationError, JobTimeout
from penstock.server.log_context import CONTEXT_KEYS
from penstock.server.log_values import json_line, plain, readable, text_of, word

LONGEST_LINE = 1 << 20
"""Bytes of the longest line; of a longer record, the beginning is told."""

RESERVED = {"time", "level", "logger", "message", *CONTEXT_KEYS, "exception", "stack"}
"""Keys of a line of JSON that no `extra=` may take."""
_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "job_context", "is_kept"}
_INDENT = "    "


class TextFormatter(logging.Formatter):
    """`2026-03-01T12:00:00.123Z INFO myapp: the message job=… kind=ReportJob slice=3 record=217`.

    Further lines of a message, a traceback and a stack follow indented.
    """

    def __init__(self, timezone: str = "UTC", *, with_time: bool = True, longest: int = LONGEST_LINE) -> None:
        """Make one.

        Raises:
            ConfigurationError: there is no such timezone.
        """
        super().__init__()
        self._clock = WallClock(zone_of(timezone))
        self._with_time = with_time
        self._longest = longest

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        first, *rest = readable(message_of(record)).rstrip().split("\n")
        when = f"{self._clock.told(record.created)} " if self._with_time else ""
        facts = [*context_of(record).items(), *extras_of(record)]
        told = "".join(f" {word(key)}={word(value)}" for key, value in facts)
        for part in (exception_of(record), record.stack_info):
            rest += readable(part).split("\n") if part else ()
        line = "\n".join((f"{when}{record.levelname} {record.name}: {first}{told}", *(_INDENT + more for more in rest)))
        return line if _fits(line, self._longest) else _beginning(line, self._longest)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the job's context, what `extra=` gave, exception, stack."""

    def __init__(self, *, longest: int = LONGEST_LINE) -> None:
        super().__init__()
        self._longest = longest

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        document = self._document(record)
        line = json_line(document)
        return line if _fits(line, self._longest) else _cut(document, line, self._longest)

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        document = {
            "time": utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **context_of(record),
        }
        document |= {key: plain(value) for key, value in extras_of(record)}
        traces = {"exception": exception_of(record), "stack": record.stack_info}
        return {**document, **{key: text for key, text in traces.items() if text}}


def formatter(name: str, timezone: str, *, longest: int = LONGEST_LINE, with_time: bool = True) -> logging.Formatter:
    """Return the formatter of a name, `text` or `json`."""
    return (
        JsonFormatter(longest=longest)
        if name == "json"
        else TextFormatter(timezone, longest=longest, with_time=with_time)
    )


# Printed lines -----------------------------------------------------------------------------------


def line_of_json(line: str, worker: str, now: float) -> str:
    """Return a line of a worker's output as it is when it is an object of JSON, else wrapped in one.

    Args:
        now: Seconds since 1970 at which it was read.
    """
    if line[:1] == "{" and line[-1:] == "}" and _is_object(line):
        return line
    return json_line({"time": utc(now), "message": line, "worker": worker})


def _is_object(line: str) -> bool:
    try:
        _OBJECT.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


_OBJECT = msgspec.json.Decoder(dict[str, Any])


# Times -------------------------------------------------------------------------------------------


class WallClock:
    """Tells times of one zone, to the millisecond; a second is worked out once."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known = (-1, "", "")

    def told(self, moment: float) -> str:
        """Return a moment, in seconds since 1970, as ISO 8601."""
        second = int(moment)
        known, day, zone = self._known
        if known != second:
            local = datetime.fromtimestamp(second, self._zone)
            offset = local.strftime("%z")
            day, zone = local.strftime("%Y-%m-%dT%H:%M:%S"), "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
            self._known = (second, day, zone)
        return f"{day}.{int((moment - second) * 1000):03d}{zone}"


def zone_of(name: str) -> tzinfo:
    """Return a timezone by name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"setting timezone: there is no {name!r}; write it as Europe/Paris or UTC") from None


def utc(moment: float) -> str:
    """Return a moment, in seconds since 1970, as ISO 8601 in UTC, to the microsecond."""
    return f"{datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


# What a record says ------------------------------------------------------------------------------


def message_of(record: logging.LogRecord) -> str:
    """Return the message with its arguments in it; where they do not fit, it says so and shows what it can."""
    try:
        return record.getMessage()
    except JobTimeout:  # It may be raised at any moment in a thread that logs, and is not ours to take.
        raise
    except Exception as error:
        return f"{text_of(record.msg)} (its arguments cannot be shown: {type(error).__name__}: {text_of(error)})"


def exception_of(record: logging.LogRecord) -> str:
    """Return the traceback and the exception, or nothing."""
    if not record.exc_text and record.exc_info:
        record.exc_text = _PLAIN.formatException(record.exc_info)
    return record.exc_text or ""


_PLAIN = logging.Formatter()


def context_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the context of the job that logged it."""
    found = getattr(record, "job_context", None)
    return found if isinstance(found, dict) else {}


def extras_of(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yield what `extra=` gave; a key that is ours is told apart."""
    for key, value in list(vars(record).items()):
        if key not in _OF_EVERY_RECORD:
            yield (f"extra_{key}" if key in RESERVED else text_of(key)), value


# What is too long --------------------------------------------------------------------------------


def _fits(line: str, longest: int) -> bool:
    return len(line) * 4 <= longest or len(line.encode()) <= longest


def _beginning(line: str, longest: int) -> str:
    data = line.encode()
    kept = longest - 50
    return f"{data[:kept].decode('utf-8', 'ignore')}… ({len(data) - kept:,} more bytes)"


def _cut(document: dict[str, Any], line: str, longest: int) -> str:
    """Return a line without what `extra=` gave, and of each text as much as there is room for."""
    told = {key: value for key, value in document.items() if key in RESERVED}
    told["cut"] = len(line.encode())
    room = longest
    while not _fits(line, longest):
        room //= 2
        line = json_line({key: _part(key, value, room) for key, value in told.items()})
    return line


def _part(key: str, value: Any, room: int) -> Any:
    if not isinstance(value, str) or len(value) <= room:
        return value
    # The end of a traceback says what went wrong.
    return f"…{value[-room:]}" if key in ("exception", "stack") else f"{value[:room]}…"
