"""What SQLite reads for the statements that a busy server runs all the time."""

from contextlib import suppress

import pytest

from penstock.clock import now, to_micros
from penstock.query import Filter, Query
from penstock.states import UNIQUE_STATES
from penstock.store.sqlite.convert import condition
from penstock.store.sqlite.jobs import SQL


@pytest.fixture
def connection(sqlite_file):
    with sqlite_file.connections.reading() as opened:
        yield opened


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("candidates_of_kind", "jobs_runnable"),
        ("candidates_of_group", "jobs_grouped"),
        ("next_group", "jobs_grouped"),
        ("next_held", "jobs_parked"),
        ("release_held_jobs", "jobs_parked"),
        ("running_batch_of_kind", "batches_running"),
        ("running_job_of_kind", "jobs_held"),
        ("hooks_servers", "jobs_pending"),
        ("jobs_due_for_hooks", "jobs_pending"),
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
    sql = SQL[statement].replace("{where}", "1")
    count = sql.count("?")
    values = (
        (None,) * count
        if count
        else dict.fromkeys(("job_id", "after", "limit", "number", "part", "before", "category", "id", "now"))
    )
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any(index in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    ("operator", "value"),
    [("eq", "b"), ("in", ("a", "b")), ("lt", "b"), ("le", "b"), ("gt", "b"), ("ge", "b")],
)
@pytest.mark.parametrize("name", ["customer", "größe", "select"])
def test_an_indexed_field_is_looked_up_in_its_index(sqlite_file, connection, name, operator, value):
    sqlite_file.index_fields(["other", name])
    part, values = condition(Filter(name, operator, value))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {part}", values)]
    assert any(f"SEARCH jobs USING INDEX jobs_field_{name} " in step for step in plan), plan


def test_the_holder_of_a_unique_key_is_found_without_reading_other_jobs(sqlite_file, new_row):
    query = Query(states=UNIQUE_STATES, filters=(Filter("unique_key", "eq", "k"),), limit=1)
    holder = new_row(unique_key="k")
    sqlite_file.insert_jobs([*(new_row() for _ in range(1000)), holder])
    steps, found = steps_of(sqlite_file, lambda store: [row.id for row in store.find_jobs(query)])
    assert found == [holder.id]
    assert steps < 200


def test_a_job_is_stored_and_removed_without_tables_made_for_it(connection):
    insertion = SQL["insert_job"].format(names="id, state, unique_key, sub_state", places="?, ?, ?, ?")
    for sql, count in ((insertion, 4), (SQL["remove_job"], 2)):
        program = connection.execute(f"EXPLAIN {sql}", (None,) * count).fetchall()
        assert not [step for step in program if step[1] == "OpenEphemeral"]


@pytest.mark.parametrize("order", [(), ("-customer",)])
def test_jobs_are_found_by_an_indexed_field_without_reading_the_others(sqlite_file, new_row, order):
    def document(number):
        return f'{{"customer": "c{number}"}}'

    query = Query(kinds=("Copy",), filters=(Filter("customer", "eq", "c7"),), order=order)
    sqlite_file.index_fields(["customer"])
    sqlite_file.insert_jobs([new_row(fields=document(n)) for n in range(10)])
    before, found = steps_of(sqlite_file, lambda store: [row.id for row in store.find_jobs(query)])
    sqlite_file.insert_jobs([new_row(fields=document(n)) for n in range(10, 3000)])
    after, still = steps_of(sqlite_file, lambda store: [row.id for row in store.find_jobs(query)])
    assert len(found) == 1
    assert still == found
    assert after < before + 100


def test_fields_whose_names_differ_in_case_alone_have_an_index_each(sqlite_file, connection):
    sqlite_file.index_fields(["name", "Name"])
    for name in ("name", "Name"):
        part, values = condition(Filter(name, "eq", "x"))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {part}", values)]
        assert any("SEARCH jobs USING INDEX" in step for step in plan), (name, plan)


# What is in front of a claim ----------------------------------------------------------------------

MANY = 30_000
LATER = to_micros(now()) + 10**12
IN_FRONT = {
    "scheduled for later": {"run_at": LATER},
    "completed": {"state": "completed"},
    "failed": {"state": "failed"},
    "paused": {"state": "paused"},
    "held for a while": {"held_until": LATER, "throttled_by": "the disk is nearly full"},
    "held and scheduled": {"held_until": LATER, "run_at": LATER},
    "drafts": {"batch": 1, "draft": 1},
    "of a kind that is at its limit": {"kind": "Full", "runnable": 1},
    "of a kind that nobody knows": {"kind": "Unknown", "runnable": 1},
    "of a group that is at its limit": {"throttle_group": "full", "runnable": 1},
    "running": {"state": "running", "server": "other", "attempt": 1},
    "batch jobs without queued slices": {"batch": 1, "state": "running", "sub_state": "processing"},
    "ended, with hooks that somebody runs": {"state": "failed", "pending_hooks": "after_fail", "hooks_server": "other"},
    "ended, with hooks of a kind that nobody knows": {
        "kind": "Unknown", "state": "failed", "pending_hooks": "after_fail",
    },
    "ended, of one unique key": {"state": "completed", "unique_key": "the same"},
}  # fmt: skip
"""What there may be a million of, older and more urgent than what can be claimed."""


