"""What PostgreSQL reads for the statements that a busy server runs all the time, and what stale figures may not do."""

import json

import psycopg
import pytest

from penstock.clock import now
from penstock.query import Filter, Query
from penstock.store.postgres import floors
from penstock.store.postgres.conditions import condition
from penstock.store.postgres.floors import FRONT
from penstock.store.rows import JobSettlement

IN_FRONT = 100_000
BLOCKS = 120
"""Blocks of 8 kB that a claim of fifty jobs may look at. With the rows in front of them it would be thousands."""


@pytest.fixture
def store(postgres):
    return postgres


@pytest.fixture
def explain(store):
    """Return the plan of a statement that was run, as JSON gives it."""

    def run(statement, values):
        ((plan,),) = store.connections.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values)
        return json.loads(plan)[0]["Plan"]

    return run


def nodes(plan):
    """Yield a plan and all below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def blocks(plan):
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.fixture(params=["fresh figures", "stale figures"])
def crowded(request, store, new_row):
    """Fifty jobs to claim behind very many that are scheduled, finished, held, running, or of a kind nobody knows."""
    schema = store.place.schema
    with store.transaction():
        run = store.connections.joined.execute
        run(f"ALTER TABLE {schema}.jobs SET (autovacuum_enabled = off)")
        run(
            f"INSERT INTO {schema}.jobs (id, kind, batch, state, priority, runnable, created_at, run_at, held_until,"
            " destroy_on_complete, fields, server)"
            " SELECT gen_random_uuid(), CASE g %% 5 WHEN 4 THEN 'Unknown' ELSE 'Copy' END, false,"
            " (ARRAY['queued', 'completed', 'queued', 'running', 'queued'])[g %% 5 + 1], 1, g %% 5 = 4,"
            " now(), CASE g %% 5 WHEN 0 THEN now() + interval '1 day' END,"
            " CASE g %% 5 WHEN 2 THEN now() + interval '1 day' END, true, '{}',"
            " CASE g %% 5 WHEN 3 THEN 's' END FROM generate_series(1, %s) AS g",
            (IN_FRONT,),
        )
    wanted = [new_row(priority=90) for _ in range(50)]
    store.insert_jobs(wanted)
    if request.param == "fresh figures":
        with store.transaction():
            store.connections.joined.execute(f"ANALYZE {schema}.jobs")
    return wanted


class TestBehindManyOthers:
    def test_a_claim_reads_what_it_takes(self, store, crowded, explain):
        where = store.sql["shares"].replace("{where}", "true")
        plan = explain(where, [["Copy", "Other"], [0, 0], [FRONT[1]] * 2, 50, 2, [], [], [], [], 50, 50])
        assert blocks(plan) < BLOCKS
        with store.transaction():
            locked = f"{store.sql['candidates_of_kind'].replace('{where}', 'true')} {store.sql['lock_candidates']}"
            plan = explain(locked, ["Copy", *FRONT, 50])
            assert plan["Actual Rows"] == 50
            assert blocks(plan) < BLOCKS
            assert [row.id for row in store.candidates(["Copy"], limit=50)] == [row.id for row in crowded]
            assert len(store.claim_jobs(crowded, server="s", now=now())) == 50

    @pytest.mark.parametrize("name", ["batches_under_way", "next_group", "next_due", "next_held", "limits"])
    def test_looking_round_reads_no_table(self, store, crowded, explain, name):
        values = {"batches_under_way": [["Copy"], [], [], [], 50], "next_group": {"kinds": ["Copy", "Other"]}}.get(
            name, ()
        )
        plan = explain(store.sql[name].replace("{where}", "true"), values)
        assert blocks(plan) < BLOCKS
        assert not any(node["Node Type"] == "Seq Scan" for node in nodes(plan))

    def test_a_claim_under_a_condition_finds_what_fulfils_it(self, store, crowded):
        found = store.candidates(["Copy"], limit=9, where=[Filter("priority", "gt", 50)])
        assert [row.id for row in found] == [row.id for row in crowded[:9]]


class TestUnderASnapshot:
    """Somebody holds a snapshot, so that what is claimed and removed cannot be cleaned up."""

    COUNT = 12_000

    @pytest.fixture
    def behind(self, store, new_row, postgres_server, monkeypatch):
        """Return a store in which many jobs were claimed and removed under a snapshot; some are left."""
        monkeypatch.setattr(floors, "MANY", 1_000)
        monkeypatch.setattr(floors, "DEAR_SECONDS", 0.0)
        monkeypatch.setattr(floors, "SHARE", 1_000_000)  # So that the first walk over everything is the last.
        with psycopg.connect(postgres_server) as holder:
            holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT 1")
            store.insert_jobs([new_row() for _ in range(self.COUNT)])
            for _ in range(self.COUNT // 2_000 - 1):
                with store.transaction():
                    taken = store.claim_jobs(store.candidates(["Copy"], limit=2_000), server="s", now=now())
                assert store.settle_jobs([JobSettlement(row.id, row.attempt, None) for row in taken]) == []
            yield store

    def test_under_a_snapshot_that_is_held_a_claim_does_not_read_the_dead_rows_in_front_of_it(self, behind, explain):
        (first,) = behind.candidates(["Copy"], limit=1)
        locked = behind.sql["candidates_of_kind"].replace("{where}", "true")
        from_the_front = blocks(explain(locked, ["Copy", *FRONT, 50]))
        from_its_floor = blocks(explain(locked, ["Copy", first.priority, first.id, 50]))
        assert from_the_front > 150, "what is dead is still there"
        assert from_its_floor < 30
        assert behind.floors.of(("Copy", "true []")) == (first.priority, first.id)

    def test_what_comes_to_be_in_front_is_found_by_the_next_walk_over_everything(self, behind, new_row):
        urgent = new_row(priority=1)
        behind.insert_jobs([urgent])
        assert behind.candidates(["Copy"], limit=1)[0].id != urgent.id
        behind.floors.end_whole(0.0)
        assert behind.candidates(["Copy"], limit=1)[0].id == urgent.id

    def test_slices_are_claimed_from_where_the_claim_before_began_and_none_is_passed_over(
        self, behind, add_batch, explain
    ):
        behind.slice_floors.claimed = floors.MANY
        job = add_batch([1] * 3_000)
        taken = [
            one for _ in range(28) for one in behind.claim_slices(job.id, server="s", limit=100, max_bytes=1 << 20)
        ]
        assert [one.number for one in taken] == list(range(1, 2_801))
        (floor, _) = behind.slice_floors.of((str(job.id),))
        assert floor == 2_701
        look = (
            f"SELECT id FROM {behind.place.schema}.slices WHERE job_id = %s AND state = 'queued' AND number >= %s"
            " ORDER BY number LIMIT 10"
        )
        from_the_front, from_its_floor = (blocks(explain(look, (job.id, first))) for first in (0, floor))
        assert from_its_floor * 3 < from_the_front
        back = next(one for one in taken if one.number == 5)
        behind.hand_back_slice(job.id, back, crashed=False)
        rest = []
        while more := behind.claim_slices(job.id, server="s", limit=100, max_bytes=1 << 20):
            rest += [one.number for one in more]
        assert sorted(rest) == [5, *range(2_801, 3_001)]

    def test_with_few_jobs_claimed_every_walk_is_over_everything(self, store, new_row, monkeypatch):
        monkeypatch.setattr(floors, "DEAR_SECONDS", 0.0)
        monkeypatch.setattr(floors, "SHARE", 1_000_000)
        store.insert_jobs([new_row()])
        store.candidates(["Copy"], limit=1)
        urgent = new_row(priority=1)
        store.insert_jobs([urgent])
        assert store.candidates(["Copy"], limit=1)[0].id == urgent.id


class TestStaleFigures:
    """A planner that takes a table for one row must not make a claim pass its limit."""

    @pytest.fixture
    def forgotten(self, store, add_job, add_batch):
        """Have figures made of one row of each table, and never again."""
        job = add_batch([1])
        add_job()
        with store.transaction():
            for table in ("jobs", "slices", "slice_payloads"):
                store.connections.joined.execute(
                    f"ALTER TABLE {store.place.schema}.{table} SET (autovacuum_enabled = off)"
                )
                store.connections.joined.execute(f"ANALYZE {store.place.schema}.{table}")
        return job

    def test_of_many_slices_one_is_taken_where_one_is_asked_for(self, store, forgotten, make_slices):
        store.append_slices(forgotten.id, "main", make_slices([1] * 300))
        for number in (1, 2, 3):
            taken = store.claim_slices(forgotten.id, server="s", limit=1, max_bytes=1 << 20)
            assert [one.number for one in taken] == [number]
        assert len(store.claim_slices(forgotten.id, server="s", limit=9, max_bytes=1 << 20)) == 9
        assert sum(store.slice_counts(forgotten.id).values()) == 301
        assert store.slice_counts(forgotten.id)["running"] == 12

    def test_of_many_jobs_those_named_are_claimed(self, store, forgotten, new_row):
        rows = [new_row() for _ in range(300)]
        store.insert_jobs(rows)
        assert [row.id for row in store.claim_jobs(rows[7:9], server="s", now=now())] == [rows[7].id, rows[8].id]
        assert store.count_by_state(Query(kinds=("Copy",)))["running"] == 2

    def test_what_is_locked_is_chosen_once(self, store, forgotten, explain, make_slices):
        store.append_slices(forgotten.id, "main", make_slices([1] * 300))
        values = {"job_id": forgotten.id, "server": "s", "limit": 1, "max_bytes": 99, "first": 0}
        with store.transaction():
            locks = [
                node for node in nodes(explain(store.sql["claim_slices"], values)) if node["Node Type"] == "LockRows"
            ]
        assert [(node["Actual Loops"], node["Actual Rows"]) for node in locks] == [(1, 1)]


@pytest.mark.parametrize(
    ("operator", "value"),
    [("eq", "c77"), ("eq", 77), ("in", ("c7", "c8")), ("in", (7, 8)), ("gt", "c998"), ("gt", 997), ("ge", 997.5)],
)
@pytest.mark.parametrize("name", ["customer", "größe", "select"])
def test_an_indexed_field_is_looked_up_in_its_index(store, new_row, explain, name, operator, value):
    def document(number):
        return f'{{"{name}": "c{number}"}}' if "c" in str(value) else f'{{"{name}": {number}}}'

    store.index_fields(["other", name])
    store.insert_jobs([new_row(fields=document(n)) for n in range(1000)])
    with store.transaction():
        store.connections.joined.execute(f"ANALYZE {store.place.schema}.jobs")
    part, values = condition(Filter(name, operator, value), store.place.schema)
    plan = explain(f"SELECT id FROM {store.place.schema}.jobs WHERE {part}", values)
    assert not any(node["Node Type"] == "Seq Scan" for node in nodes(plan)), plan


@pytest.mark.parametrize("value", ["x" * 100_000, "ö" * 5000, 10**400, -(10**400)])
def test_an_index_takes_values_of_any_length_and_finds_them(store, new_row, value):
    store.index_fields(["value"])
    rows = [new_row(fields=json.dumps({"value": value})), new_row(fields='{"value": 1}')]
    store.insert_jobs(rows)
    found = [row.id for row in store.find_jobs(Query(filters=(Filter("value", "ne", 1),)))]
    assert found == [rows[0].id]
    if isinstance(value, str):
        shorter = Query(filters=(Filter("value", "gt", value[:-1]),))
        assert [row.id for row in store.find_jobs(shorter)] == [rows[0].id]
        assert store.count_jobs(Query(filters=(Filter("value", "eq", value),))) == 1
