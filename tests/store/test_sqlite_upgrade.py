"""A store that an older Penstock made: refused, brought up to date when asked, and never left between versions.

The older store is made here from the first migration alone, with jobs and slices in every state.
"""

import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from penstock.clock import to_micros
from penstock.errors import StoreVersionError
from penstock.ids import new_id
from penstock.model.moves import move_job
from penstock.query import Query
from penstock.states import Move, SliceState, State, SubState
from penstock.store import close_stores, open_store
from penstock.store.rows import Accounts, JobRow, JobSettlement
from penstock.store.sqlite.migrations import split_statements
from penstock.store.statements import load_migrations

MIGRATIONS = load_migrations("sqlite_migrations")
NEWEST = MIGRATIONS[-1][0]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
JOBS = {
    "due": {"priority": 40},
    "later": {"run_at": NOW + DAY},
    "overdue": {"run_at": NOW - DAY},
    "expiring": {"expires_at": NOW + DAY},
    "running": {"state": "running", "server": "old:1", "worker": "old:1:1:0", "attempt": 2, "started_at": NOW - DAY},
    "paused": {"state": "paused", "completed_at": NOW},
    "completed": {"state": "completed", "result": b"\x01\xff", "percent_complete": 100, "completed_at": NOW},
    "failed": {"state": "failed", "exception": '{"class_name": "ValueError"}', "failure_count": 3, "crash_count": 1},
    "aborted": {"state": "aborted", "completed_at": NOW},
    "batch queued": {"batch": 1, "record_count": 6},
    "batch before": {"batch": 1, "state": "running", "sub_state": "before", "server": "old:1", "attempt": 1},
    "batch processing": {"batch": 1, "state": "running", "sub_state": "processing", "record_count": 12, "attempt": 1},
    "batch after": {"batch": 1, "state": "running", "sub_state": "after", "record_count": 0, "server": "old:1"},
    "batch paused": {"batch": 1, "state": "paused", "sub_state": "processing", "record_count": 3, "started_at": NOW},
    "batch failed": {"batch": 1, "state": "failed", "sub_state": "processing", "record_count": 3, "started_at": NOW},
    "draft": {"batch": 1, "draft": 1, "uploader": "old:2"},
}
SLICES = {
    "batch queued": [("queued", 0), ("queued", 0)],
    "batch processing": [("queued", 1), ("running", 0), ("failed", 2)],
    "batch paused": [("queued", 0)],
    "batch failed": [("failed", 1)],
    "draft": [("queued", 0)],
}
"""The state of each slice of three records, and how many of them are done. A fourth of "batch processing" is gone."""


def make_old_store(path):
    """Make a store of schema 1; return the ids of its jobs by their names."""
    ids = {name: new_id() for name in JOBS}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 16384")
        connection.execute("PRAGMA auto_vacuum = incremental")
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " applied_at TEXT NOT NULL DEFAULT current_timestamp)"
        )
        version, name, script = MIGRATIONS[0]
        for statement in split_statements(script):
            connection.execute(statement)
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", (version, name))
        for name, job_id in ids.items():
            insert_old_job(connection, name, job_id)
        insert(
            connection, "servers", name="old:1", host="h", pid=1, state="running", started_at=1, processes=2, slots=4
        )
        insert(connection, "progress", job_id=ids["batch processing"].bytes, server="old:1", records=6)
        connection.execute("COMMIT")
    return ids


