"""Lists of jobs in PostgreSQL: how the walks of `store.walks` are written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from penstock.query import COLUMNS, Filter
from penstock.states import SliceState
from penstock.store.postgres.conditions import Field, condition
from penstock.store.postgres.connection import Connections
from penstock.store.postgres.convert import JOB_COLUMNS, job_row, stored
from penstock.store.postgres.jobs import index_of
from penstock.store.postgres.place import Place
from penstock.store.rows import JobRow, StripPart
from penstock.store.walks import MOST_RUNNING, Walk, Walks

_RESTING = (("coalesce(completed_at, created_at)", "moment"),)
_SINCE = "coalesce(run_at, timestamptz 'epoch')"
_HELD = "state = 'queued' AND NOT runnable AND NOT draft"


def _resting(state: str) -> Walk:
    return Walk(state, f"state = '{state}'", _RESTING, descending=True)


class PostgresBrowsing(Walks):
    """Lists and counts for people."""

    connections: Connections
    place: Place
    sql: dict[str, str]
    mark = "%s"
    each_kind = "each.kind"
    ways = ("ASC NULLS FIRST", "DESC NULLS LAST")
    job_columns = ", ".join(JOB_COLUMNS)
    walks: ClassVar[dict[str, Walk]] = {
        walk.name: walk
        for walk in (
            Walk("all", "", (), descending=True),
            Walk("oldest", "", ()),
            Walk("led", "", (), descending=True),
            Walk("may_start", "runnable AND state = 'queued' AND throttle_group IS NULL", (("priority", "int"),)),
            Walk(
                "grouped",
                "runnable AND state = 'queued' AND throttle_group IS NOT NULL",
                (("kind", "text"), ("throttle_group", "text"), ("priority", "int")),
            ),
            Walk("held", f"{_HELD} AND {_SINCE} <= {{now}}", ((_SINCE, "moment"),)),
            Walk("scheduled", f"{_HELD} AND {_SINCE} > {{now}}", ((_SINCE, "moment"),)),
            Walk(
                "running",
                "id IN (SELECT id FROM (SELECT id FROM {jobs}"
                " WHERE server IS NOT NULL AND state = 'running' AND NOT batch LIMIT 2000) AS held"
                " UNION ALL SELECT id FROM (SELECT id FROM {jobs} WHERE batch AND state = 'running' LIMIT 2000) AS b)",
                (("priority", "int"),),
            ),
            *map(_resting, ("paused", "completed", "failed", "aborted")),
        )
    }

    @property
    def jobs_table(self) -> str:  # type: ignore[override]
        """The table of jobs."""
        return f"{self.place.schema}.jobs"

    def select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return self.connections.fetch(statement.replace("{jobs}", self.jobs_table), values)

    def select_named(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement with named values."""
        return self.connections.fetch(statement, values)

    def row_of(self, columns: tuple[Any, ...]) -> JobRow:
        """Return the job of a selected row."""
        return job_row(columns)

    def written(self, value: Any) -> Any:
        """Return a value as PostgreSQL keeps it."""
        return stored(value)

    def condition_of(self, filter_: Filter) -> tuple[str, list[Any]]:
        """Return a filter as SQL with its values."""
        return condition(filter_, self.place.schema)

    def sort_terms(self, name: str) -> list[str]:
        """Return what jobs are sorted by in the order of a field: its text and its number."""
        if name in COLUMNS:
            return [name]
        field = Field(name, self.place.schema)
        return [field.text, field.number]

    def of_each_kind(
        self, kinds: Sequence[str], statement: str, before: Sequence[Any], behind: Sequence[Any]
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of a statement for each kind, asked for in one round trip."""
        found: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in kinds}
        rows = self.select(
            "SELECT each.kind, found.* FROM unnest(%s::text[]) AS each (kind)"  # noqa: S608
            f" CROSS JOIN LATERAL ({statement}) AS found",
            [list(kinds), *before, *behind],
        )
        for kind, *row in rows:
            found[kind].append(tuple(row))
        return list(found.values())

    def search_condition(self) -> str:
        """Return the condition that a text is in the kind or the description."""
        description = Field("description", self.place.schema).text
        return f"strpos(lower(kind), %s) > 0 OR strpos(lower({description}), %s) > 0"

    def runnable_kinds(self) -> list[str]:
        """Return the kinds that have jobs which may start; one seek for each."""
        return [kind for (kind,) in self.select(self.sql["runnable_kinds"], ())]

    def is_indexed(self, name: str) -> bool:
        """Tell whether there is an index of a field of the document."""
        return bool(self.select(self.sql["has_index"], (self.place.schema, index_of(name))))

    def slice_strip(self, job_id: UUID, parts: int) -> list[StripPart]:
        """Return what is in each run of the slices of a job."""
        total = next((count for (count,) in self.select(self.sql["slice_total"], (job_id,))), 0)
        if not total:
            return []
        size = -(-total // parts)
        runs = self.select_named(self.sql["slice_strip"], {"job_id": job_id, "total": total, "size": size})
        numbers = self.select(self.sql["running_numbers"], (job_id, MOST_RUNNING))
        running = Counter((number - 1) // size for (number,) in numbers)
        return [StripPart._make((*run, running[(run[0] - 1) // size])) for run in runs]

    def slice_counts_up_to(self, job_id: UUID, most: int) -> dict[SliceState, int]:
        """Return how many slices are in each state; counting stops at `most`."""
        (counts,) = self.select_named(self.sql["slice_counts_up_to"], {"job_id": job_id, "most": most})
        return dict(zip((SliceState.QUEUED, SliceState.RUNNING, SliceState.FAILED), counts, strict=True))

    def oldest_waiting(self) -> UUID | None:
        """Return the oldest job that may start, without a throttle group."""
        return next((UUID(str(found)) for (found,) in self.select(self.sql["oldest_of_each"], ())), None)
