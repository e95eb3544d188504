"""Connections to PostgreSQL: lost ones are replaced, what is not stored is said, and nothing waits for ever."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from penstock import clock
from penstock.errors import ConfigurationError, StoreBusy, StoreError, StoreUnavailable
from penstock.query import Query
from penstock.store import close_stores, open_store
from penstock.store.postgres import connection as connections
from penstock.store.rows import ServerRow

APPLICATION = "penstock"


@pytest.fixture
def store(postgres):
    return postgres


@pytest.fixture
def admin(postgres_server):
    with psycopg.connect(postgres_server, autocommit=True) as opened:
        yield opened


@pytest.fixture
def terminate(admin):
    """End all connections of stores, as an administrator does; return how many there were."""

    def end():
        rows = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", (APPLICATION,)
        ).fetchall()
        return len(rows)

    return end


class TestLostConnections:
    @pytest.mark.parametrize("act", ["read", "write", "transaction", "page"])
    def test_one_that_lay_idle_is_replaced_without_a_word(self, store, new_row, terminate, act):
        store.insert_jobs([new_row()])
        assert terminate() >= 1
        if act == "read":
            assert store.count_jobs(Query()) == 1
        elif act == "page":
            assert len(list(store.find_jobs(Query()))) == 1
        elif act == "write":
            store.insert_jobs([new_row()])
        else:
            with store.transaction():
                store.insert_jobs([new_row()])

    def test_in_a_transaction_it_is_said_and_nothing_of_it_is_stored(self, store, new_row, terminate):
        def lose():
            with store.transaction():
                store.insert_jobs([new_row()])
                assert terminate() >= 1
                store.insert_jobs([new_row()])

        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            lose()
        assert store.count_jobs(Query()) == 0
        with store.transaction():
            store.insert_jobs([new_row()])
        assert store.count_jobs(Query()) == 1

    def test_lost_before_the_commit_it_is_not_known_and_said(self, store, new_row, terminate):
        def lose():
            with store.transaction():
                store.insert_jobs([new_row()])
                terminate()

        with pytest.raises(StoreUnavailable, match="not known"):
            lose()

    def test_lost_in_a_call_before_anything_was_stored_the_call_is_made_again(self, store, admin, new_row):
        schema = store.place.schema
        admin.execute(f"CREATE SEQUENCE {schema}.calls")
        admin.execute(
            f"CREATE FUNCTION {schema}.die_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('{schema}.calls') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
            " RETURN NEW; END $$"
        )
        admin.execute(
            f"CREATE TRIGGER die BEFORE INSERT ON {schema}.jobs FOR EACH ROW EXECUTE FUNCTION {schema}.die_once()"
        )
        store.insert_jobs([new_row()])
        assert store.count_jobs(Query()) == 1
        assert admin.execute(f"SELECT last_value FROM {schema}.calls").fetchone() == (2,)

    def test_many_threads_go_on_while_connections_are_ended_again_and_again(self, store, new_row, terminate):
        stored, errors, stop = [], [], threading.Event()

        def work():
            while not stop.is_set():
                row = new_row()
                try:
                    store.insert_jobs([row])
                except StoreUnavailable as error:
                    errors.append(str(error))
                else:
                    stored.append(row.id)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            terminate()
        stop.set()
        for thread in threads:
            thread.join(30)
        assert set(stored) <= {row.id for row in store.find_jobs(Query())}
        assert all("not known" in error or "cannot be reached" in error for error in errors)
        store.insert_jobs([new_row()])


class TestDeadlines:
    def test_a_server_that_does_not_answer_is_given_up(self, monkeypatch):
        monkeypatch.setattr("penstock.store.postgres.place.CONNECT_SECONDS", 2)
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                open_store(f"postgresql://127.0.0.1:{deaf.getsockname()[1]}/db")

    def test_a_lock_that_somebody_keeps_is_not_waited_for_for_ever(self, postgres_url, admin, new_row, monkeypatch):
        monkeypatch.setattr(connections, "LOCK_MS", 100)
        store, row = open_store(postgres_url), new_row()
        store.insert_jobs([row])
        with admin.transaction():
            admin.execute(f"SELECT 1 FROM {store.place.schema}.jobs FOR UPDATE")
            with pytest.raises(StoreBusy, match="holds a lock for too long"):
                store.update_job(row.id, {"priority": 1})
        assert store.update_job(row.id, {"priority": 1})

    def test_a_statement_that_takes_too_long_is_ended(self, postgres_url, monkeypatch):
        monkeypatch.setattr(connections, "STATEMENT_MS", 100)
        store = open_store(postgres_url)
        with pytest.raises(StoreBusy, match="took too long"):
            store.connections.fetch("SELECT pg_sleep(5)")
        assert store.count_jobs(Query()) == 0


class TestTransactions:
    def test_one_in_which_a_statement_was_refused_is_not_taken_for_stored(self, store, new_row):
        def pass_over():
            with store.transaction():
                store.insert_jobs([new_row()])
                with pytest.raises(StoreError):
                    store.update_job(new_row().id, {"priority": "much"})

        with pytest.raises(StoreError, match="all of it was undone"):
            pass_over()
        assert store.count_jobs(Query()) == 0

    def test_it_means_the_same_whatever_the_default_of_the_database_is(self, postgres_server, postgres_url, new_row):
        strict = "default_transaction_isolation=serializable -c default_transaction_read_only=on"
        store = open_store(f"{postgres_url}&options=-c {strict}".replace(" ", "%20"))
        with store.transaction():
            store.insert_jobs([new_row()])
            assert store.connections.fetch("SHOW transaction_isolation") == [("read committed",)]

    def test_threads_share_a_few_connections(self, store, admin):
        threads = [threading.Thread(target=store.count_jobs, args=(Query(),)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(store.connections._idle) <= connections.KEPT
        assert store.connections._used == set()


PREPARED = "SELECT statement FROM pg_prepared_statements WHERE strpos(statement, 'pg_prepared') = 0"


class TestPreparedStatements:
    OFTEN = connections.PREPARED_FROM + 1

    def prepared(self, store):
        for _ in range(self.OFTEN):
            store.slice_counts(UUID(int=1))
        return [text for (text,) in store.connections.fetch(PREPARED)]

    def test_what_is_run_again_and_again_is_parsed_once_and_planned_each_time(self, store):
        (text,) = self.prepared(store)
        assert "GROUP BY state" in text
        # The rows may have become a million meanwhile.
        assert store.connections.fetch("SHOW plan_cache_mode") == [("force_custom_plan",)]

    def test_a_pooler_would_have_them_run_where_they_are_not(self, postgres_url, monkeypatch):
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: -1))
        assert self.prepared(open_store(postgres_url)) == []

    def test_on_a_connection_that_is_lent_nothing_stays(self, store):
        with store.lending() as lent:
            for _ in range(self.OFTEN):
                lent.execute("SELECT %s::int", (1,))
            assert lent.execute(PREPARED).fetchall() == []
        assert len(self.prepared(store)) == 1

    def test_they_are_made_anew_when_a_transaction_was_undone_or_the_table_was_changed(self, store, admin):
        assert self.prepared(store)
        with pytest.raises(ZeroDivisionError), store.transaction():
            raise ZeroDivisionError
        assert self.prepared(store)
        admin.execute(f"ALTER TABLE {store.place.schema}.slices ADD COLUMN more text")
        assert store.slice_counts(UUID(int=1)) == {}


class TestUrls:
    def test_a_password_is_in_no_message(self):
        with pytest.raises(StoreUnavailable) as caught:
            open_store("postgresql://ada:s3cret@127.0.0.1:1/db?sslpassword=s4cret")
        assert "s3cret" not in str(caught.value)
        assert "s4cret" not in str(caught.value)
        assert "postgresql://ada@127.0.0.1:1/db: " in str(caught.value)

    @pytest.mark.parametrize("schema", ["a-b", "", "1a", "A", "a; drop schema public", "a" * 41])
    def test_a_schema_that_is_no_plain_name_is_refused(self, schema):
        with pytest.raises(ConfigurationError, match="small letters"):
            open_store(f"postgresql://127.0.0.1:1/db?schema={schema}")

    def test_two_schemas_are_two_stores(self, store, postgres_server, new_row):
        other = open_store(f"{store.url}b")
        try:
            store.insert_jobs([new_row()])
            assert other.count_jobs(Query()) == 0
            presence = store.appear("a")
            assert (store.is_present("a"), other.is_present("a")) == (True, False)
            presence.close()
        finally:
            with psycopg.connect(postgres_server, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {other.place.schema} CASCADE")

    def test_the_short_scheme_is_the_same_store(self, store, new_row):
        store.insert_jobs([new_row()])
        assert open_store(store.url.replace("postgresql:", "postgres:")).count_jobs(Query()) == 1

    def test_closed_and_opened_again_it_has_what_was_stored(self, store, new_row):
        store.insert_jobs([new_row()])
        close_stores()
        assert open_store(store.url).count_jobs(Query()) == 1

    def test_a_database_that_is_not_there_is_named_with_what_to_do(self, postgres_server):
        with pytest.raises(StoreUnavailable, match="createdb"):
            open_store(postgres_server.replace("/postgres?", "/nothing?"))


@pytest.mark.process
def test_without_psycopg_it_says_what_to_install(run_python):
    script = """
