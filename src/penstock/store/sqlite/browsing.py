"""Lists of jobs in SQLite: how the walks of `store.walks` are written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from penstock.query import COLUMNS, Filter
from penstock.states import SliceState
from penstock.store.rows import JobRow, StripPart
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import JOB_COLUMNS, condition, field_of, job_row, stored
from penstock.store.sqlite.jobs import SQL, index_of
from penstock.store.walks import MOST_RUNNING, Walk, Walks

_RESTING = (("coalesce(completed_at, created_at)", "int"),)
_WAITING = (("coalesce(run_at, 0)", "int"),)
_HELD = "state = 'queued' AND runnable = 0 AND draft = 0"


def _resting(state: str) -> Walk:
    # The second condition is the index's own, to the letter: SQLite does not see that the first implies it.
    rests = "(state = 'paused' OR state = 'completed' OR state = 'failed' OR state = 'aborted')"
    where = f"state = '{state}' AND {rests}"
    return Walk(state, where, _RESTING, descending=True, hint=" INDEXED BY jobs_resting")


class SqliteBrowsing(Walks):
    """Lists and counts for people."""

    connections: Connections
    mark = each_kind = "?"
    jobs_table = "jobs"
    job_columns = ", ".join(JOB_COLUMNS)
    walks: ClassVar[dict[str, Walk]] = {
        walk.name: walk
        for walk in (
            Walk("all", "", (), descending=True),
            Walk("oldest", "", ()),
            Walk("led", "", (), descending=True),
            Walk(
                "may_start",
                "runnable = 1 AND throttle_group IS NULL AND state = 'queued'",
                (("priority", "int"),),
                hint=" INDEXED BY jobs_runnable",
            ),
            Walk(
                "grouped",
                "runnable = 1 AND throttle_group IS NOT NULL AND state = 'queued'",
                (("kind", "text"), ("throttle_group", "text"), ("priority", "int")),
                hint=" INDEXED BY jobs_grouped",
            ),
            Walk("held", f"{_HELD} AND coalesce(run_at, 0) <= {{now}}", _WAITING, hint=" INDEXED BY jobs_waiting"),
            Walk("scheduled", f"{_HELD} AND coalesce(run_at, 0) > {{now}}", _WAITING, hint=" INDEXED BY jobs_waiting"),
            Walk(
                "running",
                "id IN (SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_held"
                " WHERE server IS NOT NULL AND state = 'running' AND batch = 0 LIMIT 2000)"
                " UNION ALL SELECT id FROM (SELECT id FROM jobs INDEXED BY batches_running"
                " WHERE batch = 1 AND state = 'running' LIMIT 2000))",
                (("priority", "int"),),
            ),
            *map(_resting, ("paused", "completed", "failed", "aborted")),
        )
    }

    def select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self.connections.reading() as connection:
            return connection.execute(statement, values).fetchall()

    def select_named(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement with named values."""
        with self.connections.reading() as connection:
            return connection.execute(statement, values).fetchall()

    def row_of(self, columns: tuple[Any, ...]) -> JobRow:
        """Return the job of a selected row."""
        return job_row(columns)

    def written(self, value: Any) -> Any:
        """Return a value as SQLite keeps it."""
        return stored(value)

    def told(self, value: Any) -> Any:
        """Return a value of a key as JSON has it."""
        return value.hex() if isinstance(value, bytes) else value

    def condition_of(self, filter_: Filter) -> tuple[str, list[Any]]:
        """Return a filter as SQL with its values."""
        return condition(filter_)

    def sort_terms(self, name: str) -> list[str]:
        """Return what jobs are sorted by in the order of a field."""
        return [name if name in COLUMNS else field_of(name)]

    def of_each_kind(
        self, kinds: Sequence[str], statement: str, before: Sequence[Any], behind: Sequence[Any]
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of a statement for each kind."""
        return [self.select(statement, [*before, kind, *behind]) for kind in kinds]

    def search_condition(self) -> str:
        """Return the condition that a text is in the kind or the description."""
        return f"instr(lower(kind), ?) > 0 OR instr(lower({field_of('description')}), ?) > 0"

    def runnable_kinds(self) -> list[str]:
        """Return the kinds that have jobs which may start; one seek for each."""
        return [kind for (kind,) in self.select(SQL["runnable_kinds"], ())]

    def is_indexed(self, name: str) -> bool:
        """Tell whether there is an index of a field of the document."""
        return bool(self.select(SQL["has_index"], (index_of(name),)))

    def slice_strip(self, job_id: UUID, parts: int) -> list[StripPart]:
        """Return what is in each run of the slices of a job."""
        total = next((count for (count,) in self.select(SQL["slice_total"], (job_id.bytes,))), 0)
        if not total:
            return []
        size = -(-total // parts)
        runs = self.select_named(SQL["slice_strip"], {"job_id": job_id.bytes, "total": total, "size": size})
        numbers = self.select(SQL["running_numbers"], (job_id.bytes, MOST_RUNNING))
        running = Counter((number - 1) // size for (number,) in numbers)
        return [StripPart._make((*run, running[(run[0] - 1) // size])) for run in runs]

    def slice_counts_up_to(self, job_id: UUID, most: int) -> dict[SliceState, int]:
        """Return how many slices are in each state; counting stops at `most`."""
        (counts,) = self.select_named(SQL["slice_counts_up_to"], {"job_id": job_id.bytes, "most": most})
        return dict(zip((SliceState.QUEUED, SliceState.RUNNING, SliceState.FAILED), counts, strict=True))

    def oldest_waiting(self) -> UUID | None:
        """Return the oldest job that may start, without a throttle group."""
        return next((UUID(bytes=found) for (found,) in self.select(SQL["oldest_of_each"], ())), None)
