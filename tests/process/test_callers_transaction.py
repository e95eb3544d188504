"""An order and its job in one transaction of the caller's, with real processes that are killed and a real server."""

import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.process.lab import Lab
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    class Ship(Job):
        order: int

        def perform(self):
            note("shipped", self.order)

    class Slow(StoreTransaction, Job):
        destroy_on_complete = False

        def perform(self, connection):
            connection.execute("CREATE TABLE left_behind (n integer)")
            note("holding")
            time.sleep(120)
"""
ORDERING = """
from tests.callers import CALLERS
from penstock.store import current_store
url = current_store().url
with CALLERS[sys.argv[1]](url) as caller:
    caller.execute("INSERT INTO {table} VALUES (1)")
    Ship.create(order=1, connection=caller.given)
    Ship.create_many([{{"order": 2}}, {{"order": 3}}], connection=caller.given)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    caller.commit()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def yard(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Yard]:
    lab.store = "penstock.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_yard(lab, JOBS) as made:
        yield made


@pytest.fixture
def table(yard: Yard) -> str:
    """The application's table of orders, in the store's own database."""
    schema = yard.lab.store.partition("schema=")[2]
    name = f"{schema}.orders" if schema else "orders"
    with yard.store.lending() as connection:
        connection.execute(f"CREATE TABLE {name} (number integer)")
    return name


def ordered(yard: Yard, table: str) -> int:
    with yard.store.lending() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def order(yard: Yard, table: str, caller: str, how: str) -> None:
    root = str(__file__).rpartition("/tests/")[0]
    yard.python(f"sys.path.insert(0, {root!r})\n{ORDERING.format(table=table)}", caller, how)


@pytest.mark.parametrize(
    ("yard", "caller"),
    [("sqlite", "driver"), ("sqlite", "Django"), ("postgres", "SQLAlchemy session")],
    indirect=["yard"],
)
def test_a_process_killed_before_its_commit_leaves_neither_order_nor_job_and_one_that_commits_both(
    yard: Yard, table: str, caller: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as killed:
        order(yard, table, caller, "killed")
    assert killed.value.returncode == -signal.SIGKILL
    assert (ordered(yard, table), yard.store.count_jobs(Query())) == (0, 0)
    yard.serve()
    order(yard, table, caller, "commits")
    shipped = yard.await_notes("shipped", 3)
    assert (ordered(yard, table), sorted(shipped)) == (1, [["shipped", str(n)] for n in (1, 2, 3)])


@pytest.mark.parametrize("yard", ["sqlite"], indirect=True)
def test_a_worker_that_keeps_the_only_writer_waiting_is_killed_and_the_server_goes_on(yard: Yard) -> None:
    server = yard.serve()
    yard.worker(server)
    (slow,) = yard.create("Slow.create()")
    yard.await_notes("holding")
    yard.await_states(State.FAILED, slow)
    assert "and did not end when it was told to" in (yard.row(slow).exception or "")
    yard.create("Ship.create(order=4)")
    yard.await_notes("shipped")
    with yard.store.lending() as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'left_behind'").fetchone() is None
