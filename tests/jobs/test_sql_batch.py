"""`SqlBatch` and `Performance`."""

import sqlite3

import pytest
import sqlalchemy
from pydantic import ValidationError

from penstock.jobs import Performance, SqlBatch
from penstock.states import State

PATH = {}
SEEN = []


class Doubling(SqlBatch, kind="tests.jobs.sql.Doubling"):
    destroy_on_complete = False

    def connect(self):
        return sqlite3.connect(PATH["db"])

    def perform_row(self, connection, row):
        SEEN.append(row["id"])
        connection.execute("UPDATE people SET age = ? WHERE id = ?", (row["age"] * 2, row["id"]))
        if row["age"] == 666:
            raise ValueError("the beast")


class OfEngine(Doubling, kind="tests.jobs.sql.OfEngine"):
    def connect(self):
        return sqlalchemy.create_engine(f"sqlite:///{PATH['db']}", poolclass=sqlalchemy.pool.NullPool)


@pytest.fixture
def people(tmp_path):
    """Return a function that makes the table, and one that reads it."""
    PATH["db"] = str(tmp_path / "people.db")
    SEEN.clear()

    def make(ages):
        with sqlite3.connect(PATH["db"]) as connection:
            connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, age INTEGER)")
            connection.executemany("INSERT INTO people VALUES (?, ?)", ages.items())
        connection.close()

    def read():
        connection = sqlite3.connect(PATH["db"])
        found = dict(connection.execute("SELECT id, age FROM people"))
        connection.close()
        return found

    return make, read


@pytest.mark.parametrize("cls", [Doubling, OfEngine])
def test_each_row_is_worked_on_once_the_newest_first(driver, people, cls):
    make, read = people
    make({number: number for number in [1, 2, 3, 50, 51, 107]})
    job = cls.create(table="people", range_size=10)
    driver.run()
    assert job.reload().state == State.COMPLETED, job.exception
    assert read() == {number: 2 * number for number in [1, 2, 3, 50, 51, 107]}
    assert SEEN == [107, 51, 50, 3, 2, 1]
    assert job.record_count == 11


def test_a_range_that_fails_is_rolled_back_whole_and_the_others_are_done(driver, people):
    make, read = people
    make({1: 1, 2: 666, 3: 3, 20: 20})
    job = Doubling.create(table="people", range_size=10)
    driver.run()
    assert job.reload().state == State.FAILED
    assert read() == {1: 1, 2: 666, 3: 3, 20: 40}


def test_an_empty_table_is_soon_done(driver, people):
    make, _ = people
    make({})
    job = Doubling.create(table="people")
    driver.run()
    assert job.reload().state == State.COMPLETED


@pytest.mark.parametrize("name", ["people; DROP TABLE people", "", "a b", '"people"', "a..b"])
def test_what_is_no_name_never_becomes_part_of_a_statement(name):
    with pytest.raises(ValidationError, match="must be a name"):
        Doubling(table=name)


@pytest.mark.parametrize("options", [{}, {"pack": True}, {"seal": True, "pack": True}])
def test_the_job_of_the_benchmarks_gives_back_what_it_uploads(driver, keys, options):
    job = Performance.create(count=2500, **options)
    driver.run()
    assert job.reload().state == State.COMPLETED, job.exception
    assert list(job.output.records()) == list(range(2500))
