"""What happened, as it was recorded: every change of a job's row by triggers in the store, every call by the jobs.

The number of a change, `seq`, orders both: a line of `told.jsonl` carries the newest change that was committed then.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.store.sqlite.convert import JOB_COLUMNS

KEPT = [name for name in JOB_COLUMNS if name not in ("id", "result", "created_at")]
"""The columns that are recorded."""

Row = dict[str, Any]


def _row(which: str) -> str:
    # What json_set wrote would be taken as JSON, rather than as text, but for the empty text behind it.
    pairs = ", ".join(f"'{name}', {which}.{name}" + (" || ''" if name == "fields" else "") for name in KEPT)
    return f"json_object({pairs})"


WATCH = f"""
CREATE TABLE watch (seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, old TEXT, new TEXT);
CREATE TRIGGER watch_insert AFTER INSERT ON jobs BEGIN
    INSERT INTO watch (job, new) VALUES (lower(hex(NEW.id)), {_row("NEW")});
END;
CREATE TRIGGER watch_update AFTER UPDATE ON jobs BEGIN
    INSERT INTO watch (job, old, new) VALUES (lower(hex(NEW.id)), {_row("OLD")}, {_row("NEW")});
END;
CREATE TRIGGER watch_delete AFTER DELETE ON jobs BEGIN
    INSERT INTO watch (job, old) VALUES (lower(hex(OLD.id)), {_row("OLD")});
END;
"""


@dataclass(frozen=True)
class Change:
    """A change of a job's row; without `old` it was inserted, without `new` deleted."""

    seq: int
    job: str
    old: Row | None
    new: Row | None

    def __str__(self) -> str:
        if self.old is None or self.new is None:
            kept = {name: value for name, value in (self.new or self.old or {}).items() if value is not None}
            return f"#{self.seq} {'inserted' if self.new else 'deleted'} {kept}"
        changed = {name: (self.old[name], self.new[name]) for name in KEPT if self.old[name] != self.new[name]}
        changes = (f"{name} {_short(old)} → {_short(new)}" for name, (old, new) in changed.items())
        return f"#{self.seq} {', '.join(changes)}"


@dataclass(frozen=True)
class Line:
    """A call of a job's code: its `moment`, and the newest change that was committed by then."""

    place: int
    """The number of the line: lines are in the order in which they were written."""
    job: str
    moment: str
    attempt: int
    thread: str
    """The process and the thread that told it."""
    seen: int
    by_actor: bool
    """Whether an actor told it, rather than a worker."""
    record: int | None = None

    def __str__(self) -> str:
        record = "" if self.record is None else f" of record {self.record}"
        where = f"{'an actor' if self.by_actor else 'a worker'}, {self.thread}"
        return f"   line {self.place} (seen #{self.seen}): {self.moment}{record}, attempt {self.attempt}, in {where}"


class Watch:
    """Reads both records, from where it read them last."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder = folder
        self._connection = sqlite3.connect(folder / store, timeout=30, isolation_level=None)
        self._told = (folder / "told.jsonl").open("a+b")
        self._told.seek(0)
        self._rest = b""
        self._places = 0
        self.changes: list[Change] = []
        self.lines: list[Line] = []

    def begin(self) -> None:
        """Add the triggers to an empty store."""
        self._connection.executescript(WATCH)

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()
        self._told.close()

    def forget(self) -> None:
        """Drop what was read so far."""
        self.read()
        self.changes, self.lines = [], []

    def newest(self) -> int:
        """Return the number of the newest change."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM watch").fetchone()[0])

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the store as it is now."""
        return self._connection.execute(statement, values).fetchall()

    def read(self) -> None:
        """Read what was recorded since."""
        last = self.changes[-1].seq if self.changes else self._last
        rows = self.query("SELECT seq, job, old, new FROM watch WHERE seq > ? ORDER BY seq", last)
        self.changes += [Change(seq, job, _loaded(old), _loaded(new)) for seq, job, old, new in rows]
        self._last = self.changes[-1].seq if self.changes else last
        self.lines += self._new_lines()

    _last = 0

    def _new_lines(self) -> Iterator[Line]:
        *whole, self._rest = (self._rest + self._told.read()).split(b"\n")
        for text in whole:
            self._places += 1
            yield Line(self._places, **json.loads(text))


def _loaded(text: str | None) -> Row | None:
    return None if text is None else json.loads(text)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 200 else f"{text[:200]}…"
