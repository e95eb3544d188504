"""What must be true whenever a run has stopped: every record in one place, an output whole or not there."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tests.process.lab import Lab


@dataclass
class Accounts:
    """The books of one round: what was found wrong, and how often it was looked."""

    lab: Lab
    expected: bytes
    """What a bare loop over the input writes."""
    output: str = "out.txt"
    processed: int = 0
    """Records that were found processed at the last look."""
    looks: int = 0
    errors: list[str] = field(default_factory=list)

    def look(self) -> dict[str, Any] | None:
        """Check what can be seen while no run is going on; returns the job as it is listed, None without one."""
        self.looks += 1
        self._check_output()
        listed = self.lab.run("list", "--json", command="jobs")
        if listed.code:
            self.errors.append(f"jobs list exits {listed.code}: {listed.err}")
            return None
        found = self.lab.jobs()
        if len(found) > 1:
            self.errors.append(f"one run, but {len(found)} jobs: {found}")
        for job in found:
            self._check_job(job)
        return found[0] if found else None

    def close(self) -> None:
        """Check what must be so when the run has come to its end."""
        if not self.output_is_there():
            self.errors.append("there is no output")
        self._check_output()
        self.errors += [f"{name} was left behind" for name in self.lab.litter()]
        self.errors += [f"{count} {table} were left in the store" for table, count in self._rows() if count]
        if jobs := self.lab.jobs():
            self.errors.append(f"jobs are left: {jobs}")
        try:
            self.lab.await_none_living()
        except AssertionError:
            self.errors.append(f"processes are left: {self.lab.living()}")

    def output_is_there(self) -> bool:
        """Tell whether an output is in place."""
        return self.lab.path(self.output).exists()

    def _check_output(self) -> None:
        """An output appears at once and whole, whatever was killed."""
        if self.output_is_there() and self.lab.path(self.output).read_bytes() != self.expected:
            self.errors.append("the output is not what a bare loop writes")

    def _check_job(self, job: dict[str, Any]) -> None:
        checked = self.lab.run("check", job["id"], "--json", command="jobs")
        if checked.code:
            self.errors.append(f"jobs check exits {checked.code}: {checked.err}{checked.out.decode()}")
            return
        self.processed = json.loads(checked.out)["processed"]

    def _rows(self) -> Iterator[tuple[str, int]]:
        with closing(self._connection()) as connection:
            for table in ("jobs", "slices", "slice_payloads"):
                yield table, connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def _connection(self) -> Any:
        if "://" not in self.lab.store:
            return sqlite3.connect(self.lab.path(self.lab.store))
        import psycopg

        url, _, schema = self.lab.store.rpartition("&schema=")
        return psycopg.connect(url, autocommit=True, options=f"-csearch_path={schema}")
