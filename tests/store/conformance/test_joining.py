"""The caller's own connection: what is written in its transaction is there if and only if that commits."""

import asyncio
import sqlite3
import threading

import psycopg
import pytest
from tests.callers import CALLERS, TELLING, django_database, driver, engine_for, on_postgres, plain_url

from penstock.errors import DuplicateJob, StoreError, WrongConnection
from penstock.query import Query
from penstock.store import open_store
from penstock.store.protocol import Topic

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=["sqlite_file", "postgres"])
def store(request):
    """A store that others can have a connection to."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=CALLERS)
def caller(request, store):
    with CALLERS[request.param](store.url) as made:
        made.name = request.param
        yield made


@pytest.fixture
def orders(store):
    """A table of the application's in the store's database."""
    schema = store.url.partition("schema=")[2]
    table = f"{schema}.orders" if schema else "orders"
    with driver(store.url) as owner:
        owner.execute(f"CREATE TABLE {table} (n integer)")
        owner.commit()
    return table


class TestOneTransaction:
    def test_a_rollback_leaves_neither_the_order_nor_the_job(self, store, orders, caller, new_row):
        caller.execute(f"INSERT INTO {orders} VALUES (1)")
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        caller.rollback()
        assert (count(store, orders), store.count_jobs(Query())) == (0, 0)

    def test_a_commit_stores_both(self, store, orders, caller, new_row):
        caller.execute(f"INSERT INTO {orders} VALUES (1)")
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        caller.execute(f"INSERT INTO {orders} VALUES (2)")
        caller.commit()
        assert (count(store, orders), store.count_jobs(Query())) == (2, 1)

    def test_nobody_else_sees_it_before_the_commit(self, store, caller, new_row):
        row = new_row()
        with store.joining(caller.given):
            store.insert_jobs([row])
            assert store.job(row.id) == row
        assert store.job(row.id) is None
        caller.commit()
        assert store.job(row.id) == row

    def test_a_block_that_raises_leaves_nothing_and_the_transaction_goes_on(self, store, caller, new_row):
        first, second = new_row(), new_row()
        with store.joining(caller.given):
            store.insert_jobs([first])
        with pytest.raises(StoreError), store.joining(caller.given):  # noqa: PT012
            store.insert_jobs([second])
            store.update_job(first.id, {"state": "nonsense"})
        caller.commit()
        assert [row.id for row in store.find_jobs(Query())] == [first.id]

    def test_a_second_job_of_a_unique_key_is_refused_and_the_transaction_goes_on(self, store, caller, new_row):
        store.insert_jobs([new_row(unique_key="only")])
        with pytest.raises(DuplicateJob), store.joining(caller.given):
            store.insert_jobs([new_row(unique_key="only")])
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        caller.commit()
        assert store.count_jobs(Query()) == 2

    def test_many_jobs_and_slices_with_all_their_columns_come_as_they_went(self, store, caller, new_row, make_slices):
        rows = [new_row(fields=f'{{"n":{n},"text":"äöü €"}}', throttle_group="ü") for n in range(40)]
        batch = new_row("Lines", batch=True)
        with store.joining(caller.given):
            store.insert_jobs([*rows, batch])
            store.append_slices(batch.id, "main", make_slices([2, 3]))
            store.update_job(batch.id, {"record_count": 5, "fields": {"more": "ß"}})
        caller.commit()
        assert list(store.find_jobs(Query(kinds=("Copy",)))) == rows
        assert store.accounts(batch.id).queued == 5
        assert store.job(batch.id).fields in ('{"more":"ß"}', '{"more": "\\u00df"}', '{"more":"\\u00df"}')

    def test_what_was_set_on_the_connection_stays(self, store, new_row):
        with CALLERS["driver with factories"](store.url) as caller:
            before = caller.given.row_factory, getattr(caller.given, "text_factory", None)
            with store.joining(caller.given):
                store.insert_jobs([new_row(unique_key="ü")])
                assert (caller.given.row_factory, getattr(caller.given, "text_factory", None)) == before
                assert next(store.find_jobs(Query())).unique_key == "ü"
            assert (caller.given.row_factory, getattr(caller.given, "text_factory", None)) == before

    def test_a_block_inside_another_of_the_same_connection_belongs_to_it(self, store, caller, new_row):
        with store.joining(caller.given):
            with store.joining(caller.given):
                store.insert_jobs([new_row()])
            assert store.count_jobs(Query()) == 1
        caller.rollback()
        assert store.count_jobs(Query()) == 0


class TestWakeUps:
    def test_a_commit_wakes_those_who_listen_where_somebody_tells_of_it(self, store, caller, new_row):
        if not on_postgres(store.url) and caller.name not in TELLING:
            pytest.skip("nobody tells of the commit of a bare sqlite3 connection: it is found by the slow check")
        woken = threading.Event()
        store.listen(Topic.WORK, woken.set)
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        assert not woken.is_set()
        caller.commit()
        assert woken.wait(30)

    def test_who_is_woken_and_looks_as_a_dispatcher_does_sees_the_job(self, store, caller, new_row):
        """SQLAlchemy tells of a commit just before it."""
        if not on_postgres(store.url) and caller.name not in TELLING:
            pytest.skip("nobody tells of the commit of a bare sqlite3 connection: it is found by the slow check")
        seen, looked = [], threading.Event()

        def look():
            with store.transaction():
                seen.append(store.count_jobs(Query()))
            looked.set()

        store.listen(Topic.WORK, look)
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        caller.commit()
        assert looked.wait(30)
        assert seen[0] == 1

    def test_a_rollback_wakes_nobody(self, store, caller, new_row):
        woken, heard = threading.Event(), threading.Event()
        store.listen(Topic.WORK, woken.set)
        store.listen(Topic.ENDED, heard.set)
        with store.joining(caller.given):
            store.insert_jobs([new_row()])
        caller.rollback()
        store.announce(Topic.ENDED)  # What was to come would have come before it.
        assert heard.wait(30)
        assert not woken.is_set()


class TestRefusals:
    def refused(self, store, given, words, new_row):
        with pytest.raises(WrongConnection, match=words), store.joining(given):
            store.insert_jobs([new_row()])
        assert store.count_jobs(Query()) == 0

    def test_what_is_no_connection(self, store, new_row):
        self.refused(store, object(), r"builtins\.object is no connection that can be joined: give a conn", new_row)
        engine = engine_for(store.url)
        self.refused(store, engine, r"Engine is no connection that can be joined", new_row)

    def test_one_of_another_engine(self, store, new_row, sqlite_file, postgres):
        other = sqlite_file if on_postgres(store.url) else postgres
        with driver(other.url) as caller:
            self.refused(store, caller.given, "the store is in .* leads elsewhere", new_row)

    def test_one_to_another_database(self, store, new_row, tmp_path, postgres_server):
        if on_postgres(store.url):
            with psycopg.connect(postgres_server, autocommit=True) as admin:
                admin.execute("DROP DATABASE IF EXISTS elsewhere")
                admin.execute("CREATE DATABASE elsewhere")
            url = psycopg.conninfo.make_conninfo(postgres_server, dbname="elsewhere")
            with psycopg.connect(url) as given:
                self.refused(store, given, "leads to database 'elsewhere' of .* where this store is not", new_row)
        else:
            for name in (str(tmp_path / "other.db"), ":memory:"):
                given = sqlite3.connect(name)
                self.refused(store, given, "leads to .*: a job and what is", new_row)
                given.close()

    def test_a_store_that_is_attached_only(self, sqlite_file, new_row):
        given = sqlite3.connect(":memory:")
        given.execute("ATTACH ? AS store", (plain_url(sqlite_file.url),))
        self.refused(sqlite_file, given, "leads to a database in memory", new_row)
        given.close()

    def test_one_that_commits_by_itself_and_has_no_transaction_open(self, store, new_row):
        options = {"autocommit": True} if on_postgres(store.url) else {"isolation_level": None}
        with driver(store.url, **options) as caller:
            self.refused(store, caller.given, "commits by itself and has no transaction open: begin one", new_row)
        with engine_for(store.url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            self.refused(store, connection, "commits by itself", new_row)
        connection = django_database(store.url)
        try:
            self.refused(store, connection, "commits by itself", new_row)
        finally:
            connection.close()

    def test_one_that_is_closed(self, store, new_row):
        with driver(store.url) as caller:
            pass
        self.refused(store, caller.given, "closed", new_row)
        with engine_for(store.url).connect() as connection:
            pass
        self.refused(store, connection, "closed", new_row)

    def test_one_whose_transaction_has_failed(self, postgres, new_row):
        with driver(postgres.url) as caller:
            with pytest.raises(psycopg.Error):
                caller.execute("SELECT nonsense")
            self.refused(postgres, caller.given, "a statement of the transaction that was given was refused", new_row)

    def test_one_that_is_asynchronous(self, postgres, new_row):
        async def connect():
            return await psycopg.AsyncConnection.connect(plain_url(postgres.url))

        with asyncio.Runner() as runner:
            given = runner.run(connect())
            self.refused(postgres, given, r"psycopg\.AsyncConnection is asynchronous: give a connection", new_row)
            runner.run(given.close())

    def test_a_second_one_in_the_same_thread(self, store, new_row):
        with driver(store.url) as one, driver(store.url) as other:
            with store.joining(one.given):
                self.refused(store, other.given, "a transaction of the store is open in this thread already", new_row)
            one.rollback()
            with store.transaction():
                self.refused(store, other.given, "a transaction of the store is open in this thread already", new_row)

    def test_a_store_in_memory_has_no_other_connection(self, new_row):
        store = open_store("sqlite://")
        given = sqlite3.connect(":memory:")
        self.refused(store, given, "a store in memory has no other connection", new_row)
        given.close()

    def test_a_transaction_that_is_ended_inside_is_noticed(self, store, new_row):
        def write_and_commit(caller):
            with store.joining(caller.given):
                store.insert_jobs([new_row()])
                caller.commit()

        with driver(store.url) as caller, pytest.raises(WrongConnection, match="ended before its time"):
            write_and_commit(caller)


class TestLending:
    def test_what_is_written_on_it_and_by_the_store_is_one_transaction(self, store, orders, new_row):
        with pytest.raises(ZeroDivisionError), store.lending() as connection:  # noqa: PT012
            connection.execute(f"INSERT INTO {orders} VALUES (1)")
            store.insert_jobs([new_row()])
            raise ZeroDivisionError
        assert (count(store, orders), store.count_jobs(Query())) == (0, 0)
        with store.lending() as connection:
            connection.execute(f"INSERT INTO {orders} VALUES (1)")
            store.insert_jobs([new_row()])
        assert (count(store, orders), store.count_jobs(Query())) == (1, 1)

    def test_what_was_set_on_it_is_gone_afterwards(self, store, new_row):
        with store.lending() as connection:
            connection.row_factory = psycopg.rows.dict_row if on_postgres(store.url) else sqlite3.Row
            store.insert_jobs([new_row()])
            assert store.count_jobs(Query()) == 1
        with store.lending() as again:
            assert tuple(again.execute("SELECT 1").fetchone()) == (1,)
            assert not isinstance(again.execute("SELECT 1").fetchone(), dict | sqlite3.Row)

    def test_its_own_connection_can_be_joined_inside(self, store, new_row):
        with store.lending() as connection, store.joining(connection):
            store.insert_jobs([new_row()])
        assert store.count_jobs(Query()) == 1


def count(store, table):
    with driver(store.url) as caller:
        return caller.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