def insert_old_job(connection, name, job_id):
    columns = {
        "state": "queued", "batch": 0, "priority": 50, "destroy_on_complete": 0, "created_at": NOW,
        "fields": json.dumps({"name": name, "nested": {"a.b": [1, "é"]}}, ensure_ascii=False), **JOBS[name],
    }  # fmt: skip
    claimable = columns["state"] == "queued" and "run_at" not in columns and "draft" not in columns
    columns["runnable"] = int(claimable or (columns.get("sub_state") == "processing" and columns["state"] == "running"))
    columns = {key: to_micros(value) if isinstance(value, datetime) else value for key, value in columns.items()}
    slices = SLICES.get(name, [])
    insert(connection, "jobs", id=job_id.bytes, kind=name.split()[0], slice_count=len(slices), **columns)
    for number, (state, done) in enumerate(slices, 1):
        (slice_id,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM slices").fetchone()
        payload = f"Tslice {number}\n".encode() * 3
        insert(
            connection, "slices", id=slice_id, job_id=job_id.bytes, category="main", number=number, state=state,
            attempt=int(state != "queued"), server="old:1" if state == "running" else None, bytes=len(payload),
            first_record=3 * number - 2, record_count=3, done=done, exception="{}" if state == "failed" else None,
        )  # fmt: skip
        insert(connection, "slice_payloads", slice_id=slice_id, payload=payload)
        if done:
            insert(
                connection, "output_slices", job_id=job_id.bytes, category="main", number=number, part=0,
                record_count=done, payload=b"Tdone\n" * done,
            )  # fmt: skip


def insert(connection, table, **columns):
    marks = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "old.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def ids(path):
    """An old store at `path`."""
    return make_old_store(path)


@pytest.fixture
def upgraded(ids, url, clock):
    """The old store, brought up to date, at the moment for which its jobs were made."""
    return open_store(url, upgrade=True)


def version_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT max(version) FROM schema_migrations").fetchone()[0]


def schema_of(path):
    """Return everything that the schema is made of; columns, not the text that grew with each of them."""
    with closing(sqlite3.connect(path)) as connection:
        entries = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        tables = [name for kind, name, *_ in entries if kind == "table"]
        columns = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}
    return columns, sorted(entry for entry in entries if entry[0] != "table")


def content_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(line for line in connection.iterdump() if "sqlite_sequence" not in line)


# Refused -----------------------------------------------------------------------------------------


def test_an_old_store_is_refused_with_the_command_that_upgrades_it(ids, path, url):
    with pytest.raises(StoreVersionError, match="penstock store upgrade") as caught:
        open_store(url)
    message = str(caught.value)
    assert str(path) in message
    assert f"schema 1, this Penstock needs {NEWEST}" in message
    assert "\n" not in message


def test_a_refused_store_is_left_as_it_was_and_may_be_refused_again(ids, path, url):
    before = content_of(path)
    for _ in range(3):
        with pytest.raises(StoreVersionError):
            open_store(url)
    assert version_of(path) == 1
    assert content_of(path) == before


@pytest.mark.linux
def test_a_refusal_leaves_no_file_open(ids, url):
    def refused():
        with pytest.raises(StoreVersionError):
            open_store(url)

    refused()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refused()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_newer_store_is_refused_though_an_upgrade_is_asked_for(path, url):
    open_store(url)
    close_stores()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (99, 'later')")
    with pytest.raises(StoreVersionError, match=r"schema 99, this Penstock knows \d+: upgrade Penstock"):
        open_store(url, upgrade=True)


# Upgraded ----------------------------------------------------------------------------------------


def test_an_upgraded_store_has_the_schema_of_a_fresh_one(upgraded, path, tmp_path):
    fresh = tmp_path / "fresh.db"
    open_store(f"sqlite:///{fresh}")
    close_stores()
    assert schema_of(path) == schema_of(fresh)


def test_indexes_of_fields_are_there_after_the_table_was_made_anew(ids, path, url):
    name = "json_extract(fields, '$.\"name\"')"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f'CREATE INDEX "jobs_field_name" ON jobs ({name}, id) WHERE {name} IS NOT NULL')
        before = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs_field_name'").fetchall()
    open_store(url, upgrade=True)
    close_stores()
    with closing(sqlite3.connect(path)) as connection:
        after = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs_field_name'").fetchall()
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {name} = 'due'").fetchall()
    assert after == before
    assert "jobs_field_name" in plan[0][-1]


def test_each_migration_is_noted_once(upgraded, path):
    with closing(sqlite3.connect(path)) as connection:
        noted = connection.execute("SELECT version, name FROM schema_migrations ORDER BY version").fetchall()
    assert noted == [(version, name) for version, name, _ in MIGRATIONS]


def test_upgraded_it_opens_without_being_asked(upgraded, url):
    close_stores()
    assert open_store(url).count_jobs(Query()) == len(JOBS) - 1


@pytest.mark.parametrize("make", ["empty", "new"])
def test_to_upgrade_a_store_that_is_up_to_date_or_empty_is_to_open_it(path, url, make, new_row):
    if make == "new":
        open_store(url).insert_jobs([new_row()])
        close_stores()
    store = open_store(url, upgrade=True)
    assert store.count_jobs(Query()) == int(make == "new")
    assert version_of(path) == NEWEST


