"""`SqlBatch`: a batch job over the rows of a table of the application's own database."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pydantic import field_validator

from penstock.batch.job import BatchJob
from penstock.hooks import before_batch
from penstock.model.fields import field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class SqlBatch(BatchJob, abstract=True):
    """Work through a table in ranges of ids, the newest first. A base for jobs of your own.

    A subclass says how to `connect`, and what to do: `perform_range(connection, first, last)`, or
    `perform_row(connection, row)`. Each range is a transaction: committed when it has been worked through, rolled back
    when anything raises. Rows that are added meanwhile are not among them.
    """

    slice_size = 1

    table: str = field(user_editable=False, description="The table, with its schema where it needs one.")
    id_column: str = field("id", description="The column of its ids, which are whole numbers.")
    range_size: int = field(1000, ge=1, description="Ids of one range.")

    @field_validator("table", "id_column")
    @classmethod
    def check_name(cls, name: str) -> str:
        """Refuse what is not the name of a table or column: it becomes part of statements."""
        if not _NAME.fullmatch(name):
            raise ValueError("must be a name of letters, digits and _, with dots between the parts")
        return name

    def connect(self) -> Any:
        """Return a new connection of the database: one of its DBAPI driver, or SQLAlchemy's engine."""
        raise NotImplementedError(f"{type(self).__name__} has no connect method")

    def perform_range(self, connection: Any, first: int, last: int) -> Any:
        """Do the work for the ids from `first` to `last`: here, `perform_row` for each row, the newest first."""
        for row in self.rows(connection, first, last):
            self.perform_row(connection, row)

    def perform_row(self, connection: Any, row: dict[str, Any]) -> None:
        """Do the work for one row."""
        raise NotImplementedError(f"{type(self).__name__} has neither perform_range nor perform_row")

    def rows(self, connection: Any, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield the rows with ids from `first` to `last`, the newest first, all columns by their names."""
        with closing(connection.cursor()) as cursor:
            cursor.execute(
                f"SELECT * FROM {self.table} WHERE {self.id_column} BETWEEN {int(first)} AND {int(last)}"  # noqa: S608
                f" ORDER BY {self.id_column} DESC"
            )
            names = [column[0] for column in cursor.description]
            found = cursor.fetchall()  # So that each row may be changed while they are worked through.
        yield from (dict(zip(names, row, strict=True)) for row in found)

    @before_batch
    def upload_ranges(self) -> None:
        """Upload the ranges."""
        with self._transaction() as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT min({self.id_column}), max({self.id_column}) FROM {self.table}")  # noqa: S608
            lowest, highest = cursor.fetchone()
        self.upload([] if highest is None else _ranges(int(lowest), int(highest), self.range_size))

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Do the work for a range, in a transaction."""
        with self._transaction() as connection:
            return self.perform_range(connection, *record)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        made = self.connect()
        with closing(made.raw_connection() if hasattr(made, "raw_connection") else made) as connection:
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()


def _ranges(lowest: int, highest: int, size: int) -> Iterator[list[int]]:
    for last in range(highest, lowest - 1, -size):
        yield [max(lowest, last - size + 1), last]
