"""What a measurement costs PostgreSQL: processor time, log, and what is read and written."""

from pathlib import Path
from typing import Any, NamedTuple

from penstock.bench.ground import Ground
from penstock.bench.processes import cpu_seconds, family

_NUMBERS = """
SELECT pg_current_wal_insert_lsn() - '0/0', xact_commit, tup_returned + tup_fetched, tup_inserted + tup_updated
    + tup_deleted, blks_read, blks_hit
FROM pg_stat_database WHERE datname = current_database()
"""


class Spent(NamedTuple):
    """What was spent between two moments. All zero on SQLite, whose work is done by the processes of Penstock."""

    cpu: float = 0.0
    """Seconds of the processes of PostgreSQL; 0 where they are on another machine."""
    wal_bytes: float = 0.0
    commits: float = 0.0
    rows_read: float = 0.0
    """As indexes and scans gave them, those that were passed over included."""
    rows_written: float = 0.0
    blocks_read: float = 0.0
    """Blocks that were not in the shared buffers."""
    blocks_hit: float = 0.0


class StoreCost:
    """The cost of what happens from its making on: of the whole PostgreSQL, which should have nothing else to do."""

    def __init__(self, ground: Ground) -> None:
        self._url = ground.postgres
        self._folder = _asked(self._url, "SHOW data_directory")[0] if self._url else ""
        self._before = {pid: cpu_seconds([pid]) for pid in _processes_of(self._folder)}
        self._began = self._numbers()

    def spent(self) -> Spent:
        """Return what was spent so far. PostgreSQL counts rows and commits when a session has been idle a second."""
        # Of each process by itself: one that has ended takes its time along.
        cpu = sum(cpu_seconds([pid]) - self._before.get(pid, 0.0) for pid in _processes_of(self._folder))
        return Spent(cpu, *(now - then for now, then in zip(self._numbers(), self._began, strict=True)))

    def _numbers(self) -> list[float]:
        return [float(number) for number in _asked(self._url, _NUMBERS)] if self._url else [0.0] * 6


def store_processes(ground: Ground) -> list[int]:
    """Return the processes of the PostgreSQL of a ground; none on SQLite, or where it is on another machine."""
    return _processes_of(_asked(ground.postgres, "SHOW data_directory")[0]) if ground.postgres else []


def _asked(url: str, statement: str) -> tuple[Any, ...]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchone() or ()


def _processes_of(folder: str) -> list[int]:
    """Return the processes of the PostgreSQL of a data folder of this machine: its first one's number is in a file."""
    try:
        first = int(Path(folder, "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return []
    return family(first)
