"""Jobs made with a connection of the caller's: all that makes or changes one takes it, and refusals change nothing."""

import sqlite3
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from tests.callers import driver, on_postgres

import penstock
from penstock import BatchJob, Job
from penstock.errors import DuplicateJob, InputError, UnstorableValue, WrongConnection
from penstock.store import close_stores, open_store


class Order(Job, kind="connections.Order"):
    number: int = penstock.field(0, user_editable=True)

    def perform(self):
        pass


class Lines(BatchJob, kind="connections.Lines"):
    slice_size = 2

    def perform(self, record):
        return record


@pytest.fixture(params=["sqlite_file", "postgres"])
def url(request):
    store = request.getfixturevalue(request.param)
    penstock.configure(store=store.url)
    return store.url


@pytest.fixture
def caller(url):
    with driver(url) as made:  # tests/store/conformance has all others.
        yield made


MAKERS = {
    "create": lambda given: Order.create(number=1, connection=given),
    "save": lambda given: Order(number=1).save(connection=given),
    "create_many": lambda given: Order.create_many([{"number": 1}, Order(number=2)], connection=given),
    "ensure": lambda given: Order.ensure(number=1, connection=given),
}


@pytest.mark.parametrize("make", MAKERS)
def test_what_makes_a_job_makes_it_in_the_transaction(caller, make):
    MAKERS[make](caller.given)
    assert Order.query.count() == 0
    caller.rollback()
    assert Order.query.count() == 0


@pytest.mark.parametrize("make", MAKERS)
def test_and_the_commit_stores_it(caller, make):
    MAKERS[make](caller.given)
    caller.commit()
    assert Order.query.count() == (2 if make == "create_many" else 1)


def test_a_change_of_a_stored_job_belongs_to_the_transaction_too(url):
    job = Order.create(number=1, run_at=datetime(2100, 1, 1, tzinfo=UTC))
    for end, number in (("rollback", 1), ("commit", 2)):
        with driver(url) as caller:
            Order.query.first().update(number=2, connection=caller.given)
            assert job.reload().number == 1
            getattr(caller, end)()
        assert job.reload().number == number


def test_ensure_finds_what_the_transaction_has_made(caller):
    first = Order.ensure(number=1, connection=caller.given)
    assert Order.ensure(number=1, connection=caller.given).id == first.id
    caller.commit()
    assert Order.query.count() == 1


def test_hooks_of_creation_run_inside(url):
    seen = []

    class Hooked(Order):
        def after_create(self):
            seen.append(Hooked.query.count())

    with driver(url) as caller:
        Hooked.create(connection=caller.given)
        caller.rollback()
    assert (seen, Hooked.query.count()) == ([1], 0)


def test_an_index_is_left_to_the_first_save_without_a_connection(url):
    class Indexed(Order):
        name: str = penstock.field("", indexed=True)

    with driver(url) as caller:
        Indexed.create(name="a", connection=caller.given)
        caller.commit()
        table = "pg_indexes WHERE indexname" if on_postgres(url) else "sqlite_master WHERE name"
        count = f"SELECT count(*) FROM {table} = 'jobs_field_name'"
        schema = url.partition("schema=")[2]
        count += f" AND schemaname = '{schema}'" if schema else ""
        assert caller.execute(count).fetchone() == (0,)
        caller.commit()
        Indexed.create(name="b")
        assert caller.execute(count).fetchone() == (1,)


class TestUploads:
    def test_an_upload_and_its_job_are_one_with_the_transaction(self, caller, tmp_path):
        (tmp_path / "in.txt").write_text("a\nb\nc\n")
        job = Lines()
        assert job.upload(tmp_path / "in.txt", connection=caller.given) == 3
        with job.upload(connection=caller.given) as writer:
            writer.write("d")
        job.save(connection=caller.given)
        assert Lines.query.count() == 0
        caller.commit()
        assert Lines.query.first().record_count == 4

    def test_a_rollback_leaves_nothing_of_it(self, caller, stored_rows):
        job = Lines()
        job.upload(["a", "b", "c"], connection=caller.given)
        job.save(connection=caller.given)
        caller.rollback()
        assert stored_rows() == (0, 0, 0)

    def test_one_that_fails_leaves_nothing_and_the_transaction_goes_on(self, caller, stored_rows):
        job = Lines()
        with pytest.raises(UnstorableValue, match="record 4"):
            job.upload(["a", "b", "c", {1}], connection=caller.given)
        with pytest.raises(InputError, match=r"missing\.txt"):
            job.upload("missing.txt", connection=caller.given)
        job.upload(["a"], connection=caller.given)
        job.save(connection=caller.given)
        caller.commit()
        assert stored_rows() == (1, 1, 1)

    def test_a_second_upload_that_fails_leaves_the_first(self, caller, stored_rows):
        job = Lines()
        job.upload(["a", "b"], connection=caller.given)
        with pytest.raises(UnstorableValue):
            job.upload(["c", "d", {1}], connection=caller.given)
        job.upload(["e"], connection=caller.given)
        job.save(connection=caller.given)
        caller.commit()
        assert (Lines.query.first().record_count, stored_rows()) == (3, (1, 2, 2))

    @pytest.fixture
    def stored_rows(self, url):
        schema = url.partition("schema=")[2]
        tables = [f"{schema}.{name}" if schema else name for name in ("jobs", "slices", "slice_payloads")]

        def count():
            with driver(url) as caller:
                return tuple(caller.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

        return count


class TestRefusals:
    def test_what_is_not_valid_is_refused_before_anything_is_written(self, url):
        with driver(url) as caller:
            with pytest.raises(ValidationError):
                Order.create(number="x", connection=caller.given)
            caller.commit()
        assert Order.query.count() == 0

    def test_a_second_of_a_unique_key_names_the_first_also_one_of_this_transaction(self, url):
        class Only(Order):
            unique_by = ("number",)

        with driver(url) as caller:
            first = Only.create(number=1, connection=caller.given)
            with pytest.raises(DuplicateJob, match=str(first.id)):
                Only.create(number=1, connection=caller.given)
            caller.commit()
        assert Only.query.count() == 1

    @pytest.mark.parametrize("make", MAKERS)
    def test_a_connection_that_leads_elsewhere(self, url, make):
        given = sqlite3.connect(":memory:")
        with pytest.raises(WrongConnection, match="leads"):
            MAKERS[make](given)
        with pytest.raises(WrongConnection, match="leads"):
            Lines().upload(["a"], connection=given)
        given.close()
        assert Order.query.count() == 0


def test_a_store_that_this_process_has_not_opened_yet_is_opened_beside_the_transaction(url):
    close_stores()
    with driver(url) as caller:
        schema = url.partition("schema=")[2]
        caller.execute(f"UPDATE {schema + '.' if schema else ''}servers SET heartbeat = 0")
        if not schema:
            assert caller.given.in_transaction
        Order.create(connection=caller.given)
        caller.commit()
    assert open_store(url).drafts() == []
    assert Order.query.count() == 1
