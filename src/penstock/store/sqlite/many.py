"""One change made to very many rows, each named by its id."""

import sqlite3
from collections.abc import Sequence
from typing import Any

AT_ONCE = 250
"""Rows that one statement changes: it costs a third of a statement for each."""
FEWEST = 50
"""Fewer rows are changed one by one: the long statement has its price, however many of its places are used."""
MANY_IDS = ", ".join("?" * AT_ONCE)
"""What stands in a statement for the ids."""

Parameters = tuple[Any, ...]


def change_each(
    connection: sqlite3.Connection, each: str, many: str, parameters: Sequence[Parameters], *, id_at: int
) -> Sequence[bool]:
    """Change one row or none for each of the parameters; tell which changed one.

    All at once first; only when that changed fewer rows is it done again one by one.

    Args:
        connection: With a transaction open.
        each: The statement that changes one row.
        many: The same for `MANY_IDS` in place of the id.
        parameters: Of `each`.
        id_at: The place of the id among them.
    """
    if not parameters:
        return []
    connection.execute("SAVEPOINT each")
    if _at_once(connection, each, many, parameters, id_at) == len(parameters):
        connection.execute("RELEASE each")
        return [True] * len(parameters)
    connection.execute("ROLLBACK TO each")
    connection.execute("RELEASE each")
    return [connection.execute(each, values).rowcount > 0 for values in parameters]


def _at_once(connection: sqlite3.Connection, each: str, many: str, parameters: Sequence[Parameters], id_at: int) -> int:
    """Return how many rows were changed."""
    before, after = parameters[0][:id_at], parameters[0][id_at + 1 :]
    alike = all(values[:id_at] == before and values[id_at + 1 :] == after for values in parameters)
    if len(parameters) < FEWEST or not alike:
        return connection.executemany(each, parameters).rowcount
    changed = 0
    for first in range(0, len(parameters), AT_ONCE):
        ids = [values[id_at] for values in parameters[first : first + AT_ONCE]]
        ids += ids[-1:] * (AT_ONCE - len(ids))  # Named twice it is changed once.
        changed += connection.execute(many, (*before, *ids, *after)).rowcount
    return changed
