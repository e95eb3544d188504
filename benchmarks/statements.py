"""What PostgreSQL does for a part of the profile, by its own log: statements, and the time to plan and to run them."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

DURATION = re.compile(r"LOG:\s+duration: ([\d.]+) ms\s+(parse|bind|execute) [^:]*: (\S*)")


class Statements(NamedTuple):
    """Statements, and milliseconds."""

    count: int
    planning: float
    """Parsing, planning and binding."""
    running: float
    committing: float
    """The disk included."""


def statements_of(url: str, command: Sequence[str]) -> Statements | None:
    """Run a command and return what it had done; None where the log of this PostgreSQL is not to be read."""
    with _logging(url) as log:
        if log is None:
            return None
        before = log.stat().st_size
        subprocess.run(command, check=True, capture_output=True)
        with log.open("rb") as file:
            file.seek(before)
            return _read(file.read().decode(errors="replace"))


@contextmanager
def _logging(url: str) -> Iterator[Path | None]:
    """Have sessions that begin now log each statement, into the file of a server that `pg_ctl` started."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        name, folder = (
            connection.execute("SELECT current_database(), current_setting('data_directory')").fetchone() or ()
        )
        log = Path(folder, "log")
        if not log.is_file():
            yield None
            return
        connection.execute(f'ALTER DATABASE "{name}" SET log_min_duration_statement = 0')
        try:
            yield log
        finally:
            connection.execute(f'ALTER DATABASE "{name}" RESET log_min_duration_statement')


def _read(log: str) -> Statements:
    count, planning, running, committing = 0, 0.0, 0.0, 0.0
    for spent, step, word in DURATION.findall(log):
        if word == "COMMIT":
            committing += float(spent)
        elif step == "execute":
            running += float(spent)
            count += 1
        else:
            planning += float(spent)
    return Statements(count, planning, running, committing)