def put_in_front(store, name, count=MANY):
    columns = {
        "kind": "Copy", "batch": 0, "state": "queued", "priority": 1, "runnable": 0, "created_at": 0,
        "destroy_on_complete": 1, "fields": '{"name": "x"}', **IN_FRONT[name],
    }  # fmt: skip
    with store.transaction(), store.connections.reading() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO jobs (id, {', '.join(columns)})"
            f" SELECT CAST(printf('%02d%014d', ?, i) AS BLOB){', ?' * len(columns)} FROM n",
            [count, list(IN_FRONT).index(name), *columns.values()],
        )


@pytest.fixture
def busy(sqlite_file, new_row):
    """A store with jobs of two kinds and of a group to claim; another kind and another group are at their limits."""
    sqlite_file.insert_jobs([new_row("Other" if n % 2 else "Copy") for n in range(20)])
    sqlite_file.insert_jobs([new_row(throttle_group="free")])
    for name, kind, group in (("Full", "Full", None), ("full", "Copy", "full")):
        row = new_row(kind, throttle_group=group, limit_name=name)
        sqlite_file.insert_jobs([row])
        sqlite_file.claim_jobs([row], server="other", now=now())
    return sqlite_file


def steps_of(store, act):
    """Return how many instructions of its virtual machine SQLite runs for an act, and what the act returns."""
    count = 0

    def step():
        nonlocal count
        count += 1

    with store.connections.reading() as connection:
        connection.set_progress_handler(step, 1)
        found = act(store)
        connection.set_progress_handler(None, 1)
    return count, found


class Undone(Exception):
    """Ends a transaction so that it is rolled back."""


def claim(store):
    """Do all that a claim does, and take it back; return the kinds of what it would have got."""
    known = ["Copy", "Other", "Full"]
    with suppress(Undone), store.transaction():
        store.release_due_jobs(now())
        assert store.limits() == {"Full": 1, "full": 1}
        groups = [pair for pair in store.waiting_groups(known) if pair[1] != "full"]
        assert groups == [("Copy", "free")]
        won = store.claim_jobs(store.candidates(known[:2], groups=groups, limit=10), server="s", now=now())
        assert store.jobs_due_for_hooks(known) == []
        raise Undone
    return [row.kind for row in won]


SOME = 100
"""Instructions for a seek or two more: those that pass over a group or a kind."""


@pytest.mark.parametrize("front", IN_FRONT)
def test_a_claim_reads_what_can_be_claimed_whatever_is_in_front_of_it(busy, front):
    before, got = steps_of(busy, claim)
    assert got == ["Copy", "Other"] * 5
    put_in_front(busy, front)
    after, still = steps_of(busy, claim)
    assert still == got
    assert after < before + SOME


@pytest.mark.parametrize("front", IN_FRONT)
def test_the_next_moment_at_which_something_is_due_is_found_by_a_seek(busy, front):
    before, _ = steps_of(busy, lambda store: store.next_due())
    put_in_front(busy, front)
    after, due = steps_of(busy, lambda store: store.next_due())
    assert (due is not None) == ("held" in front or "scheduled" in front)
    assert after < before + SOME


@pytest.mark.parametrize("front", IN_FRONT)
def test_whether_a_job_of_a_kind_runs_is_found_by_a_seek(busy, front):
    before, _ = steps_of(busy, lambda store: store.any_running(["Other"]))
    put_in_front(busy, front)
    after, kind = steps_of(busy, lambda store: store.any_running(["Other"]))
    assert kind is None
    assert after < before + SOME


def test_groups_that_wait_are_found_by_a_seek_each_however_many_jobs_they_have(busy, new_row):
    before, _ = steps_of(busy, lambda store: store.waiting_groups(["Copy"]))
    busy.insert_jobs([new_row(throttle_group=f"group {n % 5}") for n in range(3000)])
    after, groups = steps_of(busy, lambda store: store.waiting_groups(["Copy"]))
    assert len(groups) == 6
    assert after < before + 5 * SOME


def test_limits_under_which_nothing_runs_any_more_are_not_read(busy, new_row):
    """As where each customer is a throttle group: their names come and go."""
    before, _ = steps_of(busy, lambda store: store.limits())
    rows = [new_row(limit_name=f"customer {n}") for n in range(2000)]
    busy.insert_jobs(rows)
    busy.claim_jobs(rows, server="s", now=now())
    busy.release_server("s")
    after, found = steps_of(busy, lambda store: store.limits())
    assert found == {"Full": 1, "full": 1}
    assert after < before + SOME