@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_as_it_was_and_what_is_new_is_not_set(upgraded, ids, name):
    columns = {"priority": 50, "destroy_on_complete": False, "created_at": NOW, "state": "queued", **JOBS[name]}
    columns["batch"], columns["draft"] = bool(columns.get("batch")), bool(columns.get("draft"))
    columns["state"] = State(columns["state"])
    columns["sub_state"] = SubState(columns["sub_state"]) if columns.get("sub_state") else None
    fields = json.dumps({"name": name, "nested": {"a.b": [1, "é"]}}, ensure_ascii=False)
    assert upgraded.job(ids[name]) == JobRow(id=ids[name], kind=name.split()[0], fields=fields, **columns)


def test_jobs_are_counted_as_before(upgraded):
    states = Counter(State(columns.get("state", "queued")) for columns in JOBS.values() if "draft" not in columns)
    assert upgraded.count_by_state(Query()) == states


def test_what_was_claimable_is_claimable_and_nothing_else(upgraded, ids, clock):
    kinds = {name.split()[0] for name in JOBS}
    offered = upgraded.candidates(kinds, limit=99)
    assert [row.id for row in offered] == [ids[n] for n in ("due", "expiring", "batch queued", "batch processing")]
    assert upgraded.next_due() == NOW - DAY
    upgraded.release_due_jobs(clock.now())
    assert ids["overdue"] in [row.id for row in upgraded.candidates(kinds, limit=99)]
    assert upgraded.next_due() == NOW + DAY
    assert upgraded.waiting_groups(kinds) == []
    assert upgraded.jobs_due_for_hooks(kinds) == []
    assert upgraded.limits() == {}


def test_a_job_that_waited_is_claimed_counted_and_settled(upgraded, ids, clock):
    row = upgraded.job(ids["due"])
    row.limit_name = "due"
    (claimed,) = upgraded.claim_jobs([row], server="new:1", now=clock.now())
    assert upgraded.limits() == {"due": 1}
    assert upgraded.settle_jobs([JobSettlement(claimed.id, 1, {"state": State.COMPLETED, "server": None})]) == []
    assert upgraded.limits() == {}


def test_a_job_that_ran_may_be_settled_or_is_released_with_its_server(upgraded, ids):
    assert upgraded.any_running(["running"]) == "running"
    released = upgraded.release_server("old:1")
    assert released == 4
    assert upgraded.servers() == []
    assert {upgraded.job(ids[name]).state for name in ("running", "batch before")} == {State.QUEUED}
    assert upgraded.job(ids["batch after"]).sub_state is SubState.PROCESSING
    assert upgraded.slice_counts(ids["batch processing"]) == {SliceState.QUEUED: 2, SliceState.FAILED: 1}
    assert upgraded.limits() == {}


def test_a_settlement_of_before_the_upgrade_is_taken(upgraded, ids):
    assert upgraded.settle_jobs([JobSettlement(ids["running"], 2, None)]) == []
    assert upgraded.limits() == {}


def test_records_are_where_they_were(upgraded, ids):
    assert upgraded.accounts(ids["batch processing"]) == Accounts(
        uploaded=12, queued=2, running=3, failed=1, processed=6, outputs={"main": 3}, missing_payloads=0
    )
    for name, slices in SLICES.items():
        assert upgraded.slice_counts(ids[name]) == Counter(SliceState(state) for state, _ in slices)


def test_slices_are_claimed_where_they_stopped_with_their_payloads(upgraded, ids):
    (claimed,) = upgraded.claim_slices(ids["batch processing"], server="new:1", limit=9, max_bytes=1 << 20)
    assert (claimed.number, claimed.done, claimed.attempt, claimed.payload) == (1, 1, 1, b"Tslice 1\n" * 3)
    assert upgraded.retry_slices(ids["batch processing"]) == 1
    (again,) = upgraded.claim_slices(ids["batch processing"], server="new:1", limit=9, max_bytes=1 << 20)
    assert (again.number, again.done, again.attempt) == (3, 2, 2)


@pytest.mark.parametrize(
    ("name", "move", "state"),
    [
        ("failed", Move.RETRY, State.QUEUED),
        ("paused", Move.RESUME, State.QUEUED),
        ("batch failed", Move.RETRY, State.RUNNING),
        ("batch paused", Move.RESUME, State.RUNNING),
        ("due", Move.ABORT, State.ABORTED),
    ],
)
def test_moves_apply_as_before(upgraded, ids, name, move, state):
    assert move_job(upgraded, ids[name], move).state is state


