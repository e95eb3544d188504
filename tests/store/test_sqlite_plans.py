"""What SQLite reads for the statements that a busy server runs all the time."""

import pytest

from penstock.clock import now, to_micros
from penstock.store import open_store
from penstock.store.sqlite.jobs import SQL


@pytest.fixture
def connection(sqlite_file):
    with sqlite_file.connections.reading() as opened:
        yield opened


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("candidates_of_kind", "jobs_runnable"),
        ("next_due", "jobs_scheduled"),
        ("release_due_jobs", "jobs_scheduled"),
        ("jobs_held_by", "jobs_held"),
        ("abandoned_drafts", "jobs_drafts"),
        ("queued_slices", "slices_queued"),
        ("failed_slices", "slices_failed"),
        ("first_unfinished", "slices_by_number"),
        ("outputs", "output_slices_by_number"),
    ],
)
def test_its_index_gives_the_rows_in_order(connection, statement, index):
    sql = SQL[statement]
    count = sql.count("?")
    values = (
        (None,) * count
        if count
        else dict.fromkeys(("job_id", "after", "limit", "number", "part", "before", "category", "id"))
    )
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any(index in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_a_claim_reads_runnable_jobs_only_whatever_is_stored_in_front_of_them(tmp_path, new_row):
    store = open_store(f"sqlite:///{tmp_path}/a.db")

    def steps():
        """Instructions of SQLite's virtual machine for one look at what can be claimed."""
        count = 0

        def step():
            nonlocal count
            count += 1

        with store.connections.reading() as connection:
            connection.set_progress_handler(step, 1)
            found = store.candidates(["Copy", "Other"], limit=10)
            connection.set_progress_handler(None, 1)
        return count, len(found)

    store.insert_jobs([new_row() for _ in range(20)])
    before = steps()
    with store.transaction(), store.connections.reading() as connection:
        for kind, state, runnable, run_at in (
            ("Copy", "queued", 0, to_micros(now()) + 10**12),
            ("Copy", "completed", 0, None),
            ("Unknown", "queued", 1, None),
        ):
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 33334)"
                " INSERT INTO jobs (id, kind, batch, state, priority, runnable, created_at, run_at,"
                " destroy_on_complete, fields)"
                " SELECT CAST(printf('%s%015d', substr(?, 1, 1), i) AS BLOB), ?, 0, ?, 1, ?, 0, ?, 1, '{}' FROM n",
                ("\x01" if run_at else "\x02" if state == "completed" else "\x03", kind, state, runnable, run_at),
            )
    assert before[1] == 10
    assert steps() == before