import sys
sys.modules["psycopg"] = None
from penstock.errors import ConfigurationError
from penstock.store import open_store
try:
    open_store("postgresql://localhost/db")
except ConfigurationError as error:
    print(error)
"""
    done = run_python(script)
    assert "pip install 'penstock[postgres]'" in done.stdout, done.stderr


@pytest.mark.process
def test_a_forked_child_has_connections_of_its_own(postgres_url, run_python):
    script = """
import os, sys
from penstock.query import Query
from penstock.store import open_store, close_stores
parent = open_store(sys.argv[1])
child = os.fork()
if child == 0:
    mine = open_store(sys.argv[1])
    mine.count_jobs(Query())
    ok = mine is not parent
    close_stores()
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert parent.count_jobs(Query()) == 0
"""
    done = run_python(script, postgres_url)
    assert (done.returncode, done.stderr) == (0, "")


class TestTime:
    @pytest.fixture(autouse=True)
    def _right_again(self):
        yield
        clock.set_offset(timedelta())

    @pytest.fixture
    def off(self, monkeypatch):
        """Put this machine's clock wrong by so many seconds, for all that looks at it to compare it."""

        def set_wrong(seconds):
            wrong = timedelta(seconds=seconds)
            monkeypatch.setattr("penstock.clock.machine_now", lambda: datetime.now(UTC) + wrong)

        return set_wrong

    @pytest.mark.parametrize("seconds", [-3600, 3600])
    def test_a_machine_whose_clock_is_wrong_follows_that_of_the_store(self, postgres_url, off, seconds):
        off(seconds)
        open_store(postgres_url)
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)

    def test_a_heartbeat_looks_again(self, store, off):
        store.register_server(ServerRow("s", "host", 1, "running", clock.now(), 0, 2, 10))
        off(60)
        assert store.beat("s", "running")
        assert abs(clock.in_use().offset + timedelta(seconds=60)) < timedelta(seconds=1)
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
        off(0)
        assert store.beat("s", "running")
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)

    @pytest.mark.parametrize("seconds", [-3600, -600, 3600])
    def test_a_clock_that_is_set_between_two_looks_changes_nothing(self, store, off, seconds):
        off(seconds)
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)

    def test_a_difference_too_small_to_be_sure_of_changes_nothing(self, store, off):
        off(0.005)
        store.register_server(ServerRow("s", "host", 1, "running", clock.now(), 0, 2, 10))
        store.beat("s", "running")
        assert clock.in_use().offset == timedelta()
