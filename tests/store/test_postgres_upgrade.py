"""The schema of a PostgreSQL store: set up once, refused when it is another version's, upgraded when asked for."""

import re

import psycopg
import pytest

from penstock.errors import StoreUnavailable, StoreVersionError
from penstock.query import Query
from penstock.store import close_stores, open_store
from penstock.store.postgres import migrations
from penstock.store.statements import load_migrations

NEWEST = load_migrations("postgres_migrations")[-1][0]


@pytest.fixture
def execute(postgres_server):
    with psycopg.connect(postgres_server, autocommit=True) as opened:
        yield opened.execute


def schema_of(url):
    return url.rpartition("schema=")[2]


@pytest.mark.process
def test_eight_processes_may_open_an_empty_store_at_once(postgres_url, start_python, execute):
    script = """
import sys
from penstock.ids import new_id
from penstock.clock import now
from penstock.store import open_store, close_stores
from penstock.store.rows import JobRow
import penstock.store.postgres.store
print("ready")
sys.stdin.readline()
store = open_store(sys.argv[1])
store.insert_jobs([JobRow(id=new_id(), kind="K", batch=False, created_at=now())])
store.index_fields(["name", "size"])
close_stores()
"""
    processes = [start_python(script, postgres_url) for _ in range(8)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        print(file=process.stdin, flush=True)
    for process in processes:
        assert process.stdout.read() == ""
        assert process.wait(60) == 0
    assert open_store(postgres_url).count_jobs(Query()) == 8
    applied = execute(f"SELECT version FROM {schema_of(postgres_url)}.schema_migrations ORDER BY version").fetchall()
    assert applied == [(version,) for version, _, _ in load_migrations("postgres_migrations")]


def test_a_schema_that_was_made_for_it_is_used(postgres_url, execute):
    execute(f"CREATE SCHEMA {schema_of(postgres_url)}")
    assert open_store(postgres_url).count_jobs(Query()) == 0


@pytest.fixture
def older(postgres_url, monkeypatch):
    """A store of the version before the one that this Penstock has."""
    open_store(postgres_url)
    close_stores()
    script = "ALTER TABLE {schema}.jobs ADD COLUMN added text"
    newer = [*load_migrations("postgres_migrations"), (NEWEST + 1, "more", script)]
    monkeypatch.setattr(migrations, "load_migrations", lambda _: newer)
    return postgres_url


def test_an_older_store_is_refused_with_the_next_step_and_left_as_it_is(older, execute):
    with pytest.raises(StoreVersionError, match=f"schema {NEWEST}, .* needs {NEWEST + 1}: penstock store upgrade"):
        open_store(older)
    assert execute(f"SELECT max(version) FROM {schema_of(older)}.schema_migrations").fetchone() == (NEWEST,)


def test_asked_for_it_is_brought_up_to_date_and_keeps_its_jobs(older, new_row, monkeypatch, execute):
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "load_migrations", load_migrations)
        row = new_row()
        open_store(older).insert_jobs([row])
        close_stores()
    assert open_store(older, upgrade=True).job(row.id) == row
    close_stores()
    assert open_store(older).job(row.id) == row
    assert execute(f"SELECT max(version) FROM {schema_of(older)}.schema_migrations").fetchone() == (NEWEST + 1,)


def test_an_upgrade_that_fails_changes_nothing(older, monkeypatch, execute):
    broken = [
        *load_migrations("postgres_migrations"),
        (NEWEST + 1, "broken", "ALTER TABLE {schema}.jobs ADD COLUMN added text; ALTER TABLE nothing ADD x text"),
    ]
    monkeypatch.setattr(migrations, "load_migrations", lambda _: broken)
    with pytest.raises(Exception, match="nothing"):
        open_store(older, upgrade=True)
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name = 'added'"
    assert execute(columns, (schema_of(older),)).fetchone() == (0,)


def test_a_store_of_a_newer_version_is_refused(postgres_url, execute):
    open_store(postgres_url)
    close_stores()
    execute(f"INSERT INTO {schema_of(postgres_url)}.schema_migrations (version, name) VALUES (%s, 'later')", (99,))
    for upgrade in (False, True):
        with pytest.raises(StoreVersionError, match="upgrade Penstock"):
            open_store(postgres_url, upgrade=upgrade)


def test_a_database_that_keeps_text_in_another_encoding_is_refused(postgres_server, execute):
    execute("CREATE DATABASE penstock_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(StoreUnavailable, match=r"keeps text in LATIN1; .*--encoding=UTF8"):
            open_store(postgres_server.replace("/postgres?", "/penstock_latin?"))
    finally:
        execute("DROP DATABASE penstock_latin WITH (FORCE)")


def test_a_user_who_may_not_set_it_up_is_told(postgres_server, postgres_url, execute):
    execute("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(StoreUnavailable, match=r"may not do this; see docs/postgresql\.md"):
            open_store(re.sub(r"//postgres:?@", "//guest@", postgres_url))
    finally:
        execute("DROP ROLE guest")