def test_a_server_of_before_reads_as_one_that_says_nothing_of_its_kinds(upgraded):
    (server,) = upgraded.servers()
    assert (server.name, server.command, server.answer, server.kinds, server.holding) == ("old:1", None, None, "{}", 0)


# At once, and interrupted -------------------------------------------------------------------------

OPENS = """
import sys
from penstock.errors import StoreVersionError
from penstock.query import Query
from penstock.store import close_stores, open_store
import penstock.store.sqlite
print("ready")
sys.stdin.readline()
try:
    store = open_store(sys.argv[1], upgrade=sys.argv[2] == "upgrade")
except StoreVersionError as error:
    print(error)
else:
    print(store.count_jobs(Query()))
close_stores()
"""


def ended(process):
    output = process.stdout.read()
    assert process.wait(60) == 0
    return output.strip()


@pytest.mark.process
def test_processes_that_upgrade_at_once_all_end_with_the_upgraded_store(ids, path, url, start_python):
    processes = [start_python(OPENS, url, "upgrade") for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        print(file=process.stdin, flush=True)
    assert [ended(process) for process in processes] == [str(len(JOBS) - 1)] * 4
    assert version_of(path) == NEWEST
    assert open_store(url).count_jobs(Query()) == len(JOBS) - 1


@pytest.mark.process
def test_a_process_that_opens_beside_an_upgrade_finds_the_old_or_the_new_store(ids, path, url, start_python):
    opening = [start_python(OPENS, url, "open") for _ in range(3)]
    upgrading = start_python(OPENS, url, "upgrade")
    for process in (*opening, upgrading):
        assert process.stdout.readline() == "ready\n"
    for process in (*opening, upgrading):
        print(file=process.stdin, flush=True)
    assert ended(upgrading) == str(len(JOBS) - 1)
    for told in map(ended, opening):
        assert told == str(len(JOBS) - 1) or "penstock store upgrade" in told


STOPS_INSIDE = """
import sqlite3, sys
class Traced(sqlite3.Connection):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.set_trace_callback(stop)
def stop(statement):
    if sys.argv[2] in statement:
        print("inside", flush=True)
        sys.stdin.readline()
connect = sqlite3.connect
sqlite3.connect = lambda *args, **named: connect(*args, factory=Traced, **named)
from penstock.store import close_stores, open_store
open_store(sys.argv[1], upgrade=True)
sqlite3.connect = connect  # Under coverage the end of a process writes its arguments into a database as well.
print("upgraded", flush=True)
close_stores()
"""


@pytest.mark.process
@pytest.mark.parametrize(
    "statement",
    [
        "ADD COLUMN throttled_by", "CREATE TABLE limits", "DROP TABLE jobs", "CREATE UNIQUE INDEX jobs_unique",
        "INSERT INTO schema_migrations", "COMMIT",
    ],
)  # fmt: skip
def test_an_upgrade_that_is_killed_leaves_the_store_as_it_was(ids, path, url, start_python, statement):
    before = content_of(path)
    upgrading = start_python(STOPS_INSIDE, url, statement)
    assert upgrading.stdout.readline() == "inside\n"
    upgrading.kill()
    upgrading.wait(10)
    assert version_of(path) == 1
    assert content_of(path) == before
    with pytest.raises(StoreVersionError, match="penstock store upgrade"):
        open_store(url)
    assert open_store(url, upgrade=True).count_jobs(Query()) == len(JOBS) - 1
    assert version_of(path) == NEWEST


@pytest.mark.process
def test_an_upgrade_waits_for_one_under_way_and_finds_its_work_done(ids, path, url, start_python):
    first = start_python(STOPS_INSIDE, url, "CREATE TABLE limits")
    assert first.stdout.readline() == "inside\n"
    second = start_python(OPENS, url, "upgrade")
    assert second.stdout.readline() == "ready\n"
    print(file=second.stdin, flush=True)
    print(file=first.stdin, flush=True)
    assert ended(second) == str(len(JOBS) - 1)
    assert first.stdout.readline() == "upgraded\n"
    assert first.wait(60) == 0
    assert version_of(path) == NEWEST


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(ids, path, url):
    """As when somebody made a table of the name by hand."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE limits (mine TEXT)")
    before = content_of(path)
    with pytest.raises(Exception, match="limits"):
        open_store(url, upgrade=True)
    assert version_of(path) == 1
    assert content_of(path) == before
